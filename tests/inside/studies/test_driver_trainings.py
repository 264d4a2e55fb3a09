"""Trials of several trainings: what is recorded, what their value is, what pruners see."""

import statistics
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from exported import check_equal
from in_mlflow import InMlflow
from scripted import ScriptedExecutor, describe, loss, read_checkpoint, run_study
from simulated_workers import SimulatedWorkers
from statements import noting_statements, read_whole
from study_record import left_behind

from benchmarks.many_workers.cluster import Faults
from search_spaces import WorkerError
from studies.definition import trial_seed
from studies.executors import Handler
from tracking.history import StudyHistory, fit_metrics
from tracking.records import ALL_FOLDS, EndedTrial, TrialResult, TrialSpec, TrialTask

TRAININGS = 3
KINDS = {
    "repeat": {"repeats": TRAININGS},
    "fold": {"folds": TRAININGS, "cross_validation": str(TRAININGS)},
}


def described(name: str, kind: str, **settings: Any) -> Any:
    return describe(name=name, **{"trials": 5, "keep": 2, **KINDS[kind], **settings})


@pytest.fixture(scope="module")
def histories(folder: Path) -> dict[str, StudyHistory]:
    return {
        kind: run_study(ScriptedExecutor(described(kind, kind)), store=folder) for kind in KINDS
    }


def curves(history: StudyHistory, trial: EndedTrial) -> list[dict[int, float]]:
    """The objective of each training by epoch."""
    epochs = [fit_metrics(history.folder, fit.uuid) for fit in trial.result.repeats]
    return [{epoch: metrics["val_loss"] for epoch, metrics in curve.items()} for curve in epochs]


