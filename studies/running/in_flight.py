"""The trainings of one trial that run now: one, or several folds side by side.

Timing decides which fold sends its epochs first. They are taken in the order of folds all the same,
as if one had run after the other: so a trial leaves the same record on any number of workers. What
a fold sends before its turn waits here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from search_spaces.errors import WorkerError
from tracking.records import EpochResult, TrialResult, TrialSpec


@dataclass
class InFlight:
    """The trainings of a trial that run, and what waits for its turn.

    A training that does not end as complete is the trial's last one: those after it must stop, and
    those before it continue. If a process dies, all must stop, and the trial is trained again.

    Attributes:
        specs: The trainings that have begun, in this attempt.
        running: Which of them run.
        lost: Whether the process of one died.
        out_of_memory: Whether that was for lack of memory.
        blamed: Whether one died whose machine is still there.
    """

    specs: list[TrialSpec] = field(default_factory=list)
    running: set[int] = field(default_factory=set)
    lost: bool = False
    out_of_memory: bool = False
    blamed: bool = False
    _epochs: dict[int, list[EpochResult]] = field(default_factory=dict)
    _results: dict[int, TrialResult] = field(default_factory=dict)

    def begin(self, spec: TrialSpec) -> None:
        """Takes a training that begins."""
        self.specs.append(spec)
        self.running.add(spec.repeat)

    def keep(self, epoch: EpochResult) -> None:
        """Keeps an epoch until it is its training's turn."""
        self._epochs.setdefault(epoch.repeat, []).append(epoch)

    def epochs(self, training: int) -> list[EpochResult]:
        """Returns the kept epochs of a training, once."""
        return self._epochs.pop(training, [])

    def end(self, result: TrialResult) -> None:
        """Takes the result of a training."""
        self.running.discard(result.repeat)
        self._results[result.repeat] = result

    def lose(self, training: int, error: WorkerError) -> None:
        """Takes a training whose process died."""
        self.running.discard(training)
        self.blamed = self.blamed or not error.machine_gone
        self.lost = True
        self.out_of_memory = self.out_of_memory or error.out_of_memory

    def due(self, training: int) -> TrialResult | None:
        """Returns the result of the training whose turn it is, once; None if it must wait."""
        result = self._results.get(training)
        # A trial ends when all its trainings have left their workers.
        if result is None or self.lost or (result.state != "complete" and self.running):
            return None
        return self._results.pop(training)

    def is_beyond(self, training: int) -> bool:
        """Returns whether the trial ends with a training before this one."""
        return any(n < training and r.state != "complete" for n, r in self._results.items())

    def must_stop(self, training: int) -> bool:
        """Returns whether a training must end after its present epoch."""
        return self.lost or self.is_beyond(training)

    @property
    def ends(self) -> bool:
        """Whether no further training of the trial begins."""
        return self.lost or any(each.state != "complete" for each in self._results.values())

    @property
    def gone(self) -> bool:
        """Whether a process died, and the others have left their workers."""
        return self.lost and not self.running
