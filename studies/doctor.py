"""`doctor`: checks a whole store, and mends the findings of each check before the next check.

The checks that need no code of this package are in `tracking.doctor`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from search_spaces.errors import (
    KerastudyError,
    StoreError,
    StoreLockedError,
    StudyNotFoundError,
)
from studies.champion import reproduce, unsound_checkpoints
from studies.progress import NoProgress, Progress
from studies.training import StateError, read_state
from tracking.doctor import (
    Ailment,
    Finding,
    attended,
    check_champion,
    check_checkpoints,
    check_facts,
    check_folders,
    check_journal,
    check_leftovers,
    check_running,
    of_study,
)
from tracking.history.study_history import StudyHistory, histories_in
from tracking.records import EndedTrial
from tracking.store.folder import Store, check_writable, real_folder
from tracking.store.study_locks import holder_of, locked_store
from tracking.store.trust import is_store


def check_states(history: StudyHistory) -> Iterator[Ailment]:
    """Checks the states of a study's trainings by their checksums."""
    folder = history.files.folder
    for path in sorted(folder.glob("trial-*.state.safetensors*")) if folder.is_dir() else ():
        try:
            read_state(path)
        except StateError as error:
            what = f"the state of a training is damaged: {error}"
            how = (
                "--fix deletes it: its trial resumes from the state before it, or is trained from "
                "its first epoch, to the same bits"
            )
            finding = of_study(history, "state", what, how, path=str(path))
            yield finding, partial(path.unlink, missing_ok=True)


def train_again(history: StudyHistory, number: int, repeat: int, progress: Progress) -> None:
    """Trains a trial again, bit for bit, and writes its weights.

    The study's own trainer trains it, as it must restore the same weights; the digest shows whether
    it did. `kerastudy reproduce` is what compares it with `model.fit`.
    """
    trial = history.trial(number)
    assert isinstance(trial, EndedTrial), "its checkpoints are kept"
    if repeat not in dict(unsound_checkpoints(history, trial)):
        return
    try:
        outcome = reproduce(history, number, trainer=None, progress=progress)
    except KerastudyError as error:
        raise StoreError(str(error)) from error
    if repeat in dict(unsound_checkpoints(history, trial)):
        raise StoreError("; ".join(outcome.notes))


# The order counts: each check reads what the checks before it have mended.
_CHECKS: tuple[Callable[[StudyHistory], Iterable[Ailment]], ...] = (
    check_running,
    check_states,
    check_champion,
)


@dataclass(frozen=True)
class Diagnosis:
    """The findings in a store.

    Attributes:
        root: The store's folder.
        findings: All findings.
        at_work: The studies that run now, which were not checked, each with its process.
        unread: What could not be checked, and why; or empty.
    """

    root: Path
    findings: tuple[Finding, ...]
    at_work: dict[str, str] = field(default_factory=dict)
    unread: str = ""

    @property
    def left(self) -> list[Finding]:
        """The findings that are not mended."""
        return [finding for finding in self.findings if not finding.mended]


def diagnose(path: str | Path, *, fix: bool = False, progress: Progress | None = None) -> Diagnosis:
    """Checks a store, and mends what can be mended.

    It may be killed at any moment and repeated: what was mended is not found again.
    """
    progress = progress or NoProgress()
    root = real_folder(path)
    if not is_store(root):
        raise StudyNotFoundError(
            f"There is no store at {str(path)!r}. Name one with --store, or start a study with: "
            "kerastudy launch digits"
        )
    if fix:
        check_writable(root)
    with locked_store(root) if fix else contextlib.nullcontext():
        findings = list(attended(check_facts(root), fix=fix))
        if any(not finding.mended for finding in findings):
            return Diagnosis(root, tuple(findings), unread="all else, until store.json is mended")
        findings += attended(check_leftovers(root), fix=fix)
    store, at_work = Store(root), dict[str, str]()
    findings += attended(check_folders(store), fix=fix)
    checked: list[Path] = []
    for folder in store.folders():
        damaged = list(attended(check_journal(folder), fix=fix))
        if damaged:
            findings += damaged
            continue
        of_study = _of_study(store, folder, at_work, partial(_all_but_weights, fix=fix), fix=fix)
        if of_study is not None:
            findings += of_study
            checked.append(folder)
    # Weights come last: training may take hours, and be interrupted.
    weights = partial(_weights, fix=fix, progress=progress)
    for folder in checked:
        findings += _of_study(store, folder, at_work, weights, fix=fix) or ()
    return Diagnosis(root, tuple(findings), at_work)


def _of_study(
    store: Store,
    folder: Path,
    at_work: dict[str, str],
    look: Callable[[Store, Path], Iterable[Finding]],
    *,
    fix: bool,
) -> list[Finding] | None:
    """Checks a study. If a process runs the study, notes the process and returns None.

    While the study is mended, no process can run it.
    """
    holder = holder_of(folder)
    if not holder:
        try:
            with store.lock_study(folder, folder.name) if fix else contextlib.nullcontext():
                findings = list(look(store, folder))
        except StoreLockedError:
            holder = holder_of(folder) or "process unknown"
        else:
            # Unfinished writes of a process that has just begun look like those of a killed one.
            holder = "" if fix else holder_of(folder)
            if not holder:
                return findings
    name = next((h.name for path, h in store.studies() if path == folder), folder.name)
    at_work[name] = holder
    return None


def _all_but_weights(store: Store, folder: Path, *, fix: bool) -> Iterator[Finding]:
    histories = histories_in(store, folder)
    if not histories:
        return
    yield from attended(check_leftovers(folder, histories[0].description.name), fix=fix)
    for check in _CHECKS:
        for history in histories:
            yield from attended(check(history), fix=fix)


def _weights(store: Store, folder: Path, *, fix: bool, progress: Progress) -> Iterator[Finding]:
    again = partial(train_again, progress=progress)
    for history in histories_in(store, folder):
        yield from attended(check_checkpoints(history, again), fix=fix)
