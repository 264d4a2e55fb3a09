"""Trials that are trained several times: what is recorded, and what their value is."""

from __future__ import annotations

import statistics
from dataclasses import replace
from pathlib import Path

import pytest
from in_mlflow import InMlflow
from scripted import ScriptedExecutor, describe, loss, read_checkpoint, run_study
from statements import noting_statements, read_whole
from study_record import left_behind

from studies.definition import trial_seed
from studies.executors import Handler
from studies.progress import NoProgress
from tracking.history import StudyHistory, fit_metrics
from tracking.records import TrialRecord, TrialResult, TrialSpec, TrialTask


def launch(
    folder: Path, executor: ScriptedExecutor | None = None, **settings: object
) -> StudyHistory:
    executor = executor or ScriptedExecutor(describe(repeats=3, **settings))
    return run_study(executor, store=folder, progress=NoProgress())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all: making its databases takes longer than any study here."""
    return tmp_path_factory.mktemp("repeats") / "store"


@pytest.fixture(scope="module")
def history(folder: Path) -> StudyHistory:
    return launch(folder, trials=5, keep=2)


def repeat_values(trial: TrialRecord) -> list[float]:
    assert trial.result is not None
    return [repeat.best.value for repeat in trial.result.repeats]


@pytest.fixture(scope="module")
def shown(history: StudyHistory) -> InMlflow:
    return InMlflow(history)


def test_every_repeat_has_a_seed_and_a_run_of_its_own(
    history: StudyHistory, shown: InMlflow
) -> None:
    for trial in history.trials:
        assert trial.result is not None
        repeats = trial.result.repeats
        assert [r.seed for r in repeats] == [trial_seed(0, trial.number, i) for i in range(3)]
        assert len({r.uuid for r in repeats}) == 3
        for i, repeat in enumerate(repeats):
            run = shown.run(repeat.uuid)
            assert run.info.status == "FINISHED"
            assert run.data.tags["mlflow.parentRunId"] == shown.run(trial.uuid).info.run_id
            spec = replace(trial.spec, seed=repeat.seed, repeat=i)
            curve = fit_metrics(history.folder, repeat.uuid)
            assert [m["val_loss"] for m in curve.values()] == [loss(spec, e) for e in curve]


def test_a_trials_value_is_the_mean_of_its_repeats(history: StudyHistory, shown: InMlflow) -> None:
    for trial in history.trials:
        values = repeat_values(trial)
        assert trial.best is not None and trial.result is not None
        assert trial.best.value == statistics.fmean(values)
        assert trial.result.spread == statistics.stdev(values)
        metrics = shown.run(trial.uuid).data.metrics
        assert metrics["best_val_loss"] == trial.best.value
        assert metrics["best_val_loss_std"] == pytest.approx(statistics.stdev(values))


def test_the_trials_own_curve_is_the_mean(history: StudyHistory) -> None:
    trial = history.trials[0]
    assert trial.result is not None
    curves = [fit_metrics(history.folder, r.uuid) for r in trial.result.repeats]
    for epoch, metrics in history.curve(trial).items():
        mean = statistics.fmean(curve[epoch]["val_loss"] for curve in curves)
        assert metrics["val_loss"] == pytest.approx(mean, abs=1e-12)


def test_the_checkpoint_is_that_of_the_best_repeat(history: StudyHistory) -> None:
    best = history.best
    assert best is not None
    spec, epoch = best.best_training
    assert epoch.value == min(repeat_values(best))
    path = history.checkpoint(best)
    assert path is not None
    kept = read_checkpoint(path)
    assert (kept.seed, kept.repeat) == (spec.seed, spec.repeat)


def test_what_is_not_kept_loses_the_files_of_all_its_repeats(history: StudyHistory) -> None:
    folder = history.files.folder
    kept = {t.number for t in history.top(2)}
    assert {int(path.name[6:11]) for path in folder.glob("trial-*")} == kept
    assert len(list(folder.glob("trial-*"))) == 6


def test_interrupted_between_repeats_it_goes_on_as_if_it_had_not(
    folder: Path, history: StudyHistory
) -> None:
    def interrupt(spec: TrialSpec) -> None:
        if (spec.number, spec.repeat) == (2, 1):
            raise KeyboardInterrupt

    description = describe(name="interrupted", repeats=3, trials=5, keep=2)
    with pytest.raises(KeyboardInterrupt):
        launch(folder, ScriptedExecutor(description, before=interrupt))
    with noting_statements() as statements:
        resumed = launch(folder, ScriptedExecutor(description))
    assert [repeat_values(t) for t in resumed.trials] == [repeat_values(t) for t in history.trials]
    # It looks for what is there of the trial, and not through all.
    assert read_whole(resumed.folder, statements) == []
    assert not left_behind(resumed.store.root)


def test_a_trial_pruned_in_its_first_repeat_has_no_further_one(folder: Path) -> None:
    history = launch(folder, name="pruned", trials=12, pruner="median")
    pruned = [t for t in history.trials if t.state == "pruned"]
    assert pruned
    assert all(len(repeat_values(trial)) == 1 for trial in pruned)


def test_an_infeasible_repeat_makes_the_trial_infeasible(folder: Path) -> None:
    class Second(ScriptedExecutor):
        def _run(self, task: TrialTask, handler: Handler) -> TrialResult | None:
            self.infeasible = {1} if (task.spec.number, task.spec.repeat) == (1, 1) else set()
            return super()._run(task, handler)

    history = launch(folder, Second(describe(name="infeasible", repeats=3, trials=3)))
    trial = history.trial(1)
    assert trial.state == "infeasible" and trial.result is not None
    assert trial.result.reason == "in repeat 1: the builder raised ValueError: no"
    assert len(trial.result.repeats) == 1
