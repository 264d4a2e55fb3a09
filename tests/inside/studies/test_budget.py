"""When a study ends, and when a trial is cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from in_mlflow import InMlflow
from scripted import describe, loss, run_study
from simulated_workers import SimulatedWorkers
from stores import history_at

import kerastudy as ks
from search_spaces import SearchSpace, StudyError, StudyNotFoundError
from studies import Study
from studies.champion import reproduce
from studies.commands import trial_text
from studies.executors import Handler
from studies.progress import NoProgress
from tracking.history import StudyHistory, read_study
from tracking.records import TrialSpec, TrialTask


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("budget") / "store"


class ToldClock:
    """A launch's clock, which goes on when a test says so."""

    caught_up = True
    seconds = 0.0

    def __enter__(self) -> ToldClock:
        self.seconds = 0.0
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ToldClock:
    clock = ToldClock()
    monkeypatch.setattr("studies.running.driver.AwakeClock", lambda: clock)
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
        history = run_study(
            simulated, store=folder, progress=NoProgress(), workers=2, at_the_end=at_the_end
        )
        recorded = read_study(history.store, description.name)
        for told in ("ended_by", "stopped", "status"):
            assert getattr(recorded, told) == getattr(history, told), told
        return recorded

    return launch_named


@pytest.fixture
def recorded(folder: Path, request: pytest.FixtureRequest) -> Callable[[], StudyHistory]:
    """Reads what the store has of a launch that raised."""

    def read() -> StudyHistory:
        return history_at(folder, request.node.name)

    return read


def raising(error: BaseException) -> Callable[[TrialSpec, int], None]:
    """Raises in the second epoch of trial 3."""

    def before_epoch(spec: TrialSpec, epoch: int) -> None:
        if (spec.number, epoch) == (3, 2):
            raise error

    return before_epoch


def test_a_target_ends_a_study(launch: Any) -> None:
    history = launch(stop_at=0.9, trials=200)
    assert history.ended_by == "stop_at"
    assert history.best.best.value <= 0.9
    assert f"in trial {history.best.number}" in history.stopped
    assert len(history.trials) < 200
    assert history.counts()["interrupted"] == 0
    # Trials that ran meanwhile end, no more begin.
    assert history.trials[-1].number <= history.best.number + 2


def test_a_target_that_was_reached_needs_no_more_trials(launch: Any) -> None:
    before = launch(stop_at=0.9, trials=200)
    after = launch(stop_at=0.9, trials=200)
    assert len(after.trials) == len(before.trials)
    assert after.ended_by == "stop_at"


def test_another_target_goes_on(launch: Any) -> None:
    before = launch(stop_at=1.5, trials=30)
    after = launch(stop_at=0.0, trials=30)
    assert len(before.trials) < len(after.trials) == 30
    assert after.ended_by == "trials"


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
    assert history.ended_by == "timeout"
    assert 0 < len(history.trials) < 500
    assert history.counts()["complete"] == len(history.trials)
    assert history.status == "FINISHED"


def test_or_cut_if_asked_and_gone_on_with(launch: Any, a_while: Any) -> None:
    history = launch(
        {"before_epoch": a_while}, timeout=0.5, trials=4, epochs=1000, at_the_end="cut"
    )
    assert history.ended_by == "timeout"
    assert history.counts()["interrupted"] == 2
    assert "launch again to resume" in history.stopped
    cut = next(trial for trial in history.trials if trial.state == "interrupted")
    assert "reproduce" not in trial_text(history, cut)
    with pytest.raises(StudyNotFoundError, match=r"interrupted\. Launch the study again"):
        reproduce(history, cut.number)
    history = launch(trials=4, epochs=1000)
    assert history.counts()["complete"] == 4
    assert [t.spec.attempt for t in history.trials] == [2, 2, 1, 1]
    assert "can't be resumed" not in trial_text(history, history.trial(0))


def test_what_can_not_be_resumed_says_so(launch: Any, a_while: Any) -> None:
    cut = {"timeout": 0.5, "epochs": 1000, "at_the_end": "cut"}
    launch({"before_epoch": a_while}, trials=2, goes_on=False, **cut)
    history = launch(trials=2, epochs=1000, goes_on=False)
    told = trial_text(history, history.trial(0))
    assert "attempt    2, from its first epoch: it can't be resumed" in told


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