def outcome(history: StudyHistory) -> list[Any]:
    """Returns the records of trials and of their trainings, without times."""
    return [
        (
            *(trial.state, trial.value, trial.epoch, trial.params, trial.result.reason),
            [(f.seed, f.fold, f.value, f.best, f.weights_sha256) for f in trial.result.repeats],
            None if trial.whole is None else trial.whole.weights_sha256,
            curves(history, trial),
        )
        for trial in history.ended
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_each_training_has_its_seed_and_its_curve(
    histories: dict[str, StudyHistory], kind: str
) -> None:
    history = histories[kind]
    in_mlflow = InMlflow(history)
    check_equal(in_mlflow.client, history.folder)
    for trial in history.ended:
        assert len(trial.result.repeats) == TRAININGS
        for number, fit in enumerate(trial.result.repeats):
            fold = number if kind == "fold" else None
            assert (fit.seed, fit.fold) == (trial_seed(0, trial.number, number), fold)
            spec = replace(trial.spec, seed=fit.seed, repeat=number, fold=fold)
            expected = {epoch: loss(spec, epoch) for epoch in range(1, spec.epochs + 1)}
            assert curves(history, trial)[number] == expected


def test_the_value_of_repeats_is_their_mean_and_the_best_ones_checkpoint_stays(
    histories: dict[str, StudyHistory],
) -> None:
    repeated = histories["repeat"]
    in_mlflow = InMlflow(repeated)
    for trial in repeated.ended:
        values = [repeat.best.value for repeat in trial.result.repeats]
        assert trial.value == statistics.fmean(values)
        assert trial.result.spread == statistics.stdev(values)
        run = in_mlflow.run(trial.uuid)
        spread = run.data.metrics["best_val_loss_std"]
        assert spread == pytest.approx(trial.result.spread)
        assert [min(curve.values()) for curve in curves(repeated, trial)] == values
        for epoch, mean in repeated.curve(trial).items():
            of_repeats = [curve[epoch] for curve in curves(repeated, trial)]
            assert mean["val_loss"] == pytest.approx(statistics.fmean(of_repeats), abs=1e-12)
            assert (epoch, mean["val_loss"]) in in_mlflow.points(run, "val_loss")
    best = repeated.best
    path = repeated.checkpoint(best)
    spec, epoch = best.best_training
    assert epoch.value == min(repeat.best.value for repeat in best.result.repeats)
    checkpoint = read_checkpoint(path)
    assert (checkpoint.seed, checkpoint.repeat) == (spec.seed, spec.repeat)
    files = [*repeated.files.folder.glob("trial-*")]
    assert {int(p.name[6:11]) for p in files} == {t.number for t in repeated.top(2)}
    assert len(files) == 2 * TRAININGS


def test_only_the_champion_is_trained_on_all_folds_and_has_a_checkpoint(
    histories: dict[str, StudyHistory],
) -> None:
    folded = histories["fold"]
    best = folded.best
    assert len(fit_metrics(folded.folder, best.whole.uuid)) == best.epoch
    assert [t.number for t in folded.ended if t.whole is not None] == [best.number]
    files = [path.name for path in folded.files.folder.glob("trial-*")]
    assert files == [f"trial-{best.number:05}.repeat-{TRAININGS}.weights.h5"]


@pytest.mark.parametrize(("kind", "repeat"), [("repeat", 1), ("fold", 2), ("fold", TRAININGS)])
def test_interrupted_anywhere_it_goes_on_as_if_it_had_not(
    folder: Path, histories: dict[str, StudyHistory], kind: str, repeat: int
) -> None:
    """Trainings that had ended are not run again."""
    history = histories[kind]
    number = history.best.number if repeat == TRAININGS else 2
    trained: list[tuple[int, int]] = []

    def interrupt(spec: TrialSpec) -> None:
        place = spec.number, spec.repeat
        if place == (number, repeat) and not trained:
            raise KeyboardInterrupt

    description = described(f"interrupted {kind} {repeat}", kind)
    with pytest.raises(KeyboardInterrupt):
        run_study(ScriptedExecutor(description, before=interrupt), store=folder)
    note = ScriptedExecutor(description, lambda spec: trained.append((spec.number, spec.repeat)))
    with noting_statements() as statements:
        resumed = run_study(note, store=folder)
    assert outcome(resumed) == outcome(history)
    # The driver reads the rows of this trial, and not whole tables.
    assert read_whole(resumed.folder, statements) == []
    assert [r for n, r in trained if n == number] == [*range(repeat, TRAININGS)] or kind == "fold"
    assert trained[0] == (number, repeat)
    assert not left_behind(resumed.store.root)


def test_a_trial_pruned_in_its_first_repeat_has_no_further_one(folder: Path) -> None:
    description = described("pruned repeats", "repeat", trials=12, pruner="median")
    history = run_study(ScriptedExecutor(description), store=folder)
    pruned = [trial for trial in history.ended if trial.state == "pruned"]
    assert pruned and all(len(trial.result.repeats) == 1 for trial in pruned)


class EasyFirstFold(ScriptedExecutor):
    """The first fold is by far the easiest, and says little about the others."""

    def _train(self, task: TrialTask, handler: Handler) -> TrialResult:
        def on_epoch(epoch: Any) -> Any:
            shifted = epoch.metrics["val_loss"] / (100 if epoch.repeat == 0 else 1)
            metrics = {**epoch.metrics, "val_loss": shifted}
            return handler.on_epoch(replace(epoch, metrics=metrics))

        return super()._train(task, SimpleNamespace(on_epoch=on_epoch))  # type: ignore[arg-type]


def test_folds_are_pruned_alike_after_an_interruption_and_then_have_no_value(folder: Path) -> None:
    settings = {"trials": 16, "pruner": "median", "engine": "optuna:random"}

    def interrupt(spec: TrialSpec) -> None:
        if (spec.number, spec.repeat) == (11, 0):
            raise KeyboardInterrupt

    history = run_study(EasyFirstFold(described("pruned", "fold", **settings)), store=folder)
    pruned = [trial for trial in history.ended if trial.state == "pruned"]
    assert {len(trial.result.repeats) for trial in pruned} >= {1, 2}
    assert all(trial.best is None for trial in pruned), "an easy fold would win"
    description = described("pruned again", "fold", **settings)
    with pytest.raises(KeyboardInterrupt):
        run_study(EasyFirstFold(description, before=interrupt), store=folder)
    assert outcome(run_study(EasyFirstFold(description), store=folder)) == outcome(history)


class Short(ScriptedExecutor):
    """The second training ends after two epochs, as by a callback; that of trial 1 fails."""

    def _train(self, task: TrialTask, handler: Handler) -> TrialResult:
        spec = task.spec
        if spec.repeat == 1:
            if spec.number == 1:
                reason = "val_loss is nan in epoch 1"
                return TrialResult(1, "infeasible", reason=reason, repeat=1)
            task = replace(task, spec=replace(spec, epochs=2))
        return super()._train(task, handler)


@pytest.mark.parametrize(("kind", "where"), [("fold", "fold 2 of 3"), ("repeat", "repeat 1")])
def test_trainings_that_end_early(folder: Path, kind: str, where: str) -> None:
    history = run_study(Short(described(f"short {kind}", kind, trials=3)), store=folder)
    first, infeasible, last = history.ended
    assert infeasible.state == "infeasible" and infeasible.best is None
    assert infeasible.result.reason == f"in {where}: val_loss is nan in epoch 1"
    assert len(infeasible.result.repeats) == 1
    for trial in (first, last):
        of_fits = curves(history, trial)
        assert [len(curve) for curve in of_fits] == [4, 2, 4]
        if kind == "fold":
            assert trial.value == min(statistics.fmean(c[e] for c in of_fits) for e in (1, 2))
            assert list(history.curve(trial)) == [1, 2]


def test_lost_machines_cost_a_study_no_champion(folder: Path) -> None:
    """The number of lost machines does not count, as they are not the trial's fault."""
    machines = iter(range(4))

    class LosesMachines(ScriptedExecutor):
        def _run(self, task: TrialTask, handler: Handler) -> TrialResult | None:
            if task.spec.fold != ALL_FOLDS or next(machines, None) is None:
                return super()._run(task, handler)
            handler.on_lost(task.spec, WorkerError("its machine is gone", machine_gone=True))
            return None

    history = run_study(LosesMachines(described("machines", "fold", trials=2)), store=folder)
    assert next(machines, None) is None
    assert history.best.whole is not None


def on_workers(folder: Path, name: str, workers: int, **rates: float) -> list[Any]:
    description = described(name, "fold", engine="optuna:random", trials=8, seed=1)
    failing = Faults(**rates)
    executor = SimulatedWorkers(
        description, workers, infeasible=lambda spec: spec.values["units"] > 58, faults=failing
    )
    history = run_study(executor, store=folder)
    assert executor.figures.lost > 0 or not rates
    assert not left_behind(history.store.root)
    return outcome(history)


@pytest.fixture(scope="module")
def one_worker(folder: Path) -> list[Any]:
    expected = on_workers(folder, "one worker", 1)
    assert {trial[0] for trial in expected} == {"complete", "infeasible"}
    return expected


@pytest.mark.parametrize("rates", [{}, {"dies": 0.3, "twice": 0.3}])
def test_several_workers_leave_the_record_of_one(
    folder: Path, one_worker: list[Any], rates: dict[str, float]
) -> None:
    """This holds even if their processes die, and messages come twice."""
    assert on_workers(folder, f"three workers {rates}", 3, **rates) == one_worker
