"""A running trial: its record and its trainings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from studies.running.repeats import combined, mean_metrics
from tracking.records import EpochResult, Objective, TrialRecord, TrialResult, TrialSpec


@dataclass
class Running:
    """A trial that runs.

    Attributes:
        trial: Its record.
        specs: Its trainings that have begun: one, or one for each repeat.
        run_ids: Their runs.
        results: Results of the repeats that have ended.
        epochs: The epochs of all of them so far.
        began: When the present training began, by the driver's clock, in seconds.
        last_epoch: When its last epoch ended, or it began.
        longest_epoch: Seconds that its longest epoch took so far.
    """

    trial: TrialRecord
    specs: list[TrialSpec] = field(default_factory=list)
    run_ids: list[str] = field(default_factory=list)
    results: list[TrialResult] = field(default_factory=list)
    epochs: list[EpochResult] = field(default_factory=list)
    began: float = 0.0
    last_epoch: float = 0.0
    longest_epoch: float = 0.0

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
        self.longest_epoch = max(self.longest_epoch, now - self.last_epoch)
        self.last_epoch = now

    def first_repeat(self) -> Iterator[EpochResult]:
        """Yields the epochs of the training that pruners judge the trial by."""
        return (epoch for epoch in self.epochs if epoch.repeat == 0)

    def mean_epochs(self) -> Iterator[EpochResult]:
        """Yields the mean of all repeats at each epoch."""
        by_epoch: dict[int, list[EpochResult]] = {}
        for epoch in self.epochs:
            by_epoch.setdefault(epoch.epoch, []).append(epoch)
        for number, epochs in sorted(by_epoch.items()):
            mean = mean_metrics([epoch.metrics for epoch in epochs])
            yield EpochResult(self.trial.number, number, mean, 0.0)

    def combined(self, objective: Objective) -> TrialResult:
        """Returns the combined result of all repeats."""
        seeds = [spec.seed for spec in self.specs]
        return combined(self.results, seeds, self.run_ids, objective)
