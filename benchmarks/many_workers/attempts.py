"""Decides which attempts at trainings count, where messages may come late or twice.

A worker on another machine that does not answer counts as lost, and its training begins again
elsewhere. The worker may still run, and answer later. A repeated message may arrive twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from studies.executors.executor_protocol_and_jobs import Handler
from tracking.records import Decision, EpochResult, TrialSpec


@dataclass
class _Attempt:
    """A training that counts: its attempt, its last epoch, and the decision on it."""

    attempt: int
    epoch: int = 0
    decision: Decision = "continue"


class Attempts:
    """The attempts that run. At most one attempt of a training counts: the latest that began."""

    def __init__(self) -> None:
        self._running: dict[tuple[int, int], _Attempt] = {}

    def begin(self, spec: TrialSpec) -> None:
        """Notes that an attempt begins; earlier attempts at the same training count no more."""
        self._running[spec.number, spec.repeat] = _Attempt(spec.attempt)

    def counts(self, spec: TrialSpec) -> bool:
        """Returns whether an attempt runs, and counts."""
        running = self._running.get((spec.number, spec.repeat))
        return running is not None and running.attempt == spec.attempt

    def epoch(self, spec: TrialSpec, epoch: EpochResult, handler: Handler) -> Decision:
        """Passes an epoch on, once; returns the decision on it.

        If it comes twice, the decision is the same. An attempt that counts no more must stop.
        """
        running = self._running.get((spec.number, spec.repeat))
        if running is None or running.attempt != spec.attempt:
            return "stop"
        if epoch.epoch > running.epoch:
            running.decision = handler.on_epoch(epoch)
            running.epoch = epoch.epoch
        return running.decision

    def end(self, spec: TrialSpec) -> bool:
        """Notes that an attempt ends, by a result or a loss; returns whether it counts."""
        if not self.counts(spec):
            return False
        del self._running[spec.number, spec.repeat]
        return True
