"""`kerastudy doctor`: checks the files of a store, and mends what can be mended."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from search_spaces.errors import StoreError, StoreLockedError, StudyNotFoundError, TrackingError
from search_spaces.texts import counted, listed
from tracking.history import StudyHistory, champion_fault, read_folder
from tracking.journal import DELETED, FILE_NAME, fault_of
from tracking.shell_commands import reproduce_command
from tracking.store import (
    DamagedStoreError,
    Store,
    check_writable,
    holder_of,
    is_store,
    locked_store,
    pieces_in,
    read_facts,
    real_folder,
    write_facts,
)

Kind = Literal[
    "store",  # store.json
    "journal",  # a study's journal
    "running",  # a study whose state is RUNNING, although no process runs it
    "name",  # two studies have one name
    "checkpoint",  # the weights of a trial
    "champion",  # the saved model
    "leftover",  # a partial file, or a study whose deletion was interrupted
]


@dataclass(frozen=True)
class StoreFault:
    """A fault in a store."""

    kind: Kind
    what: str  # A sentence on the fault.
    how: str  # The command that mends the fault, or what ``--fix`` does.
    study: str = ""
    trial: int | None = None
    path: str = ""
    mended: bool = False


Check = Iterable[tuple[StoreFault, Callable[[], object] | None]]
"""Faults, each with the function that mends it (None if only a person can mend the fault)."""


def _results(check: Check, *, fix: bool) -> Iterator[StoreFault]:
    """Yields the faults that a check finds. With `fix`, mends them if they can be mended."""
    for fault, mend in list(check):
        if not fix or mend is None:
            yield fault
            continue
        try:
            mend()
        except (OSError, TrackingError) as error:
            why = getattr(error, "strerror", None) or error
            yield replace(fault, how=f"{fault.how} (that failed: {why})")
        else:
            yield replace(fault, mended=True)


def _check_facts(root: Path) -> Check:
    """Checks ``store.json``.

    A store may lack the file, for example a folder into which a user copied studies.
    """
    try:
        read_facts(root)
    except DamagedStoreError:
        what, path = "store.json is damaged: no command opens the store", root / "store.json"
        how = "--fix writes it again"
        yield StoreFault("store", what, how, path=str(path)), partial(write_facts, root)


def _check_pieces(folder: Path, study: str = "") -> Check:
    """Checks a folder for the partial files of killed processes.

    `folder` is the store's folder, or the folder of the study with the name `study`. In a study's
    folder, subfolders are checked, too. No process may be writing in the folder.
    """
    for path in pieces_in(folder, "**/" if study else ""):
        what = f"{path.name} is an incomplete file: a process was killed while writing it"
        how = "--fix deletes it; kerastudy writes the complete file when it is needed"
        fault = StoreFault("leftover", what, how, study=study, path=str(path))
        yield fault, partial(path.unlink, missing_ok=True)


def _check_folders(store: Store) -> Check:
    """Checks for interrupted deletions, and for studies with the same name."""
    # `delete_study` renames the journal and the folder before it deletes the files. So one of these
    # names shows that a deletion was interrupted.
    remains = (path for path in store.root.glob("deleted-*") if not (path / FILE_NAME).exists())
    for folder in sorted({path.parent for path in store.root.glob(f"*/{DELETED}")} | set(remains)):
        what = f"the deletion of a study in {folder.name!r} was interrupted"
        fault = StoreFault("leftover", what, "--fix finishes it", path=str(folder))
        yield fault, partial(shutil.rmtree, folder)
    folders: dict[str, list[str]] = {}
    for folder, header in store.studies():
        folders.setdefault(header.name, []).append(str(folder))
    for name, paths in sorted(folders.items()):
        if len(paths) > 1:
            places = f"{len(paths)} folders have a study {name!r}: {listed(paths)}"
            what = f"{places}. Commands read one of them"
            yield StoreFault("name", what, "move the others to another store", study=name), None


def _check_journal(folder: Path) -> Check:
    """Checks a study's journal. A damaged journal can't be mended."""
    path = folder / FILE_NAME
    try:
        fault = fault_of(path, thorough=True)
    except StoreError as error:
        # A newer version of kerastudy may have written the journal, which is not damaged then.
        yield StoreFault("journal", str(error), "nothing is changed", path=str(path)), None
        return
    if fault:
        finding = StoreFault(
            "journal",
            f"the journal is damaged: {fault}. It has the study's record, so it is not changed",
            f"put {FILE_NAME} back from a backup (without {FILE_NAME}-wal and {FILE_NAME}-shm); or "
            f"copy what can still be read into a new file: sqlite3 {FILE_NAME} .recover | sqlite3 "
            "recovered.db. Checkpoints are in files of their own",
            study=folder.name,
            path=str(path),
        )
        yield finding, None


def _fault_of(history: StudyHistory, kind: Kind, what: str, how: str, **more: Any) -> StoreFault:
    return StoreFault(kind, what, how, history.description.name, **more)


def _check_running(history: StudyHistory) -> Check:
    """Checks whether a process that was killed left the study or trials RUNNING.

    No process may be running the study.
    """
    running = [trial for trial in history.trials if trial.state == "running"]
    if history.status == "RUNNING" or running:
        trials = f", with {counted(len(running), 'trial')}" if running else ""
        what = f"its state is RUNNING{trials}, but no process runs the study"
        how = "--fix records that it was interrupted; launching the study again resumes it"
        yield _fault_of(history, "running", what, how), partial(_end, history)


def _end(history: StudyHistory) -> None:
    journal = history.writing()
    journal.end_left_over()
    journal.end("KILLED", "", "its process ended before it did")


def _check_champion(history: StudyHistory) -> Check:
    """Checks the files of the study's champion."""
    fault = champion_fault(history)
    if fault:
        how = "launch the study again, unchanged: that saves its best checkpoint again"
        yield _fault_of(history, "champion", f"the champion can't be used: {fault}", how), None


