"""The share of the trainings' time that may go into the scores of their samples."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from studies.training.scoring.scorer import NotScoredError

# The first call of each of TensorFlow's operations takes longer than the next: once in a process.
_WARM_UP = 0.25
# Of a trial that takes less than half a second, 2 % are less than a call of its model.
_LEAST = 0.01
# A good trial's scores may take this part of its training's time: later trainings make up for it.
_AT_ONCE = 0.2


class Share:
    """Follows what trainings and scores have taken in this process, in seconds of CPU time.

    CPU time does not count what other processes take. A training adds its share to what is left;
    scores are made if enough is left for them, by what they took before. The scores of the best
    trials matter most: they may overdraw, and others leave some for them.
    """

    def __init__(self) -> None:
        self._left = _WARM_UP
        # What scores took last, as a share of the training; 0 if unknown.
        self._needed = 0.0
        self._training, self._began, self._of_this, self._most = 0.0, 0.0, 0.0, 0.0

    def begin(self, training: float, share: float, times: int, *, good: bool) -> None:
        """Begins the scores of a training.

        Args:
            training: Seconds of CPU time that it took.
            share: How much of it may go into scores.
            times: How many epochs are scored.
            good: Whether the trial may be among the best ones.

        Raises:
            NotScoredError: If too little is left.
        """
        self._left += max(share * training, _LEAST * times)
        self._training, self._of_this = max(training, 1e-9), share
        self._began = time.process_time()
        overdraws = good and self._left > 0 and self._needed <= _AT_ONCE
        if not overdraws and self._left < 2 * self._needed * training:
            raise self._too_much()
        self._most = max(self._left, _AT_ONCE * training) if overdraws else self._left

    def check(self, done: float) -> None:
        """Ends scores that take too much; `done` is the part of the samples that have scores.

        Raises:
            NotScoredError: If they do.
        """
        spent = time.process_time() - self._began
        if spent > self._most and done < 1:
            self._needed = spent / max(done, 0.01) / self._training
            raise self._too_much()

    def end(self, *, whole: bool) -> None:
        """Takes what scores took, whether all samples have them or not."""
        spent = time.process_time() - self._began
        self._left -= spent
        if whole:
            self._needed = spent / self._training

    @contextmanager
    def once_more(self) -> Iterator[None]:
        """Lets scores be made that may be missing, right after `end`.

        Raises:
            NotScoredError: If less is left than the scores before them took.
        """
        began = time.process_time()
        if self._left < self._needed * self._training:
            raise self._too_much()
        try:
            yield
        finally:
            self._left -= time.process_time() - began

    def _too_much(self) -> NotScoredError:
        return NotScoredError(
            f"scores of its samples would take more than {self._of_this:.0%} of the training's time"
        )
