"""The checks of a store: its own file, the journals of its studies, and the files beside them."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Final, Literal

from search_spaces.errors import StoreError, TrackingError
from tracking.history.champions import champion_fault
from tracking.history.study_history import StudyHistory
from tracking.journal import DELETED, FILE_NAME, fault_of
from tracking.records import EndedTrial
from tracking.store.files import CheckpointError, check_checkpoint, is_piece, recorded_checkpoints
from tracking.store.folder import FOLDER, Store, move_to_orphans
from tracking.store.trust import facts_fault, write_facts

Kind = Literal[
    "store",  # store.json
    "journal",  # a study's journal
    "running",  # a study that is RUNNING without a process
    "name",  # two studies have one name
    "code",  # the text of a study file
    "checkpoint",  # the weights of a trial
    "state",  # the state of a training that may be resumed
    "champion",  # the saved model
    "leftover",  # a piece of a file, or a half deleted study
    "orphan",  # files without anything in the record
]


@dataclass(frozen=True)
class Finding:
    """A fault in a store."""

    kind: Kind
    what: str  # For people to read.
    how: str  # A command to give, or what ``--fix`` does.
    study: str = ""
    engine: str = ""
    trial: int | None = None
    path: str = ""
    mended: bool = False


@dataclass(frozen=True)
class Ailment(Finding):
    """A finding, and the function that mends it; None if only a person can."""

    mend: Callable[[], object] | None = None


def attended(ailments: Iterable[Ailment], *, fix: bool) -> Iterator[Finding]:
    """Yields a check's findings once it has found all; with `fix`, mends those that it can."""
    for ailment in list(ailments):
        finding = Finding(**{each.name: getattr(ailment, each.name) for each in fields(Finding)})
        if not fix or ailment.mend is None:
            yield finding
            continue
        try:
            ailment.mend()
        except (OSError, TrackingError) as error:
            why = getattr(error, "strerror", None) or error
            yield replace(finding, how=f"{finding.how} (that failed: {why})")
        else:
            yield replace(finding, mended=True)


# See `StudyFiles` and `one_before`.
_FILE: Final = re.compile(
    r"trial-(\d{5,})(?:\.repeat-(\d+))?\.(weights\.h5|(?:state|scores)\.safetensors)(?:\.before)?"
)


def file_of_trial(name: str) -> tuple[int, str] | None:
    """Returns the trial's number and the file's kind; None if the file is not of a trial."""
    match = _FILE.fullmatch(name)
    return None if match is None else (int(match[1]), match[3])


def check_facts(root: Path) -> Iterator[Ailment]:
    """Checks ``store.json``, which can be made again."""
    fault = facts_fault(root)
    if fault:
        yield Ailment(
            "store",
            f"store.json is {fault}: no command finds the store",
            "--fix writes it again",
            path=str(root / "store.json"),
            mend=partial(write_facts, root),
        )


def check_leftovers(folder: Path, study: str = "") -> Iterator[Ailment]:
    """Checks a folder for pieces of files; with a study, also the folders below it.

    A process that was killed left the pieces under temporary names. The files themselves are made
    again. No process may be writing there.
    """
    pieces = folder.rglob("partial-*") if study else folder.glob("partial-*")
    for path in sorted(path for path in pieces if is_piece(path)):
        yield Ailment(
            "leftover",
            f"{path.name} is a piece of a file: its process was killed while it wrote it",
            "--fix deletes it; the file itself is made again when it is needed",
            study=study,
            path=str(path),
            mend=partial(path.unlink, missing_ok=True),
        )


def check_folders(store: Store) -> Iterator[Ailment]:
    """Checks for studies that are half deleted, and for two that have one name."""
    # A deletion renames the journal, then the folder: the study's other files may be left.
    left = (path for path in store.root.glob("deleted-*") if not (path / FILE_NAME).exists())
    for folder in sorted({path.parent for path in store.root.glob(f"*/{DELETED}")} | set(left)):
        yield Ailment(
            "leftover",
            f"the deletion of a study in {folder.name!r} was interrupted",
            "--fix finishes it",
            path=str(folder),
            mend=partial(shutil.rmtree, folder),
        )
    names = Counter(header.name for _, header in store.studies())
    for name in sorted(name for name, count in names.items() if count > 1):
        folders = [str(folder) for folder, header in store.studies() if header.name == name]
        yield Ailment(
            "name",
            f"{len(folders)} folders have a study {name!r}: {', '.join(folders)}. Commands read "
            "one of them",
            "move the others to another store",
            study=name,
        )


