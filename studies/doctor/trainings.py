"""What the doctor mends by training: lost weights, and the states that trainings resume from."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from search_spaces.errors import KerastudyError, StoreError
from studies.again.reproduction import reproduce
from studies.again.reruns import unsound_checkpoints
from studies.progress import Progress
from studies.training.states.training_state import StateError, read_state
from tracking.doctor.findings import Ailment, StudyRecord, file_of_trial
from tracking.history.study_history import StudyHistory
from tracking.records import EndedTrial
from tracking.store.folder import FOLDER, move_to_orphans


def check_states(record: StudyRecord) -> Iterator[Ailment]:
    """Checks a study's states by their checksums."""
    store = record.store
    folder = record.folder
    engines = sorted(folder.iterdir()) if folder.is_dir() else []
    for path in (path for engine in engines for path in sorted(engine.glob("*.safetensors*"))):
        found = file_of_trial(path.name)
        if found is None or found[1] != "state.safetensors":
            continue
        try:
            read_state(path)
        except StateError as error:
            yield Ailment(
                "state",
                f"the state of a training is damaged: {error}",
                f"--fix moves it to {FOLDER}/: its trial resumes from the state before "
                "it, or is trained from its first epoch, to the same bits",
                study=record.name,
                trial=found[0],
                path=str(path),
                mend=partial(move_to_orphans, store, path),
            )


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
