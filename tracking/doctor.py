"""`doctor`: checks a whole store, and mends the findings of each check before the next check."""

from __future__ import annotations

import contextlib
import shlex
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from search_spaces.errors import StoreError, StoreLockedError, StudyNotFoundError, TrackingError
from tracking.history.champions import champion_fault
from tracking.history.study_history import StudyHistory, histories_in
from tracking.journal import DELETED, FILE_NAME, fault_of
from tracking.records import EndedTrial
from tracking.store.atomic_writing import is_piece
from tracking.store.checkpoint_files import CheckpointError, check_checkpoint, recorded_checkpoints
from tracking.store.store_folder import Store, check_writable, real_folder
from tracking.store.store_json import facts_fault, is_store, write_facts
from tracking.store.study_locks import holder_of, locked_store

Kind = Literal[
    "store",  # store.json
    "journal",  # a study's journal
    "running",  # a study that is RUNNING without a process
    "name",  # two studies have one name
    "checkpoint",  # the weights of a trial
    "champion",  # the saved model
    "leftover",  # a partial file, or a half deleted study
]


@dataclass(frozen=True)
class Finding:
    """A fault in a store."""

    kind: Kind
    what: str  # A sentence on the fault.
    how: str  # A command that mends it, or what ``--fix`` does.
    study: str = ""
    engine: str = ""
    trial: int | None = None
    path: str = ""
    mended: bool = False


Ailment = tuple[Finding, Callable[[], object] | None]
"""A finding, and the function that mends it. The function is None if only a person can mend it."""


def _attended(ailments: Iterable[Ailment], *, fix: bool) -> Iterator[Finding]:
    """Yields the findings of a check. With `fix`, mends faults that have a function for it."""
    for finding, mend in list(ailments):
        if not fix or mend is None:
            yield finding
            continue
        try:
            mend()
        except (OSError, TrackingError) as error:
            why = getattr(error, "strerror", None) or error
            yield replace(finding, how=f"{finding.how} (that failed: {why})")
        else:
            yield replace(finding, mended=True)


def _check_facts(root: Path) -> Iterator[Ailment]:
    """Checks ``store.json``."""
    fault = facts_fault(root)
    if fault:
        what = f"store.json is {fault}: no command finds the store"
        finding = Finding("store", what, "--fix writes it again", path=str(root / "store.json"))
        yield finding, partial(write_facts, root)


def _check_leftovers(folder: Path, study: str = "") -> Iterator[Ailment]:
    """Checks a folder for partial files of killed processes; with a `study`, also its subfolders.

    No process may be writing in the folder.
    """
    pieces = folder.rglob("partial-*") if study else folder.glob("partial-*")
    for path in sorted(path for path in pieces if is_piece(path)):
        finding = Finding(
            "leftover",
            f"{path.name} is a piece of a file: its process was killed while it wrote it",
            "--fix deletes it; the file itself is made again when it is needed",
            study=study,
            path=str(path),
        )
        yield finding, partial(path.unlink, missing_ok=True)


def _check_folders(store: Store) -> Iterator[Ailment]:
    """Checks for half deleted studies, and for studies with the same name."""
    # `delete_study` renames the journal and the folder before it deletes the files.
    left = (path for path in store.root.glob("deleted-*") if not (path / FILE_NAME).exists())
    for folder in sorted({path.parent for path in store.root.glob(f"*/{DELETED}")} | set(left)):
        what = f"the deletion of a study in {folder.name!r} was interrupted"
        finding = Finding("leftover", what, "--fix finishes it", path=str(folder))
        yield finding, partial(shutil.rmtree, folder)
    names = Counter(header.name for _, header in store.studies())
    for name in sorted(name for name, count in names.items() if count > 1):
        folders = [str(folder) for folder, header in store.studies() if header.name == name]
        what = (
            f"{len(folders)} folders have a study {name!r}: {', '.join(folders)}. Commands read "
            "one of them"
        )
        yield Finding("name", what, "move the others to another store", study=name), None


def _check_journal(folder: Path) -> Iterator[Ailment]:
    """Checks a study's journal. A damaged journal can't be mended."""
    path = folder / FILE_NAME
    try:
        fault = fault_of(path, thorough=True)
    except StoreError as error:
        # The journal may be of a newer kerastudy.
        yield Finding("journal", str(error), "nothing is changed", path=str(path)), None
        return
    if fault:
        finding = Finding(
            "journal",
            f"the journal is damaged, and it is the record: {fault}. It is not changed",
            f"put {FILE_NAME} back from a backup (without {FILE_NAME}-wal and {FILE_NAME}-shm); or "
            f"copy what can still be read into a new file: sqlite3 {FILE_NAME} .recover | sqlite3 "
            "recovered.db. Checkpoints are in files of their own",
            study=folder.name,
            path=str(path),
        )
        yield finding, None


def _of_study(history: StudyHistory, kind: Kind, what: str, how: str, **more: Any) -> Finding:
    """Returns a finding about a study under one engine."""
    description = history.description
    return Finding(kind, what, how, description.name, description.engine, **more)


