"""Weights that are missing or damaged, made again by training."""

from __future__ import annotations

from search_spaces import SearchSpaceError
from studies.errors import StudyError
from studies.progress import Progress
from studies.reproduction import reproduce
from studies.reruns import unsound_checkpoints
from tracking.errors import StoreError
from tracking.history import StudyHistory


def train_again(history: StudyHistory, number: int, progress: Progress) -> None:
    """Trains a trial again, bit for bit, which writes its weights where they belong.

    Args:
        history: The study.
        number: The trial: one whose checkpoints are kept.
        progress: Told of each epoch.

    Raises:
        StoreError: If its weights are not there afterwards.
    """
    trial = history.trial(number)
    if not any(unsound_checkpoints(history, trial)):
        # Another of its repeats was found first, and all are trained at once.
        return
    try:
        outcome = reproduce(history, number, progress=progress)
    except (StudyError, SearchSpaceError) as error:
        raise StoreError(str(error)) from error
    if any(unsound_checkpoints(history, trial)):
        raise StoreError("; ".join(outcome.notes))
