"""The seam between the driver and where trials run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from search_spaces import SearchSpace
from search_spaces.errors import WorkerError
from tracking.records import (
    Decision,
    EpochResult,
    StudyDescription,
    TrialResult,
    TrialSpec,
    TrialTask,
)


class Handler(Protocol):
    """Gets an executor's events, in the thread that calls `Executor.wait`."""

    def on_epoch(self, epoch: EpochResult) -> Decision:
        """Takes an epoch's metrics; returns whether the trial continues."""
        ...

    def on_result(self, result: TrialResult) -> None:
        """Takes a fit's result. If it is complete, the next fit of its job begins."""
        ...

    def on_lost(self, spec: TrialSpec, error: WorkerError) -> None:
        """Takes a trial whose process ended by itself, without a result; the error says why."""
        ...


class Executor(Protocol):
    """Runs jobs. Shown by ``tests/support/conformance/executor.py``.

    A job is the fits of a trial, one after another on one worker: one, or one for each repeat or
    fold. It ends with its last fit, or with the first that is not complete. Each fit that begins
    ends in exactly one call of `Handler.on_result` or `Handler.on_lost`, made within a call of
    `wait`. Jobs run in the order of submission.
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
        """How many jobs can be submitted before one must wait."""
        ...

    def submit(self, *fits: TrialTask) -> None:
        """Takes a job to run."""
        ...

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        """Passes events on as they come; returns after `seconds` without any, if it can."""
        ...

    @property
    def delayed(self) -> Sequence[TrialSpec]:
        """Submitted trials that have not begun, as their process is still starting."""
        ...

    def cut(self, number: int) -> bool:
        """Ends a trial's own process, so that the trial is lost; False if there is none."""
        ...

    def save_champion(
        self, spec: TrialSpec, checkpoint: Path, space: SearchSpace, folder: Path
    ) -> dict[str, float]:
        """Saves a trial's best weights as an MLflow model; returns its validation metrics.

        What it predicts of the validation data is in `predictions_beside` the folder. Raises
        StudyError if the model can't be rebuilt or saved.
        """
        ...

    def close(self) -> None:
        """Ends the processes of trials. Running trials send no more events."""
        ...