def _check_running(history: StudyHistory) -> Iterator[Ailment]:
    """Checks for a study or trials that a killed process left RUNNING.

    No process may be running the study.
    """
    running = [trial for trial in history.trials if trial.state == "running"]
    if history.status == "RUNNING" or running:
        trials = f", with {len(running)} trials" if running else ""
        what = f"it is RUNNING{trials}, but no process runs the study"
        how = "--fix ends it; so does launching the study again, which resumes it"
        yield _of_study(history, "running", what, how), partial(_end, history)


def _end(history: StudyHistory) -> None:
    journal = history.writing()
    journal.end_left_over()
    journal.end("KILLED", "", "its process ended before it did")


def _check_champion(history: StudyHistory) -> Iterator[Ailment]:
    """Checks the files of the study's champion."""
    fault = champion_fault(history)
    if fault and history.champion_engine == history.description.engine:
        how = "launch the study again, unchanged: that saves its best checkpoint again"
        yield _of_study(history, "champion", f"the champion can't be used: {fault}", how), None


def _check_checkpoints(history: StudyHistory) -> Iterator[Ailment]:
    """Checks the checkpoints that are kept."""
    for trial in history.kept:
        for repeat, digest in recorded_checkpoints(trial):
            path = history.files.checkpoint(trial.number, repeat)
            try:
                check_checkpoint(path, digest)
            except CheckpointError as error:
                which = f"the checkpoint of repeat {repeat}" if repeat else "the checkpoint"
                if trial.whole is not None:
                    which = "the checkpoint of its training on all folds"
                finding = _of_study(
                    history,
                    "checkpoint",
                    f"{which} can't be used: {error}",
                    _how(history, trial),
                    trial=trial.number,
                    path=str(path),
                )
                yield finding, None


def _how(history: StudyHistory, trial: EndedTrial) -> str:
    description, store = history.description, shlex.quote(str(history.store.root))
    if not description.code.path:
        return (
            "where the study is defined, in a notebook, call study.reproduce"
            f"({trial.number}), which trains it again, bit for bit, and writes it"
        )
    engine = f" --engine {description.engine}" if len(history.engines) > 1 else ""
    return (
        "train it again, bit for bit, with: kerastudy reproduce "
        f"{shlex.quote(description.name)} --trial {trial.number}{engine} --store {store}"
    )


# The order matters, since each check reads what the checks before it have mended.
_CHECKS: tuple[Callable[[StudyHistory], Iterable[Ailment]], ...] = (
    _check_running,
    _check_champion,
    _check_checkpoints,
)


@dataclass(frozen=True)
class Diagnosis:
    """The findings in a store.

    Attributes:
        root: The store's folder.
        findings: All findings.
        at_work: The studies that run now, each with its process. They were not checked.
        unread: Why something could not be checked, or empty.
    """

    root: Path
    findings: tuple[Finding, ...]
    at_work: dict[str, str] = field(default_factory=dict)
    unread: str = ""

    @property
    def left(self) -> list[Finding]:
        """The findings that are not mended."""
        return [finding for finding in self.findings if not finding.mended]


def diagnose(path: str | Path, *, fix: bool = False) -> Diagnosis:
    """Checks a store, and mends what can be mended.

    It may be killed at any moment, and run again.
    """
    root = real_folder(path)
    if not is_store(root):
        raise StudyNotFoundError(
            f"There is no store at {str(path)!r}. Name one with --store, or start a study with: "
            "kerastudy launch digits"
        )
    if fix:
        check_writable(root)
    with locked_store(root) if fix else contextlib.nullcontext():
        findings = list(_attended(_check_facts(root), fix=fix))
        if any(not finding.mended for finding in findings):
            return Diagnosis(root, tuple(findings), unread="all else, until store.json is mended")
        findings += _attended(_check_leftovers(root), fix=fix)
    store, at_work = Store(root), dict[str, str]()
    findings += _attended(_check_folders(store), fix=fix)
    for folder in store.folders():
        damaged = list(_attended(_check_journal(folder), fix=fix))
        findings += damaged or _of_folder(store, folder, at_work, fix=fix)
    return Diagnosis(root, tuple(findings), at_work)


def _of_folder(store: Store, folder: Path, at_work: dict[str, str], *, fix: bool) -> list[Finding]:
    """Checks a study. If a process runs the study, adds it to `at_work`.

    `fix` locks the study, so that no process can run it meanwhile.
    """
    holder = holder_of(folder)
    if not holder:
        try:
            with store.lock_study(folder, folder.name) if fix else contextlib.nullcontext():
                findings = list(_of_histories(store, folder, fix=fix))
        except StoreLockedError:
            holder = holder_of(folder) or "process unknown"
        else:
            # A process may have begun meanwhile. Its unfinished writes look like damage.
            holder = "" if fix else holder_of(folder)
            if not holder:
                return findings
    name = next((h.name for path, h in store.studies() if path == folder), folder.name)
    at_work[name] = holder
    return []


def _of_histories(store: Store, folder: Path, *, fix: bool) -> Iterator[Finding]:
    histories = histories_in(store, folder)
    if not histories:
        return
    yield from _attended(_check_leftovers(folder, histories[0].description.name), fix=fix)
    for check in _CHECKS:
        for history in histories:
            yield from _attended(check(history), fix=fix)
