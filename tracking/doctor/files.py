"""The store's files: `store.json`, databases, partial files, artifacts, weights."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from tracking.doctor.findings import Ailment, StudyRecord, file_of_trial
from tracking.history.study_history import StudyHistory
from tracking.mlflow_parts import commonest_place, recorded_addresses
from tracking.records import TrialRecord
from tracking.runs.study_files import known_folders
from tracking.store.database import database_fault
from tracking.store.files import CheckpointError, check_checkpoint, is_piece, recorded_checkpoints
from tracking.store.folder import Store, move_to_orphans
from tracking.store.trust import facts_fault, write_facts


def check_facts(root: Path) -> Iterator[Ailment]:
    """Checks ``store.json``, which can be made again if there is a database."""
    fault = facts_fault(root)
    if not fault:
        return
    yield Ailment(
        "store",
        f"store.json is {fault}: no command finds the store",
        "--fix writes it again, from the database",
        path=str(root / "store.json"),
        mend=partial(write_facts, root, _stood(root)),
    )


def check_record(store: Store) -> Iterator[Ailment]:
    """Checks MLflow's database: it is the record, and nothing can replace it."""
    path = store.root / "mlflow.db"
    fault = database_fault(path, thorough=True)
    if fault:
        yield Ailment(
            "database",
            f"mlflow.db is damaged, and it is the record: {fault}. It is not changed",
            "stop what uses the store, copy its folder, and put mlflow.db back from a backup "
            "(without mlflow.db-wal and mlflow.db-shm); or copy what can still be read into a "
            "new file: sqlite3 mlflow.db .recover | sqlite3 recovered.db. Checkpoints and "
            "artifacts are in files of their own",
            path=str(path),
        )


def check_leftovers(folder: Path, study: str = "") -> Iterator[Ailment]:
    """Checks a folder, and those below it, for pieces of files whose process was killed.

    They never got their names, and the files themselves are made again. No process may be writing
    there.
    """
    pieces = folder.rglob("partial-*") if study else folder.glob("partial-*")
    found = [path for path in pieces if is_piece(path)]
    for path in sorted([*found, *(() if study else folder.glob("unfinished-*.db*"))]):
        yield Ailment(
            "leftover",
            f"{path.name} is a piece of a file: its process was killed while it wrote it",
            "--fix deletes it; the file itself is made again when it is needed",
            study=study,
            path=str(path),
            mend=partial(path.unlink, missing_ok=True),
        )


def _stood(root: Path) -> Path:
    """Returns a store's last place, by the addresses in its database; else where it is."""
    place = commonest_place(root / "mlflow.db", "mlartifacts")
    return Path(url2pathname(urlparse(place).path)) if place.startswith("file:") else root


_RUN = re.compile(r"[0-9a-f]{32}")
_MODEL = re.compile(r"m-[0-9a-f]{32}")


def check_artifacts(store: Store) -> Iterator[Ailment]:
    """Checks for folders of runs, models and experiments that are in no table of MLflow's.

    Deleted items are still in MLflow's tables. Other folders, such as those of traces, are ignored.
    """
    root = store.root / "mlartifacts"
    # First the folders, then the database: new items enter its tables first.
    found = sorted(_folders(root))
    known = _known(store)
    for folder in found:
        if not _unknown(folder, known):
            continue
        if any(parent in found and _unknown(parent, known) for parent in folder.parents):
            # Reported with the folder that it is in.
            continue
        if any(path.is_file() for path in folder.rglob("*")):
            yield Ailment(
                "orphan",
                "artifacts of something that is not in the record",
                f"--fix moves them to {str(store.root / 'orphans')!r}",
                path=str(folder),
                mend=partial(move_to_orphans, store, folder),
            )


def _unknown(folder: Path, known: set[Path]) -> bool:
    return not any(folder in (each, *each.parents) for each in known)


def _folders(root: Path) -> Iterator[Path]:
    for experiment in root.iterdir() if root.is_dir() else ():
        if not experiment.name.isdigit() or not experiment.is_dir():
            continue
        yield experiment
        yield from (path for path in experiment.iterdir() if _RUN.fullmatch(path.name))
        models = experiment / "models"
        if models.is_dir():
            yield from (path for path in models.iterdir() if _MODEL.fullmatch(path.name))


def _known(store: Store) -> set[Path]:
    addresses = recorded_addresses(store.root / "mlflow.db")
    return {
        Path(url2pathname(urlparse(address).path))
        for address in addresses
        if address.startswith("file:")
    }


def check_checkpoints(
    history: StudyHistory, train_again: Callable[[StudyHistory, int, int], object]
) -> Iterator[Ailment]:
    """Checks the weights of the trials whose checkpoints are kept.

    `train_again` trains a trial again for the weights of one of its repeats, by their numbers.
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
