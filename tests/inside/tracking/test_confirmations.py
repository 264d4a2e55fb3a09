"""Confirmations in the record: read back as they were, and never taken for trials."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from handmade import ENVIRONMENT, losses, make_result, make_spec, record_trial
from scripted import describe

from tracking.history import (
    StudyHistory,
    confirmation_of,
    fit_metrics,
    read_confirmations,
    read_study,
    read_trainings,
    rename_study,
    trials_table,
)
from tracking.journal import Journal
from tracking.records import (
    Confirmation,
    Corrected,
    EpochResult,
    Interval,
    Racer,
    from_json,
    to_json,
)
from tracking.store import Store

PLAN = json.dumps({"options": {"top": 2, "seeds": 5, "budget": 3}, "trials": [1, 0]})
OTHER = PLAN.replace("5", "6")
CURVE = losses(0.5, 0.25, 0.75)
FOUND = Confirmation(
    study="confirmed",
    engine="optuna:tpe",
    uuid="",
    metric="val_loss",
    direction="min",
    reported_trial=1,
    reported=0.25,
    corrected=Corrected(0.25, Interval(0.3, 0.2, 0.4), 2, 100, 1000),
    seeds=(11, 12),
    race=(Racer(1, (0.25, None), 99, 3), Racer(0, (0.5,), 99, 3)),
    default=Racer(-1, (0.75, 0.75), 99, 3),
    winner=1,
    confirmed=Interval(0.31, 0.2, 0.42),
    gain=Interval(0.1, 0.05, 0.15, 0.975),
    test_samples=100,
    test_digest="3" * 64,
    readings=2,
    notes=("A note.",),
    time=5,
    test_seeds=(13, 14),
    winner_on_test=(0.3, 0.32),
    default_on_test=(0.4, 0.42),
)


def recorded(store: Store, name: str) -> StudyHistory:
    """A study of two trials, one confirmation that has ended, and one that was killed."""
    journal = Journal.begin(store.new_folder(name), describe(name=name), ENVIRONMENT)
    for number in range(2):
        record_trial(journal, make_spec(number), CURVE)
    for ends in (True, False):
        confirmation = journal.begin_confirmation(PLAN if ends else OTHER)
        for seed in range(2):
            train(journal, confirmation, seed, ends=ends)
        if ends:
            journal.end_confirmation(confirmation, replace(FOUND, uuid=confirmation, study=name))
    journal.close()
    return read_study(store, name)


def train(journal: Journal, confirmation: str, seed: int, *, ends: bool) -> None:
    spec = make_spec(seed + 2, begun_as=1)
    name = f"#1 · seed {seed + 1}"
    uuid = journal.begin_training(confirmation, spec, name, f"{ends}{seed}")
    for epoch, metrics in enumerate(CURVE, start=1):
        journal.log_epoch(uuid, EpochResult(spec.number, epoch, metrics, 0.1))
    if ends:
        journal.end_training(uuid, make_result(spec, CURVE))


@pytest.fixture(scope="module")
def history(shared_store: Store) -> StudyHistory:
    return recorded(shared_store, "confirmed")


def test_an_outcome_is_read_back(history: StudyHistory) -> None:
    (found,) = read_confirmations(history)
    assert found.uuid and replace(found, uuid="") == FOUND
    assert confirmation_of(history, PLAN) == (found.uuid, found)


def test_an_outcome_of_an_older_version_is_read() -> None:
    fields = json.loads(to_json(FOUND))
    for new in ("test_seeds", "winner_on_test", "default_on_test"):
        del fields[new]
    found = from_json(Confirmation, json.dumps(fields))
    assert found.test_seeds == () and found.race == FOUND.race


def test_trainings_are_read_back_with_their_curves(history: StudyHistory) -> None:
    found = read_trainings(history)
    assert set(found) == {"True0", "True1"}
    assert found["True1"].result == make_result(make_spec(3), CURVE)
    curve = fit_metrics(history.folder, found["True1"].uuid)
    assert curve == dict(enumerate(CURVE, start=1))


def test_a_killed_one_is_found_by_its_plan(history: StudyHistory) -> None:
    uuid, outcome = confirmation_of(history, OTHER)
    assert uuid and outcome is None
    assert confirmation_of(history, "another") == ("", None)


def test_no_reader_takes_them_for_trials(history: StudyHistory) -> None:
    assert [trial.number for trial in history.trials] == [0, 1]
    assert len(history.trials) == 2 and history.superseded == 0
    assert len(trials_table(history)) == 2


def test_what_a_kill_left_running_is_ended_and_resumed(new_store: Store) -> None:
    history = recorded(new_store, "copied")
    journal = history.writing()
    journal.end_left_over()
    states = [each.state for each in history.journal.confirmations(history.search)]
    assert states == ["complete", "interrupted"]
    unfinished, _ = confirmation_of(history, OTHER)
    assert {fit.state for fit in history.journal.fits(confirmation=unfinished)} == {"interrupted"}
    assert journal.begin_confirmation(OTHER, unfinished) == unfinished
    train(journal, unfinished, 5, ends=True)
    journal.end_confirmation(unfinished, replace(FOUND, uuid=unfinished, time=9))
    journal.close()
    assert [each.time for each in read_confirmations(history)] == [5, 9]
    assert "True5" in read_trainings(history)


def test_it_follows_a_new_name(new_store: Store) -> None:
    history = rename_study(recorded(new_store, "copied"), "renamed")
    assert [each.study for each in read_confirmations(history)] == ["renamed"]
