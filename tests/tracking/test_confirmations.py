"""Confirmations in the record: read back as they were, and never taken for trials."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from handmade import ENVIRONMENT, losses, make_result, make_spec, record_trial
from scripted import describe
from tracking.runs import OUTCOME_FILE, ConfirmationRuns, StudyRuns, local_artifacts

from tracking import tags
from tracking.doctor import check_lost_parents, check_readable, check_running, read_record
from tracking.history import (
    StudyHistory,
    confirmation_of,
    read_confirmations,
    read_study,
    read_trainings,
    runs_of,
    trials_table,
)
from tracking.records import Confirmation, Corrected, EpochResult, Interval, Racer
from tracking.store import Store

PLAN = json.dumps({"options": {"top": 2, "seeds": 5, "budget": 3}, "trials": [1, 0]})
CURVE = losses(0.5, 0.25, 0.75)
FOUND = Confirmation(
    study="confirmed",
    engine="optuna:tpe",
    run_id="",
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
    made = StudyRuns.create(store, describe(name=name), ENVIRONMENT)
    for number in range(2):
        record_trial(made, make_spec(number), CURVE)
    history = read_study(store, name)
    for ends in (True, False):
        runs = runs_of(history)
        runs.begin(PLAN if ends else PLAN.replace("5", "6"))
        for seed in range(2):
            train(runs, f"{ends}{seed}", seed, ends=ends)
        if ends:
            runs.finish(dataclasses.replace(FOUND, study=name), "**In words.**")
    return history


def train(runs: ConfirmationRuns, identity: str, seed: int, *, ends: bool) -> None:
    spec = make_spec(seed + 2, begun_as=1)
    what = {"identity": identity, "trial": 1, "seed": seed}
    run_id = runs.begin_training(spec, f"#1 · seed {seed + 1}", what)
    for epoch, metrics in enumerate(CURVE, start=1):
        runs.log_epoch(run_id, EpochResult(spec.number, epoch, metrics, 0.1))
    if ends:
        runs.finish_training(run_id, make_result(spec, CURVE))


@pytest.fixture(scope="module")
def history(shared_store: Store) -> StudyHistory:
    return recorded(shared_store, "confirmed")


def test_an_outcome_is_read_back(history: StudyHistory) -> None:
    (found,) = read_confirmations(history)
    assert dataclasses.replace(found, run_id="") == FOUND
    assert confirmation_of(history, PLAN) == (found.run_id, found)
    run = history.store.client.get_run(found.run_id)
    written = local_artifacts(history.store, run) / OUTCOME_FILE
    assert Confirmation.from_json(written.read_text()) == FOUND
    assert run.info.run_name == "confirmation · trial 1 · loss 0.31 on the test part"
    assert run.data.params == {"top": "2", "seeds": "5", "budget": "3"}
    assert run.data.metrics["confirmation/gain_low"] == 0.05


def test_an_outcome_of_an_older_version_is_read(history: StudyHistory) -> None:
    fields = json.loads(FOUND.to_json())
    for new in ("test_seeds", "winner_on_test", "default_on_test"):
        del fields[new]
    found = Confirmation.from_json(json.dumps(fields))
    assert found.test_seeds == () and found.race == FOUND.race


def test_trainings_are_read_back_with_their_curves(history: StudyHistory) -> None:
    found = read_trainings(history)
    assert set(found) == {"True0", "True1"}
    assert found["True1"].result == make_result(make_spec(3), CURVE)
    run = history.store.client.get_run(found["True1"].run_id)
    assert run.info.run_name == "#1 · seed 2 · val_loss 0.25"
    points = history.store.client.get_metric_history(run.info.run_id, "val_loss")
    assert {point.step: point.value for point in points} == {1: 0.5, 2: 0.25, 3: 0.75}
    assert run.data.params["trial"] == "1" and "best_val_loss" not in run.data.metrics


def test_a_killed_one_is_found_by_its_plan(history: StudyHistory) -> None:
    run_id, outcome = confirmation_of(history, PLAN.replace("5", "6"))
    assert run_id and outcome is None
    assert confirmation_of(history, "another") == ("", None)


def test_no_reader_takes_them_for_trials(history: StudyHistory) -> None:
    again = read_study(history.store, "confirmed")
    assert [trial.number for trial in again.trials] == [0, 1]
    assert again.counts()["total"] == 2 and again.superseded == 0
    assert len(trials_table(again)) == 2
    record = read_record(history.store, history.experiment_id)
    assert not [*check_readable(record), *check_lost_parents(record)]


@pytest.fixture
def copy(new_store: Store) -> StudyHistory:
    return recorded(new_store, "copied")


def statuses(history: StudyHistory) -> dict[str, str]:
    found: list[Any] = history.store.client.search_runs([history.experiment_id])
    kinds = (tags.CONFIRMATION_KIND, tags.TRAINING_KIND)
    of_these = [run for run in found if run.data.tags[tags.KIND] in kinds]
    return {run.info.run_name: run.info.status for run in of_these}


def test_a_launch_ends_runs_that_a_kill_left_running(copy: StudyHistory) -> None:
    assert statuses(copy)["confirmation · running"] == "RUNNING"
    record = read_record(copy.store, copy.experiment_id)
    assert len([*check_running(record)]) == 1
    made = StudyRuns(copy.store, copy.experiment_id, copy.parent_run_id, copy.description)
    made.close_left_over(copy.trials)
    assert statuses(copy)["confirmation · interrupted"] == "KILLED"
    assert statuses(copy)["#1 · seed 2 · interrupted"] == "KILLED"
    assert "RUNNING" not in statuses(copy).values()
    # Also if its run was purged by hand.
    assert [*check_lost_parents(record)] == []


def test_what_was_changed_in_mlflow_is_left_out(copy: StudyHistory) -> None:
    (found,) = read_confirmations(copy)
    for run_id in (found.run_id, *(each.run_id for each in read_trainings(copy).values())):
        for tag in (tags.CONFIRMATION, tags.TRAINED):
            copy.store.client.set_tag(run_id, tag, '{"other": 1}')
    assert read_confirmations(copy) == [] and read_trainings(copy) == {}


def test_a_deleted_study_takes_them_along(copy: StudyHistory, tmp_path: Path) -> None:
    from tracking.runs import delete_study

    (found,) = read_confirmations(copy)
    folder = local_artifacts(copy.store, copy.store.client.get_run(found.run_id))
    assert folder.exists()
    assert delete_study(copy.store, "copied").runs == 9
    assert not folder.exists()
