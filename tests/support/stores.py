"""Stores that must be there, and the records in them, as the product reads them."""

from __future__ import annotations

from pathlib import Path

from tracking.history import StudyHistory, read_study
from tracking.store import Store, create_store, open_store


def store_at(folder: str | Path) -> Store:
    store = open_store(folder)
    assert store is not None, f"there is no store in {folder}"
    return store


def empty_store(folder: Path) -> Path:
    return create_store(folder).root


def history_at(folder: str | Path, name: str, engine: str | None = None) -> StudyHistory:
    return read_study(store_at(folder), name, engine)
