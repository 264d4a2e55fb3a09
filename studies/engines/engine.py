"""The seam between the driver and what proposes hyperparameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeGuard

from tracking.records import FINISHED_STATES, EndedTrial, Proposal, TrialRecord, TrialResult

Curve = Callable[[TrialRecord], Mapping[int, float]]
"""Reads the objective of a recorded trial by epoch."""


def was_told(trial: TrialRecord, told: int | None) -> TypeGuard[EndedTrial]:
    """Tells whether an engine was told what came of a recorded trial; see `Engine.restore`."""
    return trial.state in FINISHED_STATES and (told is None or trial.number < told)


class Engine(Protocol):
    """Proposes trials, and learns what came of them.

    Contract, shown by ``tests/support/conformance/engine.py``:

    - What is proposed is valid in the declared space, with exactly the declared values.
    - Trials are numbered 0, 1, 2, … in the order of `ask`.
    - A proposal is a function of the study's seed, its number, and what was told before it: an
      engine restored from the record proposes what the one that was interrupted would have.
    """

    def restore(self, trials: Sequence[TrialRecord], curve: Curve, told: int | None = None) -> None:
        """Takes up a study from its record. Called once, before anything else.

        Args:
            trials: All trials by number, from 0, without gaps. One that has not finished was
                asked for and will be told.
            curve: Reads a trial's objective by epoch.
            told: If given, those from this number on will be told, finished or not.
        """
        ...

    def ask(
        self, given: Mapping[str, Any] | None = None, known: int | None = None
    ) -> Proposal | None:
        """Proposes a trial; None if there is nothing left to try.

        Args:
            given: Values that the trial is to have, in the space: the engine takes them as if it
                had chosen them.
            known: See `Proposal.known`: what is told of later trials does not count in `report`.
        """
        ...

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Takes a trial's objective after an epoch (from 1); True to prune it.

        A trial that is trained again tells its epochs again: those after this one are forgotten.
        """
        ...

    def tell(self, number: int, result: TrialResult) -> None:
        """Takes what came of a trial."""
        ...

    def may_go_on(self, number: int) -> bool:
        """Tells whether a later trial may go on from where this finished one ended."""
        ...
