"""Spaces that grow while a study runs, and trials that go on from others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from in_mlflow import InMlflow
from scripted import SPACE, ScriptedExecutor, describe, run_study
from suite import exhaustive_but

import kerastudy as ks
from tracking.history import StudyHistory
from tracking.records import TrialSpec

ENGINES = ["optuna:tpe", "keras-tuner:random", "keras-tuner:hyperband"]
LATE = ks.Float("late", 0.0, 1.0, default=0.25)


def outcome(history: StudyHistory) -> list[tuple]:
    return [
        (dict(t.spec.values), t.spec.seed, t.spec.goes_on_from, t.state, t.best)
        for t in history.trials
    ]


def cut_and_resumed(folder: Path, executor: ScriptedExecutor, cut: int) -> StudyHistory:
    """Launches a study that Ctrl-C ends before a trial, and launches it again."""

    def interrupt(spec: TrialSpec) -> None:
        if spec.number == cut:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(replace(executor, before=interrupt), store=folder)
    return run_study(executor, store=folder)


class TestJoining:
    def executor(self, name: str, engine: str) -> ScriptedExecutor:
        name = f"{name} by {engine}"
        description = describe(name=name, engine=engine, trials=9, discovered=True, epochs=3)
        return ScriptedExecutor(description, joined={3: [LATE]})

    @pytest.mark.parametrize("engine", exhaustive_but(ENGINES[::2], ENGINES))
    def test_what_shows_late_is_tuned_from_then_on(self, folder: Path, engine: str) -> None:
        history = run_study(self.executor("uncut", engine), store=folder)
        assert "late" in history.description.space
        late = [t.spec.values["late"] for t in history.trials]
        assert late[:4] == [0.25] * 4
        assert len(set(late[4:])) > 1
        for trial in history.trials:
            assert history.description.space.contains(trial.spec.values)
        shown = InMlflow(history)
        params = [shown.run(t.uuid).data.params.get("late") for t in history.trials]
        assert [float(param or "nan") for param in params[3:]] == pytest.approx(late[3:], rel=1e-3)

    @pytest.mark.parametrize("engine", exhaustive_but(ENGINES[::2], ENGINES))
    @pytest.mark.parametrize("cut", exhaustive_but([6], [4, 6]))
    def test_resumed_it_goes_on_as_if_uninterrupted(
        self, folder: Path, engine: str, cut: int
    ) -> None:
        wanted = run_study(self.executor("uncut", engine), store=folder)
        found = cut_and_resumed(folder, self.executor(f"cut at {cut}", engine), cut)
        assert outcome(found) == outcome(wanted)

    def test_a_declared_space_stays_as_declared(self, folder: Path) -> None:
        executor = ScriptedExecutor(describe(name="declared", trials=5), joined={1: [LATE]})
        history = run_study(executor, store=folder)
        assert history.description.space == SPACE
        run = InMlflow(history).run(history.trial(1).uuid)
        assert run.data.params["late"] == "0.25", "it is recorded all the same"


class TestGoingOn:
    HYPERBAND: ClassVar = {"engine": "keras-tuner:hyperband", "epochs": 9, "trials": 17, "keep": 1}

    @pytest.fixture(scope="class")
    @classmethod
    def history(cls, folder: Path) -> StudyHistory:
        return run_study(ScriptedExecutor(describe(**cls.HYPERBAND)), store=folder)

    def test_a_promoted_trial_goes_on_with_its_parents_seed_values_and_epochs(
        self, history: StudyHistory
    ) -> None:
        promoted = 0
        for trial in history.trials:
            curve = history.curve(trial)
            assert list(curve) == list(range(1, trial.spec.epochs + 1))
            assert trial.best is not None
            assert trial.best.value == min(metrics["val_loss"] for metrics in curve.values())
            if trial.spec.goes_on_from is not None:
                promoted += 1
                parent = history.trial(trial.spec.goes_on_from)
                assert (trial.spec.seed, trial.spec.values) == (
                    parent.spec.seed,
                    parent.spec.values,
                )
                before = history.curve(parent)
                assert trial.spec.initial_epoch == len(before) < trial.spec.epochs
                assert {epoch: curve[epoch] for epoch in before} == before
        assert promoted >= 4

    def test_files_to_go_on_from_are_dropped_once_nobody_can(self, history: StudyHistory) -> None:
        folder = history.files.folder
        rung = {t.number for t in history.trials if t.spec.epochs == 1}
        left = {int(p.name[6:11]) for p in folder.glob("*.state.safetensors")}
        assert not left & rung, "the first bracket's first rung is over"

    @pytest.mark.parametrize("cut", exhaustive_but([12], [5, 12, 13, 16]))
    def test_resumed_it_goes_on_as_if_uninterrupted(
        self, folder: Path, history: StudyHistory, cut: int
    ) -> None:
        description = describe(name=f"going on, cut at {cut}", **self.HYPERBAND)
        found = cut_and_resumed(folder, ScriptedExecutor(description), cut)
        assert outcome(found) == outcome(history)
