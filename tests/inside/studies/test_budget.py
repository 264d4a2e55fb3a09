"""When a study ends, and when a trial is cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from scripted import describe, loss, run_study
from simulated_workers import SimulatedWorkers
from stores import history_at

import kerastudy as ks
from search_spaces import SearchSpace, StudyError, StudyNotFoundError
from studies.champion import reproduce
from studies.commands import trial_text
from studies.executors import Handler
from tracking.history import StudyHistory, read_study
from tracking.records import TrialSpec, TrialTask


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("budget") / "store"


@dataclass
class ToldClock:
    """A launch's clock, which goes on when a test says so."""

    seconds: float = 0.0

    def start(self) -> None:
        self.seconds = 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ToldClock:
    clock = ToldClock()
    monkeypatch.setattr("studies.running.driver.Clock", lambda: clock)
    return clock


@pytest.fixture
def a_while(clock: ToldClock) -> Callable[..., None]:
    """Epochs that take time."""

    def pass_time(spec: TrialSpec, epoch: int) -> None:
        clock.seconds += 0.06

    return pass_time


@pytest.fixture
def launch(folder: Path, request: pytest.FixtureRequest) -> Any:
    def launch_named(executor: dict[str, Any] | None = None, **settings: Any) -> StudyHistory:
        at_the_end = settings.pop("at_the_end", "finish")
        description = describe(name=request.node.name, **{"trials": 12, **settings})
        simulated = SimulatedWorkers(description, **(executor or {}))
        history = run_study(simulated, store=folder, workers=2, at_the_end=at_the_end)
        return read_study(history.store, description.name)

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
    assert history.ended_by == "patience"
    assert "no value" in history.stopped


def test_running_trials_are_finished_when_the_time_is_up(launch: Any, a_while: Any) -> None:
    history = launch({"before_epoch": a_while}, timeout=0.5, trials=500)
    assert (history.ended_by, history.status) == ("timeout", "FINISHED")
    assert 0 < history.counts()["complete"] == len(history.trials) < 500


@pytest.mark.parametrize("goes_on", [True, False])
def test_or_cut_if_asked_and_resumed(launch: Any, clock: Any, a_while: Any, goes_on: bool) -> None:
    settings = {"trials": 4, "epochs": 1000, "goes_on": goes_on}
    history = launch({"before_epoch": a_while}, timeout=0.5, at_the_end="cut", **settings)
    assert (history.ended_by, history.counts()["interrupted"]) == ("timeout", 2)
    assert "launch again to resume" in history.stopped
    cut = next(trial for trial in history.trials if trial.state == "interrupted")
    assert "reproduce" not in trial_text(history, cut)
    with pytest.raises(StudyNotFoundError, match=r"interrupted\. Launch the study again"):
        reproduce(history, cut.number)
    history = launch(**settings)
    assert history.counts()["complete"] == 4
    assert [t.spec.attempt for t in history.trials] == [2, 2, 1, 1]
    told = "attempt    2, from its first epoch: it can't be resumed"
    assert (told in trial_text(history, history.trial(0))) is not goes_on


def test_a_trial_that_takes_too_long_is_cut_with_its_best_epoch(launch: Any, a_while: Any) -> None:
    def slow(spec: TrialSpec, epoch: int) -> None:
        if spec.number == 1:
            a_while(spec, epoch)

    history = launch({"before_epoch": slow}, trial_timeout=0.4, trials=3, epochs=1000)
    trial = history.trial(1)
    assert trial.state == "pruned"
    assert trial.result.reason == "its time of 0.4 s was up"
    assert trial.best.value == min(loss(trial.spec, e) for e in range(1, trial.result.epochs + 1))
    assert history.checkpoint(trial) is not None or trial not in history.top(3)


class Delaying(SimulatedWorkers):
    """The process of trial 1 has died before it began, and it takes a while to replace it."""

    def __init__(self, told: ToldClock, *arguments: Any, **options: Any) -> None:
        self.told, self.begins = told, 0.0
        super().__init__(*arguments, **options)

    @property
    def delayed(self) -> list[TrialSpec]:
        specs = [training.spec for training in self._trainings.values()]
        return [s for s in specs if s.number == 1 and self.told.seconds < self.begins]

    def submit(self, *fits: TrialTask) -> None:
        super().submit(*fits)
        if fits[0].spec.number == 1:
            self.begins = self.told.seconds + 1.2

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        if self.delayed:
            self.told.seconds += 0.05
        else:
            super().wait(handler, seconds)


@pytest.mark.parametrize("hangs", [False, True])
def test_a_trial_that_hangs_since_its_process_is_there_is_ended_with_it(
    folder: Path, clock: ToldClock, hangs: bool
) -> None:
    description = describe(name=f"delayed, {hangs}", trials=4, trial_timeout=0.6)

    def hangs_for_ever(spec: TrialSpec) -> bool:
        clock.seconds += 0.1 * (spec.number == 1)
        return hangs and spec.number == 1

    executor = Delaying(clock, description, 1, hangs=hangs_for_ever)
    history = run_study(executor, store=folder, workers=2)
    trial = history.trial(1)
    assert trial.state == ("infeasible" if hangs else "complete")
    assert executor.cuts == ([1] if hangs else [])
    assert trial.spec.attempt == 1, "it is not tried again"
    assert trial.result is not None
    assert trial.result.reason.endswith("its epoch did not end") is hangs
    assert history.counts()["complete"] == 3 + (not hangs)


def test_a_launch_that_was_stopped_cuts_no_trial(launch: Any, clock: ToldClock) -> None:
    """By SIGSTOP, together with its workers, for longer than a trial may take."""

    def stopped_once(spec: TrialSpec) -> bool:
        if spec.number == 1 and clock.seconds < 60:
            clock.seconds += 60
            return True
        return False

    history = launch({"hangs": stopped_once}, trial_timeout=0.4, trials=4)
    assert history.counts()["complete"] == 4


def test_a_space_that_was_tried_ends_a_study(launch: Any) -> None:
    space = SearchSpace(ks.Choice("rate", [0.01, 0.02]), ks.Choice("units", [16, 32]))
    history = launch(space=space, engine="optuna:grid", trials=9)
    assert (history.ended_by, history.status) == ("space", "FINISHED")
    assert history.stopped == "all 4 configurations of the space were tried"
    assert [dict(t.spec.values) for t in history.trials] == list(space.grid())


@pytest.mark.parametrize(
    ("error", "ended_by", "status", "stopped"),
    [
        (KeyboardInterrupt(), "interrupt", "KILLED", "interrupted; launch again to resume"),
        (StudyError("made up"), "error", "FAILED", "an error"),
    ],
)
def test_an_error_ends_a_launch(
    launch: Any,
    folder: Path,
    request: pytest.FixtureRequest,
    error: BaseException,
    ended_by: str,
    status: str,
    stopped: str,
) -> None:
    def before_epoch(spec: TrialSpec, epoch: int) -> None:
        if (spec.number, epoch) == (3, 2):
            raise error

    with pytest.raises(type(error)):
        launch({"before_epoch": before_epoch})
    history = history_at(folder, request.node.name)
    assert (history.ended_by, history.status, history.stopped) == (ended_by, status, stopped)
    assert history.counts()["running"] == 0
    history = launch()
    assert (history.ended_by, history.stopped) == ("trials", "all 12 trials are done")
