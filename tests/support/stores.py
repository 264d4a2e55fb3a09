"""Stores that must be there, and the records in them, as the product reads them."""

from __future__ import annotations

from pathlib import Path

from tracking.history import StudyHistory, read_study
from tracking.store import Store, create_store, open_store


def store_at(folder: str | Path) -> Store:
    """Opens a store."""
    store = open_store(folder)
    assert store is not None, f"there is no store in {folder}"
    return store


def empty_store(folder: Path) -> Path:
    """Makes a store without studies; returns its folder."""
    return create_store(folder).root


def history_at(folder: str | Path, name: str, engine: str | None = None) -> StudyHistory:
    """Reads a study in the store of a folder."""
    return read_study(store_at(folder), name, engine)
