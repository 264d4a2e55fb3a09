"""Cross-validated trials: what is recorded, what their value is, and what pruners see."""

from __future__ import annotations

import re
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from in_mlflow import InMlflow
from scripted import ScriptedExecutor, describe, loss, read_checkpoint, run_study
from study_record import left_behind

from search_spaces import WorkerError
from studies.definition import trial_seed
from studies.executors import Handler
from studies.progress import NoProgress
from tracking.history import StudyHistory, fit_metrics
from tracking.records import ALL_FOLDS, EndedTrial, TrialResult, TrialSpec, TrialTask

FOLDS = 3


def launch(folder: Path, executor: ScriptedExecutor | None = None, **settings: Any) -> StudyHistory:
    executor = executor or ScriptedExecutor(folded(**settings))
    return run_study(executor, store=folder, progress=NoProgress())


def folded(**settings: Any) -> Any:
    return describe(folds=FOLDS, cross_validation=str(FOLDS), **settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all: making its databases takes longer than any study here."""
    return tmp_path_factory.mktemp("folds") / "store"


@pytest.fixture(scope="module")
def history(folder: Path) -> StudyHistory:
    return launch(folder, trials=5, keep=2)


def curves(history: StudyHistory, trial: EndedTrial) -> list[dict[int, float]]:
    """The objective of each fold by epoch."""
    epochs = [fit_metrics(history.folder, fold.uuid) for fold in trial.result.repeats]
    return [{epoch: metrics["val_loss"] for epoch, metrics in each.items()} for each in epochs]


@pytest.fixture(scope="module")
def shown(history: StudyHistory) -> InMlflow:
    return InMlflow(history)


def test_every_fold_is_a_run_of_its_own_below_the_trial(
    history: StudyHistory, shown: InMlflow
) -> None:
    for trial in history.ended:
        folds = trial.result.repeats
        assert [f.fold for f in folds] == [0, 1, 2]
        assert [f.seed for f in folds] == [trial_seed(0, trial.number, i) for i in range(FOLDS)]
        for number, fold in enumerate(folds):
            run = shown.run(fold.uuid)
            parent = shown.run(trial.uuid).info.run_id
            assert run.data.tags["mlflow.parentRunId"] == parent
            assert run.data.tags["kerastudy.kind"] == "fold"
            assert run.info.run_name.startswith(
                f"#{trial.number} fold {number + 1} of 3 · val_loss"
            )
            spec = replace(trial.spec, seed=fold.seed, repeat=number, fold=number)
            wanted = [(epoch, loss(spec, epoch)) for epoch in range(1, spec.epochs + 1)]
            assert list(curves(history, trial)[number].items()) == wanted
            assert shown.points(run, "val_loss") == wanted


def test_the_value_is_the_mean_over_folds_at_their_best_common_epoch(
    history: StudyHistory, shown: InMlflow
) -> None:
    differ = 0
    for trial in history.ended:
        of_folds = curves(history, trial)
        means = {e: statistics.fmean(curve[e] for curve in of_folds) for e in of_folds[0]}
        best = min(means, key=lambda e: (means[e], e))
        assert (trial.epoch, trial.value) == (best, means[best])
        values = [curve[best] for curve in of_folds]
        assert trial.result.spread == statistics.stdev(values)
        differ += trial.value != statistics.fmean(min(curve.values()) for curve in of_folds)
        run = shown.run(trial.uuid)
        assert run.data.metrics["best_val_loss"] == trial.value
        assert run.info.run_name.endswith(f"± {trial.result.spread:.2g} @ epoch {best}")
        curve = {epoch: m["val_loss"] for epoch, m in history.curve(trial).items()}
        assert curve == pytest.approx(means, abs=1e-12)
        assert shown.points(run, "val_loss") == list(curve.items())
    assert differ, "else this shows nothing"


def test_the_champion_is_trained_on_all_folds_for_the_best_common_epoch(
    history: StudyHistory, shown: InMlflow
) -> None:
    best = history.best
    assert best is not None and best.whole is not None and best.value is not None
    path = history.checkpoint(best)
    assert path is not None
    spec = read_checkpoint(path)
    assert (spec.fold, spec.epochs, spec.seed) == (ALL_FOLDS, best.epoch, best.spec.seed)
    assert spec.values == best.spec.values
    run = shown.run(best.whole.uuid)
    assert re.fullmatch(rf"#{best.number} all folds · complete", run.info.run_name)
    assert run.data.tags["mlflow.parentRunId"] == shown.run(best.uuid).info.run_id
    assert "best_val_loss" not in run.data.metrics, "it has no validation data"
    assert len(fit_metrics(history.folder, best.whole.uuid)) == best.epoch
    assert [t.number for t in history.ended if t.whole is not None] == [best.number]


def test_only_the_champions_weights_are_on_disk(history: StudyHistory) -> None:
    best = history.best
    assert best is not None
    files = [path.name for path in history.files.folder.glob("trial-*")]
    assert files == [f"trial-{best.number:05}.repeat-{FOLDS}.weights.h5"]


@pytest.mark.parametrize(
    "at", [(2, 1), pytest.param((2, 0), marks=pytest.mark.exhaustive), (3, ALL_FOLDS)]
)
def test_interrupted_anywhere_it_goes_on_as_if_it_had_not(
    folder: Path, history: StudyHistory, at: tuple[int, int]
) -> None:
    interrupted = {"left": True}
    best = history.best
    assert best is not None
    number = best.number if at[1] == ALL_FOLDS else at[0]

    def interrupt(spec: TrialSpec) -> None:
        if (spec.number, spec.fold) == (number, at[1]) and interrupted["left"]:
            interrupted["left"] = False
            raise KeyboardInterrupt

    description = folded(name=f"interrupted {at}", trials=5, keep=2)
    with pytest.raises(KeyboardInterrupt):
        launch(folder, ScriptedExecutor(description, before=interrupt))
    resumed = launch(folder, ScriptedExecutor(description))
    assert outcome(resumed) == outcome(history)
    assert not left_behind(resumed.store.root)


def test_folds_that_had_ended_are_not_trained_again(folder: Path, history: StudyHistory) -> None:
    """Also where a training can't be resumed in between, as by a HyperModel's own fit."""

    class Counting(ScriptedExecutor):
        trained: list[tuple[int, int | None]]

        def _train(self, task: TrialTask, handler: Handler) -> TrialResult:
            self.trained.append((task.spec.number, task.spec.fold))
            return super()._train(task, handler)

    def interrupt(spec: TrialSpec) -> None:
        if (spec.number, spec.fold, spec.attempt) == (1, 2, 1):
            raise KeyboardInterrupt

    description = folded(name="taken over", trials=5, keep=2, goes_on=False)
    with pytest.raises(KeyboardInterrupt):
        launch(folder, ScriptedExecutor(description, before=interrupt))
    executor = Counting(description)
    executor.trained = []
    resumed = launch(folder, executor)
    folds = [f for n, f in executor.trained if n == 1 and f != ALL_FOLDS]
    assert folds == [2]
    assert outcome(resumed) == outcome(history)


def outcome(history: StudyHistory) -> list[Any]:
    return [
        (
            t.state,
            t.value,
            t.epoch,
            [(f.seed, f.value, f.best) for f in t.result.repeats],
            None if t.whole is None else t.whole.weights_sha256,
        )
        for t in history.ended
    ]


# Pruning


class EasyFirstFold(ScriptedExecutor):
    """The first fold is by far the easiest, and says little about the others."""

    def _train(self, task: TrialTask, handler: Handler) -> TrialResult:
        return super()._train(task, Shifted(handler, task.spec))


class Shifted:
    def __init__(self, handler: Handler, spec: TrialSpec) -> None:
        self.handler, self.spec = handler, spec

    def on_epoch(self, epoch: Any) -> Any:
        shifted = epoch.metrics["val_loss"] / (100 if epoch.repeat == 0 else 1)
        return self.handler.on_epoch(replace(epoch, metrics={**epoch.metrics, "val_loss": shifted}))


@pytest.fixture(scope="module")
def pruned(folder: Path) -> StudyHistory:
    description = folded(name="pruned", trials=30, pruner="median", engine="optuna:random")
    return launch(folder, EasyFirstFold(description))


@pytest.mark.exhaustive
def test_trials_end_within_later_folds_too_and_then_have_no_value(pruned: StudyHistory) -> None:
    found = [t for t in pruned.ended if t.state == "pruned"]
    assert {len(t.result.repeats) for t in found} >= {1, 2}
    assert all(t.best is None for t in found), "an easy fold would win"
    assert pruned.best is not None and pruned.best.state == "complete"
    complete = [t.value for t in pruned.ended if t.state == "complete"]
    assert pruned.best.value == min(v for v in complete if v is not None)
    shown = InMlflow(pruned)
    names = {shown.run(trial.uuid).info.run_name for trial in found}
    assert any(re.fullmatch(r"#\d+ · pruned in fold 2 of 3", name) for name in names)


def test_an_interrupted_study_prunes_as_one_that_was_not(
    folder: Path, pruned: StudyHistory
) -> None:
    def interrupt(spec: TrialSpec) -> None:
        if (spec.number, spec.fold) == (20, 0):
            raise KeyboardInterrupt

    settings = {"trials": 30, "pruner": "median", "engine": "optuna:random"}
    description = folded(name="pruned again", **settings)
    with pytest.raises(KeyboardInterrupt):
        launch(folder, EasyFirstFold(description, before=interrupt))
    resumed = launch(folder, EasyFirstFold(description))
    assert [(t.state, len(t.result.repeats)) for t in resumed.ended] == [
        (t.state, len(t.result.repeats)) for t in pruned.ended
    ]


# Folds that end early


class Short(ScriptedExecutor):
    """The second fold ends after two epochs, as by a callback; that of trial 1 has none."""

    def _train(self, task: TrialTask, handler: Handler) -> TrialResult:
        spec = task.spec
        if spec.fold == 1:
            if spec.number == 1:
                reason = "val_loss is nan in epoch 1"
                return TrialResult(1, "infeasible", reason=reason, repeat=1)
            task = replace(task, spec=replace(spec, epochs=2))
        return super()._train(task, handler)


def test_the_shortest_fold_limits_the_best_common_epoch(folder: Path) -> None:
    history = launch(folder, Short(folded(name="short", trials=3)))
    first, infeasible, last = history.ended
    for trial in (first, last):
        assert trial.epoch is not None and trial.epoch <= 2
        of_folds = curves(history, trial)
        assert [len(curve) for curve in of_folds] == [4, 2, 4]
        means = [statistics.fmean(curve[e] for curve in of_folds) for e in (1, 2)]
        assert trial.value == min(means)
        assert list(history.curve(trial)) == [1, 2]
    assert infeasible.state == "infeasible" and infeasible.best is None
    assert infeasible.result.reason == "in fold 2 of 3: val_loss is nan in epoch 1"


class LosesMachines(ScriptedExecutor):
    """The training on all folds loses its machine so many times."""

    machines = 4

    def _run(self, task: TrialTask, handler: Handler) -> TrialResult | None:
        if task.spec.fold != ALL_FOLDS or not self.machines:
            return super()._run(task, handler)
        self.machines -= 1
        handler.on_lost(task.spec, WorkerError("its machine is gone", machine_gone=True))
        return None


def test_lost_machines_cost_a_study_no_champion(folder: Path) -> None:
    """However many: they are not the trial's fault."""
    executor = LosesMachines(folded(name="machines", trials=2))
    history = launch(folder, executor)
    assert executor.machines == 0
    assert history.best is not None and history.best.whole is not None
