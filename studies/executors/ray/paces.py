"""How long trainings take: those that run, by their own epochs; others, by those that ended."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from studies.executors.worker import kind_of
from tracking.records import TrialSpec, TrialTask

# Of all trainings, and of the epochs of one, the last ones count.
_TRAININGS = 500
_EPOCHS = 5


@dataclass(frozen=True)
class Pace:
    """Seconds until a training's first epoch begins, and of an epoch."""

    start: float
    epoch: float


@dataclass(frozen=True)
class _Ended:
    """A training that has ended."""

    node: str
    trainer: str | None
    kind: Hashable
    pace: Pace


@dataclass
class Runner:
    """A worker's progress in a training.

    Attributes:
        began: When it began, in seconds.
        whole: Whether it trains all epochs, from no state.
        epoch: Its last epoch.
    """

    began: float
    whole: bool = True
    epoch: int = 0
    _first: float = 0.0
    _last: float = 0.0
    _count: int = 0
    _seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_EPOCHS))

    def take_epoch(self, epoch: int, now: float) -> None:
        """Takes an epoch that has ended."""
        if self._count:
            self._seconds.append(now - self._last)
        else:
            self._first = now
        self.epoch, self._last = epoch, now
        self._count += 1

    @property
    def pace(self) -> Pace | None:
        """Its pace so far, if it has trained an epoch."""
        if not self._count:
            return None
        whole = self._last - self.began
        if self._count == 1:
            return Pace(0.0, whole)
        epoch = (self._last - self._first) / (self._count - 1)
        return Pace(max(0.0, self._first - self.began - epoch), epoch)

    def seconds_left(self, spec: TrialSpec, typical: Pace, now: float) -> float:
        """Returns the seconds that it will take.

        As its last epochs did; the first two, until they are late, as those of other trainings. An
        epoch that is late will take as long again.
        """
        waited, start = now - (self._last if self._count else self.began), 0.0
        if self._seconds:
            usual = statistics.median(self._seconds)
        else:
            usual, start = typical.epoch, 0.0 if self._count else typical.start
        left = spec.epochs - max(self.epoch, spec.initial_epoch)
        if left <= 0:
            return max(0.0, waited - usual)
        return abs(start + usual - waited) + (left - 1) * max(usual, waited - start)


class Paces:
    """The paces of trainings that have ended."""

    def __init__(self) -> None:
        self._ended: deque[_Ended] = deque(maxlen=_TRAININGS)
        # What was found since the last one ended.
        self._typical: dict[tuple[Hashable, str | None, str], Pace | None] = {}

    def add(self, task: TrialTask, node: str, runner: Runner) -> None:
        """Adds a training that has ended, on a node."""
        if (pace := runner.pace) is not None:
            self._ended.append(_Ended(node, task.trainer, kind_of(task.spec), pace))
            self._typical.clear()

    def typical(self, task: TrialTask, node: str = "") -> Pace | None:
        """Returns what three of four trainings like a task's took at most; None if none ended.

        Those on a node count, if there are some, and of these the ones of such a model.
        """
        key = kind_of(task.spec), task.trainer, node
        if key not in self._typical:
            self._typical[key] = self._found(*key)
        return self._typical[key]

    def _found(self, kind: Hashable, trainer: str | None, node: str) -> Pace | None:
        alike = [each for each in self._ended if each.trainer == trainer]
        there = [each for each in alike if each.node == node] or alike
        paces = [each.pace for each in there if each.kind == kind]
        paces = paces or [each.pace for each in there]
        if not paces:
            return None
        return Pace(_most([p.start for p in paces]), _most([p.epoch for p in paces]))


def _most(seconds: Sequence[float]) -> float:
    return sorted(seconds)[round(0.75 * (len(seconds) - 1))]
