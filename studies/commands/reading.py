"""Finding the study that a command's arguments name."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from search_spaces.errors import StudyNotFoundError
from studies.definition.settings import check_engine
from studies.progress import waiting
from tracking.history.study_history import StudyHistory, read_study
from tracking.store.folder import Store, default_store_path, open_store


def history_of(study: str, engine: str | None, store: Path | None) -> StudyHistory:
    """Reads the study that a command names.

    Raises:
        StudyNotFoundError: If there is no store there, or no such study in it.
        EngineError: If there is no such engine.
    """
    engine = None if engine is None else check_engine(engine)
    opened = store_of(store)
    with waiting(f"reading the store {str(opened.root)!r}"):
        return read_study(opened, unicodedata.normalize("NFC", study), engine)


def store_of(store: Path | None) -> Store:
    """Opens the store that a command names.

    Raises:
        StudyNotFoundError: If there is none.
    """
    path = store if store is not None else default_store_path()
    opened = open_store(path)
    if opened is None:
        raise StudyNotFoundError(
            f"There is no store at {str(path)!r}. Name one with --store, or start a study with: "
            "kerastudy launch digits"
        )
    return opened


def histories_of(
    studies: Sequence[str], engines: Sequence[str], store: Path | None
) -> list[StudyHistory]:
    """Reads the studies that a command names, each under each of its engines; see `history_of`."""
    wanted: Sequence[str | None] = engines or (None,)
    return [history_of(study, engine, store) for study in studies for engine in wanted]
