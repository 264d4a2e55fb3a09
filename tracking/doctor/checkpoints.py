"""Weights that are missing, damaged, or of no study in the record."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tracking.doctor.findings import Ailment
from tracking.doctor.studies import StudyRecord, file_of_trial
from tracking.history.study_history import StudyHistory
from tracking.records import TrialRecord
from tracking.runs.study_files import known_folders
from tracking.store.checkpoints import CheckpointError, check_checkpoint, recorded_checkpoints
from tracking.store.folder import Store
from tracking.store.orphans import move_to_orphans


def check_checkpoints(
    history: StudyHistory, train_again: Callable[[StudyHistory, int, int], object]
) -> Iterator[Ailment]:
    """Checks the weights of the trials whose checkpoints are kept.

    Args:
        history: The study.
        train_again: Trains a trial again for the weights of one of its repeats; takes the numbers
            of both.
    """
    for trial in history.kept:
        for repeat, digest in recorded_checkpoints(trial):
            path = history.files.checkpoint(trial.number, repeat)
            try:
                check_checkpoint(path, digest)
            except CheckpointError as error:
                # A study of a notebook can be trained only there.
                mend = partial(train_again, history, trial.number, repeat)
                which = f"the checkpoint of repeat {repeat}" if repeat else "the checkpoint"
                if trial.whole is not None:
                    which = "the checkpoint of its training on all folds"
                yield Ailment(
                    "checkpoint",
                    f"{which} can't be used: {error}",
                    _how(history, trial),
                    study=history.description.name,
                    engine=history.description.engine,
                    trial=trial.number,
                    run=trial.run_id,
                    path=str(path),
                    mend=mend if history.description.code.path else None,
                )


def check_orphans(record: StudyRecord) -> Iterator[Ailment]:
    """Checks for files of trials that are not in the record of their study."""
    store = record.store
    folder = record.folder
    for engine in sorted(folder.iterdir()) if folder.is_dir() else ():
        numbers = record.numbers(engine.name)
        for path in sorted(engine.iterdir()) if engine.is_dir() else ():
            found = file_of_trial(path.name)
            if found is not None and found[0] not in numbers:
                yield Ailment(
                    "orphan",
                    f"{path.name} is of a trial that is not in the record",
                    f"--fix moves it to {str(store.root / 'orphans')!r}",
                    study=record.name,
                    trial=found[0],
                    path=str(path),
                    mend=partial(move_to_orphans, store, path),
                )


def check_orphan_studies(store: Store) -> Iterator[Ailment]:
    """Checks for folders of checkpoints of studies that are not in the record, deleted or not."""
    root = store.root / "checkpoints"
    # First the folders: a new study has its experiment before its folder.
    folders = sorted(root.iterdir()) if root.is_dir() else []
    known = known_folders(store)
    for folder in folders:
        if folder not in known and any(path.is_file() for path in folder.rglob("*")):
            yield Ailment(
                "orphan",
                f"the checkpoints in {folder.name!r} are of a study that is not in the record",
                f"--fix moves them to {str(store.root / 'orphans')!r}",
                study=folder.name.rpartition("@")[0] or folder.name,
                path=str(folder),
                mend=partial(_move_unknown, store, folder),
            )


def _move_unknown(store: Store, folder: Path) -> None:
    name, _, experiment_id = folder.name.rpartition("@")
    lock = (name, experiment_id) if name and experiment_id.isdigit() else (folder.name, "")
    with store.lock_study(*lock):
        if folder not in known_folders(store):
            move_to_orphans(store, folder)


def _how(history: StudyHistory, trial: TrialRecord) -> str:
    description, store = history.description, shlex.quote(str(history.store.root))
    if not description.code.path:
        return (
            "training it again, bit for bit, writes it. The study was not defined in a file: "
            f"where it is defined, call study.reproduce({trial.number})"
        )
    engine = f" --engine {description.engine}" if len(history.engines) > 1 else ""
    return (
        "--fix trains it again, bit for bit, as does: kerastudy reproduce "
        f"{shlex.quote(description.name)} --trial {trial.number}{engine} --store {store}"
    )