def test_a_trial_that_hangs_is_ended_with_its_process(launch: Any, clock: ToldClock) -> None:
    def hangs(spec: TrialSpec) -> bool:
        # Slowly: trials beside it have the same limit.
        clock.seconds += 0.01 * (spec.number == 1)
        return spec.number == 1

    executor = {"hangs": hangs}
    history = launch(executor, trial_timeout=0.4, trials=4)
    assert history.trial(1).state == "infeasible"
    assert "its epoch did not end" in history.trial(1).result.reason
    assert history.trial(1).spec.attempt == 1, "it is not tried again"
    assert history.counts()["complete"] == 3


@dataclass
class Delaying(SimulatedWorkers):
    """The process of trial 1 has died before it began, and it takes a while to replace it."""

    clock: ToldClock = field(default_factory=ToldClock)
    begins: float = 0.0

    @property
    def delayed(self) -> list[TrialSpec]:
        loads = self.clock.seconds < self.begins
        return [task.spec for n, (task, *_) in self._running.items() if n == 1 and loads]

    def submit(self, *fits: TrialTask) -> None:
        super().submit(*fits)
        if fits[0].spec.number == 1:
            self.begins = self.clock.seconds + 1.2

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        if self.delayed:
            self.clock.seconds += 0.05
        else:
            super().wait(handler, seconds)

    def cut(self, number: int) -> bool:
        return not self.delayed and super().cut(number)


@pytest.mark.parametrize("hangs", [False, True])
def test_a_trials_time_begins_when_its_process_is_there(
    folder: Path, clock: ToldClock, hangs: bool
) -> None:
    description = describe(name=f"delayed, {hangs}", trials=3, trial_timeout=0.6)

    def hangs_for_ever(spec: TrialSpec) -> bool:
        clock.seconds += 0.1 * (spec.number == 1)
        return hangs and spec.number == 1

    executor = Delaying(description, 1, hangs=hangs_for_ever, clock=clock)
    history = run_study(executor, store=folder, progress=NoProgress(), workers=2)
    trial = history.trial(1)
    assert trial.state == ("infeasible" if hangs else "complete")
    assert executor.cuts == ([1] if hangs else [])


def test_a_space_that_was_tried_ends_a_study(launch: Any) -> None:
    space = SearchSpace(ks.Choice("rate", [0.01, 0.02]), ks.Choice("units", [16, 32]))
    history = launch(space=space, engine="optuna:grid", trials=9)
    assert (history.ended_by, history.status) == ("space", "FINISHED")
    assert history.stopped == "all 4 configurations of the space were tried"
    assert len(history.trials) == 4


def test_an_interrupt_ends_a_launch(launch: Any, recorded: Callable[[], StudyHistory]) -> None:
    with pytest.raises(KeyboardInterrupt):
        launch({"before_epoch": raising(KeyboardInterrupt())})
    history = recorded()
    assert (history.ended_by, history.status) == ("interrupt", "KILLED")
    assert history.stopped == "interrupted; launch again to resume"
    assert history.counts()["running"] == 0
    assert launch().ended_by == "trials"


def test_an_error_ends_a_launch(launch: Any, recorded: Callable[[], StudyHistory]) -> None:
    with pytest.raises(StudyError, match="made up"):
        launch({"before_epoch": raising(StudyError("made up"))})
    history = recorded()
    assert (history.ended_by, history.status) == ("error", "FAILED")
    assert history.stopped == "an error"
    assert history.counts()["running"] == 0
    assert launch().ended_by == "trials"


def test_how_it_ended_is_recorded(launch: Any) -> None:
    history = launch(trials=2)
    assert (history.ended_by, history.stopped) == ("trials", "all 2 trials are done")
    note = InMlflow(history).parent.data.tags["mlflow.note.content"]
    assert "ended: all 2 trials are done" in note


@pytest.mark.parametrize("setting", ["timeout", "trial_timeout", "stop_at", "patience"])
@pytest.mark.parametrize("value", ["soon", float("nan"), True])
def test_what_is_no_budget_is_refused(setting: str, value: object) -> None:
    with pytest.raises(StudyError, match=rf"{setting} must be .*{value!r}"):
        Study("s", data=ks.datasets.digits(), build=print, **{setting: value})  # type: ignore[arg-type]


def test_no_time_is_no_time() -> None:
    with pytest.raises(StudyError, match="above 0"):
        Study("s", data=ks.datasets.digits(), build=print, timeout=0)
