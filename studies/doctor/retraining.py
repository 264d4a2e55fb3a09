"""Restores missing or damaged weights by training."""

from __future__ import annotations

from search_spaces.errors import KerastudyError, StoreError
from studies.again.reproduction import reproduce
from studies.again.reruns import unsound_checkpoints
from studies.progress import Progress
from tracking.history.study_history import StudyHistory
from tracking.records import EndedTrial


def train_again(history: StudyHistory, number: int, repeat: int, progress: Progress) -> None:
    """Trains a trial again, bit for bit, and writes its weights.

    The study's own trainer trains it: it must restore the same weights, and the digest shows
    whether it did. `reproduce` compares them with `model.fit`.

    Args:
        history: The study.
        number: The trial: one whose checkpoints are kept.
        repeat: The training that lost its weights. All are run, so those of others may be restored
            too.
        progress: Gets each epoch.

    Raises:
        StoreError: If the weights are not restored.
    """
    from mlflow.exceptions import MlflowException

    trial = history.trial(number)
    assert isinstance(trial, EndedTrial), "its checkpoints are kept"
    if repeat not in dict(unsound_checkpoints(history, trial)):
        return
    try:
        outcome = reproduce(history, number, trainer=None, progress=progress)
    except (KerastudyError, MlflowException) as error:
        raise StoreError(str(error)) from error
    if repeat in dict(unsound_checkpoints(history, trial)):
        raise StoreError("; ".join(outcome.notes))
