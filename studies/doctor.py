"""Checks a whole store, and mends it: the findings of one check are mended before the next.

The checks that need no training's state are in `tracking.doctor`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.errors import (
    KerastudyError,
    StoreError,
    StoreLockedError,
    StudyNotFoundError,
    TrackingError,
)
from studies.again.reproduction import reproduce
from studies.again.reruns import unsound_checkpoints
from studies.progress import NoProgress, Progress
from studies.training.states.training_state import StateError, read_state
from tracking.doctor.definitions import check_champion, check_code, check_definitions
from tracking.doctor.files import (
    check_artifacts,
    check_checkpoints,
    check_facts,
    check_leftovers,
    check_orphan_studies,
    check_orphans,
    check_record,
)
from tracking.doctor.findings import (
    Ailment,
    Finding,
    StudyRecord,
    attended,
    file_of_trial,
    read_record,
)
from tracking.doctor.runs import (
    check_half_deleted,
    check_lost_parents,
    check_places,
    check_readable,
    check_running,
    check_tags,
    check_unmade,
    deleted_studies,
)
from tracking.history.study_history import StudyHistory, read_study
from tracking.records import EndedTrial
from tracking.runs.parents import parent_runs, study_experiments
from tracking.store.database import check_can_be_read
from tracking.store.folder import (
    FOLDER,
    Store,
    check_writable,
    move_to_orphans,
    open_store,
    real_folder,
)
from tracking.store.study_locks import locked_store
from tracking.store.trust import is_store

if TYPE_CHECKING:
    from mlflow.entities import Experiment


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


# In this order: each check reads what the former ones have mended.
_OF_TAGS = (check_places, check_lost_parents, check_tags)
_OF_RECORD: tuple[Callable[[StudyRecord], Iterable[Ailment]], ...] = (
    check_unmade,
    check_definitions,
    check_code,
    check_readable,
    check_running,
    check_states,
    check_orphans,
    check_champion,
)


_Look = Callable[[Store, "Experiment"], Iterable[Finding]]


@dataclass(frozen=True)
class Diagnosis:
    """The findings in a store.

    Attributes:
        root: The store's folder.
        findings: All findings.
        at_work: Studies that run now, with their processes: they were not checked.
        unread: Why the rest could not be checked, or empty.
        deleted: Studies that were deleted in MLflow and can be restored, each with its rest.
    """

    root: Path
    findings: tuple[Finding, ...]
    at_work: dict[str, str] = field(default_factory=dict)
    unread: str = ""
    deleted: dict[str, str] = field(default_factory=dict)

    @property
    def left(self) -> list[Finding]:
        """The findings that are not mended."""
        return [finding for finding in self.findings if not finding.mended]


def diagnose(path: str | Path, *, fix: bool = False, progress: Progress | None = None) -> Diagnosis:
    """Checks a store, and mends what can be mended.

    It can be killed at any moment and repeated: mended findings don't come again.
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
        for folder in (root, root / FOLDER):
            findings += attended(check_leftovers(folder), fix=fix)
    store = Store(root)
    check_can_be_read(root / "mlflow.db")
    at_work = store.at_work()
    of_record = list(attended(check_record(store), fix=fix))
    if of_record:
        unread = "the studies, as long as mlflow.db is damaged"
        return Diagnosis(root, (*of_record, *findings), at_work, unread)
    # This updates the addresses of a moved store.
    store = open_store(root) or store
    findings += attended(check_half_deleted(store), fix=fix)
    experiments = list(study_experiments(store))

    left_alone: set[str] = set()

    def looked(look: _Look) -> Iterator[Finding]:
        for experiment in experiments:
            found = None
            holder = store.holder(experiment.name, experiment.experiment_id)
            if not holder and experiment.name not in left_alone:
                found = _of_study(store, experiment, look, fix=fix)
            if found is None:
                at_work.setdefault(experiment.name, holder)
                left_alone.add(experiment.name)
                continue
            yield from found

    findings += looked(partial(_all_but_weights, fix=fix))
    findings += attended(check_orphan_studies(store), fix=fix)
    findings += attended(check_artifacts(store), fix=fix)
    # Last: training may take hours, and be interrupted.
    findings += looked(partial(_weights, fix=fix, progress=progress))
    return Diagnosis(root, tuple(findings), at_work, deleted=deleted_studies(store))


def _of_study(
    store: Store, experiment: Experiment, look: _Look, *, fix: bool
) -> list[Finding] | None:
    """Checks a study; returns None if a process has begun to run it.

    While it is mended, no process can run it.
    """
    held = experiment.name, experiment.experiment_id
    try:
        with store.lock_study(*held) if fix else contextlib.nullcontext():
            findings = list(look(store, experiment))
    except StoreLockedError:
        return None
    # Writes of a process that has just begun look like the rest of a killed one.
    return None if not fix and store.holder(*held) else findings


def _all_but_weights(store: Store, experiment: Experiment, *, fix: bool) -> Iterator[Finding]:
    record = read_record(store, experiment.experiment_id)
    of_tags = [each for check in _OF_TAGS for each in attended(check(record), fix=fix)]
    yield from of_tags
    if any(finding.mended for finding in of_tags):
        record = read_record(store, experiment.experiment_id)
    folders = [record.folder, *record.folders()]
    for folder in folders:
        yield from attended(check_leftovers(folder, record.name), fix=fix)
    for check in _OF_RECORD:
        yield from attended(check(record), fix=fix)


def _weights(
    store: Store, experiment: Experiment, *, fix: bool, progress: Progress
) -> Iterator[Finding]:
    again = partial(train_again, progress=progress)
    for engine in parent_runs(store, experiment.experiment_id):
        try:
            history = read_study(store, experiment.name, engine)
        except TrackingError:
            # Reported before.
            continue
        yield from attended(check_checkpoints(history, again), fix=fix)
