"""Studies with several workers that depend on no timing."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from in_mlflow import InMlflow
from scripted import describe, run_study
from simulated_workers import SimulatedWorkers
from suite import exhaustive_but

from search_spaces import StudyChangedError
from tracking.history import StudyHistory
from tracking.records import TrialSpec

Launch = Callable[..., StudyHistory]


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    """Launches a study in a store that is called by a name."""
    return lambda name, **settings: run(tmp_path / name, **settings)


def run(folder: Path, workers: int = 2, seed: int = 0, **settings: Any) -> StudyHistory:
    before_epoch = settings.pop("before_epoch", lambda spec, epoch: None)
    description = describe(**{"deterministic": True, "trials": 16, **settings})
    executor = SimulatedWorkers(
        description,
        workers,
        seed,
        before_epoch,
        lambda spec: spec.values["units"] > 58,
    )
    return run_study(executor, store=folder, workers=workers)


def outcome(history: StudyHistory) -> list[tuple]:
    return [
        (
            t.number,
            t.state,
            dict(t.spec.values),
            t.spec.seed,
            t.known,
            t.result
            and (t.result.epochs, t.result.best, t.result.reason, t.result.checkpoint_sha256),
        )
        for t in history.trials
    ]


def best_so_far(history: StudyHistory) -> list[tuple[int, float]]:
    shown = InMlflow(history)
    return shown.points(shown.parent, "study/best_val_loss")


@pytest.mark.parametrize(
    ("engine", "pruner"),
    exhaustive_but(
        [("optuna:tpe", "median")],
        [
            ("optuna:tpe", "median"),
            ("optuna:cma-es", "successive-halving"),
            ("optuna:random", "hyperband"),
            ("optuna:tpe", "patient"),
            ("keras-tuner:hyperband", "none"),
        ],
    ),
)
def test_which_trial_ends_first_changes_nothing(launch: Launch, engine: str, pruner: str) -> None:
    settings = {"engine": engine, "pruner": pruner, "workers": 3, "trials": 14}
    first = launch("1", seed=1, **settings)
    second = launch("2", seed=2, **settings)
    assert outcome(first) == outcome(second)
    assert best_so_far(first) == best_so_far(second) != []
    assert first.counts()["complete"] > 3


def test_without_it_the_order_counts(launch: Launch) -> None:
    """Or the test above would show nothing."""
    settings = {"deterministic": False, "pruner": "median", "workers": 3, "trials": 14}
    first = launch("1", seed=1, **settings)
    second = launch("2", seed=2, **settings)
    assert outcome(first) != outcome(second)


def test_a_trial_is_proposed_from_those_that_a_worker_less_would_have_ended(
    launch: Launch,
) -> None:
    history = launch("store", workers=3)
    assert [t.known for t in history.trials] == [max(0, k - 2) for k in range(16)]


def test_one_worker_proposes_what_it_would_anyway(launch: Launch) -> None:
    told = launch("1", workers=1, pruner="median")
    plain = launch("2", workers=1, pruner="median", deterministic=False)
    without = [(o[:4], o[5]) for o in outcome(told)]
    assert without == [(o[:4], o[5]) for o in outcome(plain)]


class Killed(BaseException):
    """What ends a process, as far as the record can tell."""


KILLED = [*itertools.product(("optuna:tpe", "keras-tuner:hyperband"), (2, 14, 27))]


@pytest.mark.parametrize(("engine", "at"), exhaustive_but([KILLED[1]], KILLED))
def test_one_that_was_interrupted_goes_on_as_if_nothing_had_happened(
    launch: Launch, at: int, engine: str
) -> None:
    pruner = "median" if engine == "optuna:tpe" else "none"
    settings = {"engine": engine, "workers": 3, "pruner": pruner}
    undisturbed = launch("1", seed=1, **settings)
    epochs = 0

    def kill(spec: TrialSpec, epoch: int) -> None:
        nonlocal epochs
        epochs += 1
        if epochs == at:
            raise Killed

    with pytest.raises(Killed):
        launch("2", seed=5, before_epoch=kill, **settings)
    # With fewer workers than it was begun with.
    history = launch("2", seed=7, **{**settings, "workers": 1})
    assert outcome(history) == outcome(undisturbed)


@pytest.mark.exhaustive
def test_a_target_ends_it_after_the_same_trials(launch: Launch) -> None:
    full = launch("1", trials=30)
    values = [t.best.value for t in full.trials if t.best is not None]
    target = sorted(values)[8]
    first = launch("2", seed=1, trials=30, stop_at=target)
    second = launch("3", seed=2, trials=30, stop_at=target)
    assert outcome(first) == outcome(second)
    assert first.ended_by == second.ended_by == "stop_at"
    assert len(first.trials) < 30


def test_a_study_that_was_begun_without_it_is_refused(launch: Launch) -> None:
    launch("store", deterministic=False, trials=4)
    with pytest.raises(StudyChangedError, match=r"begun without --deterministic.*--name"):
        launch("store", trials=6)


@pytest.mark.exhaustive
def test_one_that_was_begun_with_it_stays_so(launch: Launch) -> None:
    """And its further trials are those that a longer study would have had."""
    longer = launch("1", seed=1, pruner="median")
    launch("2", seed=2, pruner="median", trials=8)
    history = launch("2", seed=4, pruner="median", deterministic=False)
    assert outcome(history) == outcome(longer)
