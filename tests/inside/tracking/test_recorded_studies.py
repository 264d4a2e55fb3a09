"""What is recorded of a study is read back as it was."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import pytest
from handmade import (
    ENVIRONMENT,
    losses,
    make_result,
    make_spec,
    record_trial,
)
from scripted import SPACE, describe

import kerastudy as ks
from search_spaces import SearchSpace, StudyNotFoundError
from tracking.history import StudyHistory, read_source, read_study
from tracking.journal import Journal
from tracking.records import (
    BestEpoch,
    CodeDescription,
    DataDescription,
    Objective,
    Proposal,
    TrialResult,
)
from tracking.store import Store

CURVE = losses(0.5, 0.25, 0.75)
STATES = {0: "complete", 1: "pruned", 2: "infeasible", 3: "interrupted", 4: "running"}
DATA = DataDescription(
    "꽃 irises",
    "a file of mine",
    "d" * 64,
    {"train": "1" * 64, "validation": "2" * 64, "test": "3" * 64},
    {"train": 90, "validation": 30, "test": 30},
    {"classes": 3, "shapes": {"train": {"x": [90, 4]}}},
)
SOURCE = "print('안녕')\n"
DIGEST = hashlib.sha256(SOURCE.encode()).hexdigest()
CODE = CodeDescription("/home/me/내 연구.py", "study", SOURCE, DIGEST)


def begin(store: Store, name: str, **settings: object) -> Journal:
    return Journal.begin(store.new_folder(name), describe(name=name, **settings), ENVIRONMENT)


@pytest.fixture(scope="module")
def history(shared_store: Store) -> StudyHistory:
    """A study with a trial of each state."""
    journal = begin(shared_store, "one of each", data=DATA, code=CODE, notes="A note.")
    for number, state in STATES.items():
        engine_state = {"sampler": f"state {number}", "empty": ""}
        record_trial(journal, make_spec(number), CURVE, state, engine_state)  # type: ignore[arg-type]
    return read_study(shared_store, "one of each")


def test_the_definition_is_read_back(history: StudyHistory) -> None:
    written = describe(name="one of each", data=DATA, code=CODE, notes="A note.")
    assert history.description == replace(written, code=replace(CODE, source=""))
    assert history.description.space.digest == SPACE.digest
    assert read_source(history, CODE.digest) == CODE.source
    assert read_source(history, "e" * 64) == ""


@pytest.mark.parametrize("number", STATES)
def test_a_trial_is_read_back(history: StudyHistory, number: int) -> None:
    trial = history.trial(number)
    assert trial.spec == make_spec(number)
    assert trial.state == STATES[number]
    assert trial.environment == ENVIRONMENT
    assert trial.code_digest == CODE.digest
    assert trial.engine_state == {"sampler": f"state {number}", "empty": ""}
    assert history.curve(trial) == dict(enumerate(CURVE, start=1))
    if trial.state == "running":
        assert trial.result is None
    else:
        assert trial.result == make_result(trial.spec, CURVE, trial.state)


def test_counts_are_by_state(history: StudyHistory) -> None:
    expected = dict.fromkeys(("complete", "pruned", "infeasible", "interrupted", "running"), 1)
    assert history.counts() == expected


def test_a_number_that_is_not_finite_is_in_no_curve(shared_store: Store) -> None:
    journal = begin(shared_store, "not finite")
    curve = [
        {"val_loss": 0.5, "loss": math.nan, "up": math.inf},
        {"val_loss": math.inf, "loss": 0.25, "up": -math.inf},
        {"val_loss": math.nan, "loss": 0.125, "up": 1.0},
    ]
    record_trial(journal, make_spec(), curve)
    history = read_study(shared_store, "not finite")
    trial = history.trial(0)
    assert history.curve(trial) == {
        1: {"val_loss": 0.5},
        2: {"loss": 0.25},
        3: {"loss": 0.125, "up": 1.0},
    }
    assert trial.best is not None
    assert (trial.best.epoch, trial.best.value) == (1, 0.5)
    assert math.isnan(trial.best.metrics["loss"])
    assert trial.best.metrics["up"] == math.inf


@pytest.mark.parametrize(
    "name",
    ["recall@5", "정확도", "l2 (dense)", "f1|b", "seconds", "x,y", "a/b", "n" * 300],
)
def test_metrics_and_hyperparameters_may_have_any_name(shared_store: Store, name: str) -> None:
    """Keras and search spaces let them; the record does not spell them as MLflow must."""
    space, objective = SearchSpace(ks.Float(name, 0.0, 1.0)), Objective(name, "max")
    study = f"a name {hashlib.sha256(name.encode()).hexdigest()[:8]}"
    journal = begin(shared_store, study, space=space, objective=objective)
    spec = make_spec(values={name: 0.25}, objective=objective)
    curve = [{name: 0.75, "loss": 0.5}, {name: 0.875, "loss": 0.25}]
    record_trial(journal, spec, curve)
    history = read_study(shared_store, study)
    assert history.trial(0).spec == spec
    assert history.curve(history.trial(0)) == dict(enumerate(curve, start=1))
    assert history.best is not None and history.best.best == BestEpoch(2, 0.875, curve[1])


def test_long_texts_and_large_spaces_survive(shared_store: Store) -> None:
    space = SearchSpace([ks.Float(f"a parameter with number {i:03}", 0.0, 1.0) for i in range(200)])
    values = {name: 1 / (3 + i) for i, name in enumerate(space.names)}
    journal = begin(shared_store, "large", space=space)
    spec, text = make_spec(values=values), "한" * 20_000
    uuid = journal.begin_trial(spec, Proposal(0, values, {"sampler": text}), {"device": text})
    result = TrialResult(0, "infeasible", reason=text)
    journal.end_trial(uuid, result)
    history = read_study(shared_store, "large")
    trial = history.trial(0)
    assert history.description.space == space
    assert (trial.spec, trial.result) == (spec, result)
    assert trial.environment == {"device": text} and trial.engine_state == {"sampler": text}


def test_trials_left_running_are_ended(shared_store: Store) -> None:
    """What has a result keeps it."""
    journal = begin(shared_store, "left running")
    for number, state in ((0, "running"), (1, "pruned"), (2, "complete"), (3, "infeasible")):
        record_trial(journal, make_spec(number), CURVE, state)  # type: ignore[arg-type]
    before = read_study(shared_store, "left running")
    journal.end_left_over()
    history = read_study(shared_store, "left running")
    assert [t.state for t in history.trials] == ["interrupted", "pruned", "complete", "infeasible"]
    assert [t.result for t in history.trials] == [t.result for t in before.trials]


def test_the_last_attempt_counts(shared_store: Store) -> None:
    journal = begin(shared_store, "attempts")
    record_trial(journal, make_spec(0), losses(0.1), "interrupted")
    record_trial(journal, make_spec(1), losses(0.4))
    second = record_trial(journal, make_spec(0, attempt=2), losses(0.3))
    history = read_study(shared_store, "attempts")
    assert history.counts() == {
        **dict.fromkeys(("pruned", "infeasible", "interrupted", "running"), 0),
        "complete": 2,
    }
    assert history.trial(0).uuid == second
    assert history.trial(0).spec.attempt == 2
    assert history.best == history.trial(0)


def test_a_study_without_a_finished_trial_is_begun_anew(shared_store: Store) -> None:
    journal = begin(shared_store, "anew")
    record_trial(journal, make_spec(), CURVE, "running")
    journal.close()
    Journal.begin(journal.folder, describe(name="anew", seed=7), ENVIRONMENT).close()
    history = read_study(shared_store, "anew")
    assert (history.description.seed, history.trials) == (7, ())


def test_an_unknown_trial_says_what_there_is(history: StudyHistory) -> None:
    with pytest.raises(StudyNotFoundError) as told:
        history.trial(99)
    assert "no trial 99" in str(told.value)
    assert "0 to 4" in str(told.value)
