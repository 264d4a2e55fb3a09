"""Weights that are missing or damaged, made again by training."""

from __future__ import annotations

from search_spaces.errors import KerastudyError, StoreError
from studies.progress import Progress
from studies.reproduction import reproduce
from studies.reruns import unsound_checkpoints
from tracking.history import StudyHistory


def train_again(history: StudyHistory, number: int, repeat: int, progress: Progress) -> None:
    """Trains a trial again, bit for bit, which writes its weights where they belong.

    By the trainer of the study: it is about the weights that were there, and their digest says
    whether these are they. Whether `model.fit` comes to them is what `reproduce` tells.

    Args:
        history: The study.
        number: The trial: one whose checkpoints are kept.
        repeat: Which of its trainings has lost its weights. All are run, so those of others may
            be there by then.
        progress: Told of each epoch.

    Raises:
        StoreError: If the weights are not there afterwards.
    """
    from mlflow.exceptions import MlflowException

    trial = history.trial(number)
    if repeat not in dict(unsound_checkpoints(history, trial)):
        return
    try:
        outcome = reproduce(history, number, trainer=None, progress=progress)
    except (KerastudyError, MlflowException) as error:
        raise StoreError(str(error)) from error
    if repeat in dict(unsound_checkpoints(history, trial)):
        raise StoreError("; ".join(outcome.notes))