def _check_checkpoints(history: StudyHistory) -> Check:
    """Checks the checkpoints that are kept."""
    for trial in history.kept:
        for repeat, fault in history.checkpoint_faults(trial).items():
            which = f"the checkpoint of repeat {repeat}" if repeat else "the checkpoint"
            if trial.whole is not None:
                which = "the checkpoint of its training on all folds"
            how = f"train the trial again to the bit: {reproduce_command(history, trial.number)}"
            path = str(history.files.checkpoint(trial.number, repeat))
            what = f"{which} can't be used: {fault}"
            yield (
                _fault_of(history, "checkpoint", what, how, trial=trial.number, path=path),
                None,
            )


@dataclass(frozen=True)
class StoreCheck:
    """The outcome of checking a store.

    Attributes:
        root: The store's folder.
        faults: All faults, mended or not.
        running: The studies that run now, each with its process. They were not checked.
    """

    root: Path
    faults: tuple[StoreFault, ...]
    running: dict[str, str] = field(default_factory=dict)

    @property
    def open_faults(self) -> list[StoreFault]:
        """The faults that are not mended."""
        return [fault for fault in self.faults if not fault.mended]


def examine_store(path: str | Path, *, fix: bool = False) -> StoreCheck:
    """Checks a store, and with `fix` mends what can be mended.

    The process can be killed at any moment. The next call then does the rest.
    """
    root = real_folder(path)
    if not is_store(root):
        raise StudyNotFoundError(
            f"There is no store at {str(path)!r}",
            hint="Name one with --store, or start a study with: kerastudy launch digits",
        )
    if fix:
        check_writable(root)
    with locked_store(root) if fix else contextlib.nullcontext():
        faults = list(_results(_check_facts(root), fix=fix))
        faults += _results(_check_pieces(root), fix=fix)
    store, running = Store(root), dict[str, str]()
    faults += _results(_check_folders(store), fix=fix)
    for folder in store.folders():
        journal_faults = list(_results(_check_journal(folder), fix=fix))
        faults += journal_faults or _check_study(store, folder, running, fix=fix)
    return StoreCheck(root, tuple(faults), running)


def _check_study(
    store: Store, folder: Path, running: dict[str, str], *, fix: bool
) -> list[StoreFault]:
    """Checks a study. If a process runs the study, adds it to `running`.

    With `fix`, the study is locked during the checks, so that no process can run it.
    """
    holder, faults = holder_of(folder), list[StoreFault]()
    if not holder:
        try:
            with store.lock_study(folder, folder.name) if fix else contextlib.nullcontext():
                faults += _check_recorded(store, folder, fix=fix)
        except StoreLockedError:
            holder = holder_of(folder) or "process unknown"
        else:
            # Without the lock, a process may have begun to run the study during the checks. Its
            # unfinished writes look like damage, so the faults are dropped.
            holder = "" if fix else holder_of(folder)
    if not holder:
        return faults
    name = next((header.name for path, header in store.studies() if path == folder), folder.name)
    running[name] = holder
    return []


def _check_recorded(store: Store, folder: Path, *, fix: bool) -> Iterator[StoreFault]:
    history = read_folder(store, folder)
    yield from _results(_check_pieces(folder, history.description.name), fix=fix)
    # The checks run one after another, so each sees the study as earlier checks have mended it.
    for check in (_check_running, _check_champion, _check_checkpoints):
        yield from _results(check(history), fix=fix)
