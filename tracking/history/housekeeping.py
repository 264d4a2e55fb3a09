"""Renames a study, and deletes one, with its folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import unicodedata
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from search_spaces.errors import StoreError, StudyNameError, StudyNotFoundError
from tracking.history.study_history import StudyHistory, histories_in, study_names
from tracking.journal import DELETED, FILE_NAME, JournalReader
from tracking.store.folder import Store, check_study_name, known_names
from tracking.store.study_locks import forget_holder


def rename_study(history: StudyHistory, to: str) -> StudyHistory:
    """Renames a study, and its folder if it has the study's name; returns it as recorded now.

    Launched from its file, it resumes under ``--name`` with the new name.

    Raises:
        StudyNameError: If the new name can't be one, or is taken by a study of the store.
        StoreLockedError: If a process runs the study.
    """
    store, former, to = history.store, history.description.name, check_study_name(to)
    if store.folder_of(to) is not None:
        raise StudyNameError(f"The store has a study {to!r} already. Choose another name.")
    with store.lock_study(history.folder, former):
        with history.writing() as journal:
            journal.rename(to)
        folder = history.folder
        if folder.name == former and not (store.root / to).exists():
            # The name in the journal counts: a folder that keeps its name does no harm.
            with contextlib.suppress(OSError):
                os.rename(folder, folder := store.root / to)
                forget_holder(folder)
    return histories_in(store, folder, history.description.engine)[0]


@dataclass(frozen=True)
class StudySize:
    """What a study has in a store."""

    name: str
    folder: Path
    trials: int  # Their number.
    bytes: int  # Of its files.
    server: str  # The MLflow server that has a copy, or empty.


def study_size(store: Store, name: str) -> StudySize:
    """Returns what a study has in a store, to show it before it is deleted."""
    name = unicodedata.normalize("NFC", name)
    folder = store.folder_of(name)
    if folder is None:
        raise StudyNotFoundError(
            f"The store {str(store.root)!r} has no study {name!r}. "
            f"{known_names(name, study_names(store))}"
        )
    journal = JournalReader(folder)
    header = journal.header()
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return StudySize(header.name, folder, journal.trial_count(), size, header.address)


def delete_study(
    store: Store,
    size: StudySize,
    forgetting: Callable[[Store, StudySize], contextlib.AbstractContextManager[None]],
) -> None:
    """Deletes a study's folder for ever. Raises StoreLockedError if a process runs it.

    `forgetting` is entered while the study is held, and left when it is no study any more. The
    folder gets another name first, so that a process that is killed leaves no half study.
    """
    with store.lock_study(size.folder, size.name):
        doomed = size.folder.with_name(f"deleted-{uuid.uuid4().hex[:8]}-{size.folder.name}")
        try:
            with forgetting(store, size):
                os.rename(size.folder / FILE_NAME, size.folder / DELETED)
                os.rename(size.folder, doomed)
            shutil.rmtree(doomed)
        except OSError as error:
            raise StoreError(
                f"The files of the study {size.name!r} can't be deleted: {error}. Delete the "
                f"folder {str(doomed)!r} when they can."
            ) from None
