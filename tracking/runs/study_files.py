"""The folder of a study's checkpoints and states.

The folder is bound to the id of the study's experiment, since a study can be renamed in MLflow:
``checkpoints/NAME@ID/ENGINE/trial-00007.weights.h5``. NAME is the study's name when the folder was
made.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.errors import StudyNameError
from tracking.runs.parents import search_experiments
from tracking.store.folder import Store, check_study_name

if TYPE_CHECKING:
    from mlflow.entities import Experiment


@dataclass(frozen=True)
class StudyFiles:
    """The files of a study under one engine, in a folder that may not exist yet."""

    folder: Path

    def checkpoint(self, number: int, repeat: int = 0) -> Path:
        """Returns the path of the best weights of a trial, or of one of its repeats."""
        return self.folder / f"{_stem(number, repeat)}.weights.h5"

    def state(self, number: int, repeat: int = 0) -> Path:
        """Returns the path of a trial's state after its last epoch, if it has one."""
        return self.folder / f"{_stem(number, repeat)}.state.safetensors"

    def scores(self, number: int, repeat: int = 0) -> Path:
        """Returns the path of the scores of validation samples, if a training has them."""
        return self.folder / f"{_stem(number, repeat)}.scores.safetensors"


def _stem(number: int, repeat: int) -> str:
    return f"trial-{int(number):05}" + (f".repeat-{int(repeat)}" if repeat else "")


def files_of(store: Store, experiment_id: str, engine: str) -> StudyFiles:
    """Returns the files of a study under one engine.

    Raises StoreError if the recorded engine's name leads out of the store.
    """
    folder = study_folder(store, experiment_id) / engine.replace(":", "-")
    return StudyFiles(store.inside(folder))


def study_folder(store: Store, experiment_id: str) -> Path:
    """Returns the folder of a study's files, which may not exist yet."""
    own = _own_folder(store, experiment_id)
    if own is not None:
        return own
    name = _in_a_path(store.client.get_experiment(experiment_id).name)
    return store.root / "checkpoints" / f"{name}@{experiment_id}"


def left_over_folder(store: Store, experiment_id: str) -> Path | None:
    """Returns the folder of a new experiment's files if it exists already.

    It belongs to a study that was purged (``mlflow gc``), whose id SQLite reuses.
    """
    own = _own_folder(store, experiment_id)
    has_files = own is not None and any(path.is_file() for path in own.rglob("*"))
    return own if has_files else None


def known_folders(store: Store) -> set[Path]:
    """Returns the folders of all studies in the record, deleted ones too."""
    return {study_folder(store, each.experiment_id) for each in _experiments(store)}


def _experiments(store: Store) -> list[Experiment]:
    client = store.client
    return [*search_experiments(client), *search_experiments(client, deleted=True)]


def _own_folder(store: Store, experiment_id: str) -> Path | None:
    root = store.root / "checkpoints"
    # No study's name has an '@'.
    found = root.glob(f"*@{int(experiment_id)}") if root.is_dir() else ()
    return next((path for path in sorted(found) if path.is_dir()), None)


def _in_a_path(name: str) -> str:
    """Returns a study's name, or another one if it can't name a folder.

    In MLflow an experiment may get a name that a study can't have, such as ``../elsewhere``.
    """
    try:
        return check_study_name(name)
    except StudyNameError:
        return "study"
