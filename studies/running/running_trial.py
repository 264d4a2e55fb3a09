"""A running trial: its record, its trainings, and their combined result."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from studies.running.folds import mean_metrics, with_folds
from studies.running.in_flight import InFlight
from tracking.history.curves import mean_so_far, pruner_step
from tracking.records import (
    BestEpoch,
    EpochResult,
    Repeat,
    StudyDescription,
    TrialRecord,
    TrialResult,
    TrialSpec,
)
from tracking.runs.pages.trial_pages import training_name


@dataclass
class Running:
    """A trial that runs.

    Attributes:
        trial: Its record.
        specs: Its trainings that have a run: one, or one for each repeat or fold.
        run_ids: Their runs.
        flight: Its trainings that run now.
        results: Results of the repeats that have ended.
        epochs: The epochs of all of them so far.
        curves: The objective by epoch, by training.
        began: When the present training began, by the driver's clock, in seconds.
        last_epoch: When its last epoch ended, or it began.
        longest_epoch: Seconds that its longest epoch took so far.
    """

    trial: TrialRecord
    specs: list[TrialSpec] = field(default_factory=list)
    run_ids: list[str] = field(default_factory=list)
    flight: InFlight = field(default_factory=InFlight)
    results: list[TrialResult] = field(default_factory=list)
    epochs: list[EpochResult] = field(default_factory=list)
    curves: dict[int, dict[int, float]] = field(default_factory=dict)
    began: float = 0.0
    last_epoch: float = 0.0
    longest_epoch: float = 0.0

    @property
    def present(self) -> int:
        """The training whose turn it is: the first one without a result."""
        return len(self.results)

    def begin_training(self, spec: TrialSpec, run_id: str, now: float) -> None:
        """Takes the training that begins."""
        self.specs.append(spec)
        self.run_ids.append(run_id)
        self.began = self.last_epoch = now
        self.longest_epoch = 0.0

    def delay(self, now: float) -> None:
        """Notes that the training has not begun yet."""
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

        Args:
            folds: Folds of a trial, or 0.
            longest: The most epochs of any trial.
        """
        for epoch in self.epochs:
            seen = self.for_pruner(epoch, folds, longest)
            if seen is not None:
                yield seen

    def for_pruner(self, epoch: EpochResult, folds: int, longest: int) -> EpochResult | None:
        """Returns an epoch as pruners see it, or None if they don't; see `for_pruners`."""
        if not folds:
            return epoch if epoch.repeat == 0 else None
        metric = self.trial.spec.objective.metric
        mean = mean_so_far(self.curves, epoch.repeat, epoch.epoch)
        if mean is None:
            return None
        step = pruner_step(epoch.repeat, epoch.epoch, longest)
        return EpochResult(epoch.number, step, {metric: mean}, epoch.seconds)

    def mean_epochs(self) -> Iterator[EpochResult]:
        """Yields the mean of all repeats at each epoch; of folds, at epochs that all had."""
        by_epoch: dict[int, list[EpochResult]] = {}
        for epoch in self.epochs:
            by_epoch.setdefault(epoch.epoch, []).append(epoch)
        folds = len(self.specs) if self.specs and self.specs[0].fold is not None else 0
        for number, epochs in sorted(by_epoch.items()):
            if len({epoch.repeat for epoch in epochs}) >= folds:
                mean = mean_metrics([epoch.metrics for epoch in epochs])
                yield EpochResult(self.trial.number, number, mean, 0.0)

    def combined(self, description: StudyDescription) -> TrialResult:
        """Returns the combined result of all repeats, or folds.

        Its value is the mean of their values, each at its best epoch (as Keras Tuner's
        `executions_per_trial` has it); its best epoch and its checkpoint are those of the best. If
        the last repeat is not complete, the trial ends in its state.
        """
        last, results, folds = self.results[-1], self.results, description.folds
        objective = description.objective
        trained = zip(results, self.specs, self.run_ids, strict=True)
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


def _repeat(result: TrialResult, spec: TrialSpec, run_id: str) -> Repeat:
    assert result.best is not None, "it has a value"
    return Repeat(
        spec.seed,
        run_id,
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
