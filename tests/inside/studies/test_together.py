"""Trials that begin or end together: written at once, and none waits for others."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from in_mlflow import InMlflow
from scripted import ScriptedExecutor, describe, run_study

import kerastudy as ks
from studies.engines import OptunaEngine
from studies.executors import Handler, jobs
from studies.progress import NoProgress
from tracking.history import StudyHistory, read_study
from tracking.records import TrialResult, TrialTask
from tracking.store import create_store, open_store


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all: making its databases takes longer than any study here."""
    return create_store(tmp_path_factory.mktemp("together") / "store").root


def read(folder: Path, name: str) -> StudyHistory:
    store = open_store(folder)
    assert store is not None
    return read_study(store, name)


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [(math.inf, ["ask"] * 3 + ["train"] * 3), (-1.0, ["ask", "train"] * 3)],
    ids=["found at once", "found one after the other"],
)
def test_no_trial_waits_while_an_engine_thinks_about_the_next(
    folder: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, wanted: list[str]
) -> None:
    events: list[str] = []
    ask = OptunaEngine.ask

    def noted(engine: OptunaEngine, *arguments: Any) -> Any:
        events.append("ask")
        return ask(engine, *arguments)

    class Noting(ScriptedExecutor):
        def submit(self, *fits: TrialTask) -> None:
            events.append("train")
            super().submit(*fits)

    monkeypatch.setattr(jobs, "_SECONDS_TOGETHER", seconds)
    monkeypatch.setattr(OptunaEngine, "ask", noted)
    description = describe(name=f"together {seconds}", trials=3)
    run_study(Noting(description, workers=3), store=folder, progress=NoProgress())
    assert events == wanted


def test_what_has_ended_stays_so_whatever_comes_then(folder: Path) -> None:
    """Ctrl-C when all three are in the record, and of one it was shown."""

    class Interrupted(NoProgress):
        def trial_ended(self, result: TrialResult, best: tuple[int, float] | None) -> None:
            raise KeyboardInterrupt

    description = describe(name="interrupted", trials=3, seed=3)
    executor = ScriptedExecutor(description, workers=3)
    with pytest.raises(KeyboardInterrupt):
        run_study(executor, store=folder, progress=Interrupted())
    history = read(folder, "interrupted")
    assert [trial.state for trial in history.trials] == ["complete"] * 3
    # The curve of the best so far has each that was the best when it ended.
    values = [trial.best.value for trial in history.trials if trial.best]
    assert values[0] > values[1], "or this shows nothing"
    shown = InMlflow(history)
    best = [n + 1 for n in range(3) if values[n] == min(values[: n + 1])]
    assert [step for step, _ in shown.points(shown.parent, "study/best_val_loss")] == best


class OneByOne(ScriptedExecutor):
    """Ends one of its trials at each wait, those that were begun first."""

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        if self._replacing:
            self._replacing = False
        else:
            self._run_job(self._waiting.popleft(), handler)


class LastFirst(ScriptedExecutor):
    """Ends one of its trials at each wait, the one that was begun last."""

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        self._run_job(self._waiting.pop(), handler)


def test_what_mlflow_shows_as_the_best_is_the_best_whichever_trial_ended_last(folder: Path) -> None:
    """MLflow shows the value at the highest step, of all launches."""
    for trials in (8, 20):
        executor = LastFirst(
            describe(name="last first", trials=trials), workers=4, infeasible={1, 2}
        )
        history = run_study(executor, store=folder, progress=NoProgress())
        assert history.best is not None and history.best.best is not None
        shown = InMlflow(history)
        assert shown.parent.data.metrics["study/best_val_loss"] == history.best.best.value
        points = shown.points(shown.parent, "study/best_val_loss")
        assert [step for step, _ in points] == sorted({step for step, _ in points})
        assert all(1 <= step <= trials for step, _ in points)
        values = [value for _, value in points]
        assert values == sorted(set(values), reverse=True) and len(values) > 1


@pytest.mark.parametrize("repeats", [1, 2])
def test_what_shows_late_joins_trials_that_run_and_begin_again(folder: Path, repeats: int) -> None:
    """Trial 1 shows it while trial 2 runs, which then loses its process, or has a next repeat."""
    description = describe(
        name=f"late in {repeats}", trials=5, epochs=2, discovered=True, repeats=repeats
    )
    executor = OneByOne(
        description,
        workers=2,
        joined={1: [ks.Float("late", 0.0, 1.0, default=0.25)]},
        lost=[2] if repeats == 1 else [],
    )
    history = run_study(executor, store=folder, progress=NoProgress())
    assert [trial.state for trial in history.trials] == ["complete"] * 5
    assert [trial.spec.values["late"] for trial in history.trials[:3]] == [0.25] * 3


def test_a_trial_that_loses_its_worker_at_the_end_is_finished(folder: Path) -> None:
    """The target is reached by one, and another runs then; what has not begun is not."""
    description = describe(name="lost at the end", trials=5, epochs=2, stop_at=1000.0)
    executor = OneByOne(description, workers=2, lost=[1])
    history = run_study(executor, store=folder, progress=NoProgress())
    assert (history.ended_by, history.status) == ("stop_at", "FINISHED")
    assert executor.ran == [(0, 1), (1, 1), (1, 2)]
    assert [trial.state for trial in history.trials] == ["complete"] * 2
