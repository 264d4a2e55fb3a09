"""The seam between the driver and where trials run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from search_spaces import SearchSpace
from tracking.records import (
    Decision,
    EpochResult,
    StudyDescription,
    TrialResult,
    TrialSpec,
    TrialTask,
)


class Handler(Protocol):
    """What an executor tells the driver. Called in the thread that calls `Executor.wait`."""

    def on_epoch(self, epoch: EpochResult) -> Decision:
        """Takes an epoch's metrics; the answer says how the trial goes on."""
        ...

    def on_result(self, result: TrialResult) -> None:
        """Takes what came of a trial."""
        ...

    def on_lost(self, spec: TrialSpec, reason: str, out_of_memory: bool = False) -> None:
        """Told that a trial's process ended by itself; the trial has no result.

        Args:
            spec: The trial.
            reason: How it ended.
            out_of_memory: Whether that was for want of memory.
        """
        ...


class Executor(Protocol):
    """Runs trials. Shown by ``tests/support/conformance/executor.py``.

    A trial that was submitted ends in exactly one call of `Handler.on_result` or
    `Handler.on_lost`, made within a call of `wait`. Trials run in the order of submission.
    """

    @property
    def description(self) -> StudyDescription:
        """The study's definition, as loaded where the trials run."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """Versions and machine that the trials run on."""
        ...

    @property
    def free(self) -> int:
        """How many trials can be submitted before one has to wait."""
        ...

    def submit(self, task: TrialTask) -> None:
        """Takes a trial to run."""
        ...

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        """Works until there was something to tell, and tells it.

        Args:
            handler: Is told.
            seconds: Return after so long though there was nothing to tell, where the executor can.
        """
        ...

    @property
    def delayed(self) -> Sequence[TrialSpec]:
        """Trials that were submitted and have not begun: their process is started only now."""
        ...

    def cut(self, number: int) -> bool:
        """Ends the process that runs a trial, which is then lost, where it has one of its own.

        Returns:
            Whether there was such a process.
        """
        ...

    def save_champion(
        self, spec: TrialSpec, checkpoint: Path, space: SearchSpace, folder: Path
    ) -> dict[str, float]:
        """Saves a trial's best weights as an MLflow model; returns its validation metrics.

        Raises:
            StudyError: If it cannot be rebuilt or saved.
        """
        ...

    def close(self) -> None:
        """Ends what runs the trials. Nothing of a running trial is told any more."""
        ...
