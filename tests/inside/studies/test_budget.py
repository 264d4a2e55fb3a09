"""When a study ends, and when a trial is cut."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scripted import describe, loss, run_study
from simulated_workers import SimulatedWorkers
from stores import history_at

import kerastudy as ks
from search_spaces import SearchSpace, StudyError
from tracking.history import StudyHistory
from tracking.records import TrialSpec


@pytest.fixture
def launch(folder: Path, request: pytest.FixtureRequest) -> Any:
    def launch_named(executor: dict[str, Any] | None = None, **settings: Any) -> StudyHistory:
        description = describe(name=request.node.name, **{"trials": 12, **settings})
        simulated = SimulatedWorkers(description, **(executor or {}))
        return run_study(simulated, store=folder, workers=2)

    return launch_named


def test_a_target_ends_a_study_which_another_one_resumes(launch: Any) -> None:
    history = launch(stop_at=0.9, trials=30)
    assert history.ended_by == "stop_at"
    assert history.best.best.value <= 0.9
    assert f"in trial {history.best.number}" in history.stopped
    assert history.counts()["interrupted"] == 0
    # Trials that ran meanwhile end, no more begin.
    assert history.trials[-1].number <= history.best.number + 2 < 29
    again = launch(stop_at=0.9, trials=30)
    assert (len(again.trials), again.ended_by) == (len(history.trials), "stop_at")
    other = launch(stop_at=0.0, trials=30)
    assert (len(other.trials), other.ended_by) == (30, "trials")


def test_patience_ends_a_study(launch: Any) -> None:
    history = launch(patience=5, trials=200)
    assert history.ended_by == "patience"
    later = [t for t in history.trials if t.number > history.best.number]
    assert 5 <= len(later) <= 6
    assert f"nothing better than trial {history.best.number}" in history.stopped


def test_patience_ends_a_study_without_any_value(launch: Any) -> None:
    history = launch({"infeasible": lambda spec: True}, patience=4, trials=200)
    assert history.ended_by == "patience" and "no value" in history.stopped


def test_running_trials_are_finished_when_the_time_is_up(
    launch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    # Each epoch takes time.
    clock = SimpleNamespace(monotonic=lambda: 0.06 * len(begun))
    monkeypatch.setattr("studies.launching.trial_proposals.time", clock)
    before = {"before_epoch": lambda spec, epoch: begun.append(epoch)}
    history = launch(before, timeout=0.5, trials=500)
    assert (history.ended_by, history.status) == ("timeout", "FINISHED")
    assert 0 < history.counts()["complete"] == len(history.trials) < 500


def test_a_trial_that_takes_too_long_is_cut_with_its_best_epoch(launch: Any) -> None:
    history = launch(trial_timeout=5.0, trials=3, epochs=1000)
    trial = history.trial(1)
    assert trial.state == "pruned"
    assert trial.result.reason == "its time of 5 s was up"
    assert trial.best.value == min(loss(trial.spec, e) for e in range(1, trial.result.epochs + 1))
    assert history.checkpoint(trial) is not None or trial not in history.top(3)


def test_a_space_that_was_tried_ends_a_study(launch: Any) -> None:
    space = SearchSpace(ks.Choice("rate", [0.01, 0.02]), ks.Choice("units", [16, 32]))
    history = launch(space=space, engine="optuna:grid", trials=9)
    assert (history.ended_by, history.status) == ("space", "FINISHED")
    assert history.stopped == "all 4 configurations of the space were tried"
    assert [dict(t.spec.values) for t in history.trials] == list(space.grid())


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (KeyboardInterrupt(), ("interrupt", "KILLED", "interrupted; launch again to resume")),
        (StudyError("made up"), ("error", "FAILED", "an error")),
    ],
)
def test_an_error_ends_a_launch(
    launch: Any, folder: Path, request: pytest.FixtureRequest, error: BaseException, ended: Any
) -> None:
    def before_epoch(spec: TrialSpec, epoch: int) -> None:
        if (spec.number, epoch) == (3, 2):
            raise error

    with pytest.raises(type(error)):
        launch({"before_epoch": before_epoch})
    history = history_at(folder, request.node.name)
    assert (history.ended_by, history.status, history.stopped) == ended
    assert history.counts()["running"] == 0
    history = launch()
    assert (history.ended_by, history.stopped) == ("trials", "all 12 trials are done")
