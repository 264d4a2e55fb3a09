"""A running trial: its record, its fits, and their combined result."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tracking.history.curves import common_best, mean_metrics, mean_so_far, pruner_step
from tracking.records import (
    BestEpoch,
    EpochResult,
    Objective,
    Repeat,
    StudyDescription,
    TrialRecord,
    TrialResult,
    TrialSpec,
    training_name,
)


@dataclass
class Running:
    """A trial that runs."""

    trial: TrialRecord
    fits: Sequence[TrialSpec]  # One, or one for each repeat or fold.
    uuids: list[str] = field(default_factory=list)  # Of the fits that have begun.
    results: list[TrialResult] = field(default_factory=list)  # Of the fits that have ended.
    epochs: list[EpochResult] = field(default_factory=list)  # Of all fits so far.
    # The objective by epoch, by fit.
    curves: dict[int, dict[int, float]] = field(default_factory=dict)
    began: float = 0.0  # When the present fit began, by the driver's clock, in seconds.
    last_epoch: float = 0.0  # When its last epoch ended, or it began.
    longest_epoch: float = 0.0  # In seconds.

    def begin_fit(self, uuid: str, now: float) -> None:
        """Begins its next fit."""
        self.uuids.append(uuid)
        self.began = self.last_epoch = now
        self.longest_epoch = 0.0

    def delay(self, now: float) -> None:
        """Notes that the fit has not begun yet."""
        self.began = self.last_epoch = now

    def take_epoch(self, epoch: EpochResult, now: float) -> None:
        """Takes an epoch that has ended."""
        self.epochs.append(epoch)
        value = epoch.metrics.get(self.trial.spec.objective.metric)
        if value is not None:
            self.curves.setdefault(epoch.repeat, {})[epoch.epoch] = value
        self.longest_epoch = max(self.longest_epoch, now - self.last_epoch)
        self.last_epoch = now

    def for_pruners(self, folds: int, longest: int) -> Iterator[EpochResult]:
        """Yields what pruners judge the trial by: the first repeat, or one fold after another.

        `longest` is the most epochs of any trial.
        """
        for epoch in self.epochs:
            seen = self.for_pruner(epoch, folds, longest)
            if seen is not None:
                yield seen

    def for_pruner(self, epoch: EpochResult, folds: int, longest: int) -> EpochResult | None:
        """Returns an epoch as pruners see it, or None if they don't."""
        if not folds:
            return epoch if epoch.repeat == 0 else None
        metric = self.trial.spec.objective.metric
        mean = mean_so_far(self.curves, epoch.repeat, epoch.epoch)
        if mean is None:
            return None
        step = pruner_step(epoch.repeat, epoch.epoch, longest)
        return EpochResult(epoch.number, step, {metric: mean}, epoch.seconds)

    def combined(self, description: StudyDescription) -> TrialResult:
        """Returns the combined result of all repeats, or folds.

        Its value is the mean of their values, each at its best epoch (as Keras Tuner's
        `executions_per_trial` has it); its best epoch and its checkpoint are those of the best. If
        the last repeat is not complete, the trial ends in its state.
        """
        last, results, folds = self.results[-1], self.results, description.folds
        objective = description.objective
        trained = zip(results, self.fits, self.uuids, strict=False)
        repeats = tuple(_repeat(*each) for each in trained if each[0].best is not None)
        common = TrialResult(
            last.number,
            last.state,
            epochs=max(r.epochs for r in results),
            reason="; ".join(
                f"in {training_name(r.repeat, folds)}: {r.reason}" for r in results if r.reason
            ),
            seconds=sum(r.seconds for r in results),
            joined=tuple({str(p["name"]): p for r in results for p in r.joined}.values()),
            repeats=repeats,
            raised=last.raised,
            data_digest=last.data_digest,
            validation_digest=last.validation_digest,
            class_weight=last.class_weight,
            peak_memory_bytes=max(r.peak_memory_bytes for r in results),
            scores_bytes=sum(r.scores_bytes for r in results),
            unscored=next((r.unscored for r in results if r.unscored), ""),
        )
        if folds:
            return with_folds(common, last, self.epochs, objective, folds)
        if last.state not in ("complete", "pruned") or not repeats:
            return common
        number = min(range(len(repeats)), key=lambda n: repeats[n].best.rank(objective, n))
        best = repeats[number]
        value = statistics.fmean(repeat.best.value for repeat in repeats)
        metrics = mean_metrics([repeat.best.metrics for repeat in repeats])
        return replace(
            common,
            best=BestEpoch(best.best.epoch, value, metrics),
            best_repeat=number,
            weights_sha256=best.weights_sha256,
            checkpoint_sha256=best.checkpoint_sha256,
            unsaved=best.unsaved,
            model_parameters=last.model_parameters,
            trainer=last.trainer,
            trainer_reason=last.trainer_reason,
        )


def _repeat(result: TrialResult, spec: TrialSpec, uuid: str) -> Repeat:
    assert result.best is not None, "it has a value"
    return Repeat(
        spec.seed,
        uuid,
        result.epochs,
        result.best,
        result.weights_sha256,
        result.seconds,
        result.checkpoint_sha256,
        result.unsaved,
        result.scores_bytes,
        result.unscored,
        fold=spec.fold,
    )


def with_folds(
    common: TrialResult,
    last: TrialResult,
    epochs: Sequence[EpochResult],
    objective: Objective,
    folds: int,
) -> TrialResult:
    """Returns a cross-validated trial's result; `common` has its folds, `last` is the last one's.

    Its value is the best mean over folds at an epoch, of the epochs that all folds have, and in
    which nothing diverged. A trial without all its folds has no value: it would not compare with
    those of other trials.
    """
    if last.state in ("complete", "pruned"):
        common = replace(
            common,
            model_parameters=last.model_parameters,
            trainer=last.trainer,
            trainer_reason=last.trainer_reason,
        )
    if last.state != "complete" or len(common.repeats) < folds:
        return common
    curves: list[dict[int, Mapping[str, float]]] = [{} for _ in range(folds)]
    for epoch in epochs:
        curves[epoch.repeat][epoch.epoch] = epoch.metrics
    found = common_best(curves, objective)
    if found is None:
        reason = f"no epoch of all {folds} folds has a finite {objective.metric}"
        return replace(common, state="infeasible", reason=common.reason or reason)
    values = [curve[found.epoch][objective.metric] for curve in curves]
    of_folds = [
        BestEpoch(found.epoch, v, c[found.epoch]) for v, c in zip(values, curves, strict=True)
    ]
    number = min(range(folds), key=lambda fold: of_folds[fold].rank(objective, fold))
    repeats = tuple(
        replace(fold, value=value) for fold, value in zip(common.repeats, values, strict=True)
    )
    return replace(
        common,
        best=found,
        repeats=repeats,
        best_repeat=number,
        weights_sha256=repeats[number].weights_sha256,
    )