def check_journal(folder: Path) -> Iterator[Ailment]:
    """Checks a study's journal: it is the record, and nothing can replace it."""
    path = folder / FILE_NAME
    try:
        fault = fault_of(path, thorough=True)
    except StoreError as error:
        # A newer version of kerastudy may have made the journal.
        yield Ailment("journal", str(error), "nothing is changed", path=str(path))
        return
    if fault:
        yield Ailment(
            "journal",
            f"the journal is damaged, and it is the record: {fault}. It is not changed",
            f"put {FILE_NAME} back from a backup (without {FILE_NAME}-wal and {FILE_NAME}-shm); or "
            f"copy what can still be read into a new file: sqlite3 {FILE_NAME} .recover | sqlite3 "
            "recovered.db. Checkpoints are in files of their own",
            study=folder.name,
            path=str(path),
        )


def check_running(history: StudyHistory) -> Iterator[Ailment]:
    """Checks for what a killed process left RUNNING; no process may be running the study."""
    running = [trial for trial in history.trials if trial.state == "running"]
    if history.status == "RUNNING" or running:
        trials = f", with {len(running)} trials" if running else ""
        yield Ailment(
            "running",
            f"it is RUNNING{trials}, but no process runs the study",
            "--fix ends it; so does launching the study again, which resumes it",
            study=history.description.name,
            engine=history.description.engine,
            mend=partial(_end, history),
        )


def _end(history: StudyHistory) -> None:
    journal = history.writing()
    journal.end_left_over()
    journal.end("KILLED", "", "its process ended before it did")


def check_code(history: StudyHistory) -> Iterator[Ailment]:
    """Checks that the code that a study's trials ran from is recorded, and undamaged."""
    code = history.description.code
    if not code.path:
        return
    digests = {trial.code_digest for trial in history.trials if trial.code_digest}
    digests |= set((code.modules or {}).values())
    texts = history.journal.code(digests)
    for digest in sorted(digests):
        text = texts.get(digest)
        if text is not None and hashlib.sha256(text.encode()).hexdigest() == digest:
            continue
        yield Ailment(
            "code",
            f"the text of its code with the digest {digest[:16]}… is "
            f"{'missing' if text is None else 'damaged'}: trials that ran from it can't be "
            "reproduced where the file has changed",
            "put the journal back from a backup",
            study=history.description.name,
            engine=history.description.engine,
        )


def check_champion(history: StudyHistory) -> Iterator[Ailment]:
    """Checks the files of the study's champion."""
    fault = champion_fault(history)
    if fault and history.champion_engine == history.description.engine:
        yield Ailment(
            "champion",
            f"the champion can't be used: {fault}",
            "launch the study again, unchanged: that saves its best checkpoint again",
            study=history.description.name,
            engine=history.description.engine,
        )


def check_orphans(history: StudyHistory) -> Iterator[Ailment]:
    """Checks for files whose trials are not in the study's record."""
    store, folder = history.store, history.files.folder
    numbers = {trial.number for trial in history.trials}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        of_trial = file_of_trial(path.name)
        if of_trial is not None and of_trial[0] not in numbers:
            yield Ailment(
                "orphan",
                f"{path.name} is of a trial that is not in the record",
                f"--fix moves it to {str(store.root / FOLDER)!r}",
                study=history.description.name,
                trial=of_trial[0],
                path=str(path),
                mend=partial(move_to_orphans, store, path),
            )


def check_checkpoints(
    history: StudyHistory, train_again: Callable[[StudyHistory, int, int], object]
) -> Iterator[Ailment]:
    """Checks the weights of the trials whose checkpoints are kept.

    `train_again` gets the numbers of a trial and of one of its repeats, and trains that repeat
    again to write its weights.
    """
    for trial in history.kept:
        for repeat, digest in recorded_checkpoints(trial):
            path = history.files.checkpoint(trial.number, repeat)
            try:
                check_checkpoint(path, digest)
            except CheckpointError as error:
                which = f"the checkpoint of repeat {repeat}" if repeat else "the checkpoint"
                if trial.whole is not None:
                    which = "the checkpoint of its training on all folds"
                # A study that was defined in a notebook can be trained only there.
                mend = partial(train_again, history, trial.number, repeat)
                yield Ailment(
                    "checkpoint",
                    f"{which} can't be used: {error}",
                    _how(history, trial),
                    study=history.description.name,
                    engine=history.description.engine,
                    trial=trial.number,
                    path=str(path),
                    mend=mend if history.description.code.path else None,
                )


def _how(history: StudyHistory, trial: EndedTrial) -> str:
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
