"""Checks MLflow's database by SQLite's own checks."""

from __future__ import annotations

import contextlib
import os
import shlex
import sqlite3
from pathlib import Path

from search_spaces.errors import StoreError

_NEEDED = {"experiments", "runs", "tags"}
_SHOWN = 3


def database_fault(path: Path, *, thorough: bool = False) -> str:
    """Returns what is wrong with MLflow's database; empty if nothing is.

    Args:
        path: ``mlflow.db``.
        thorough: Whether to compare indexes with their tables too. A database of 180 MB takes 2
            seconds, without it half a second.
    """
    if not path.is_file():
        return "it is gone"
    check = "integrity_check" if thorough else "quick_check"
    try:
        # Opened for reading, or SQLite would make a new one if it disappears now.
        uri = f"{path.as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=60)) as database:
            told = [str(row[0]) for row in database.execute(f"PRAGMA {check}({_SHOWN})")]
            if told == ["ok"]:
                found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                missing = _NEEDED - {row[0] for row in found}
                told = [f"the table {name!r} is missing" for name in sorted(missing)] or told
    except sqlite3.Error as error:
        return str(error)
    if told == ["ok"]:
        return ""
    lines = [line for each in told for line in each.splitlines() if not line.startswith("***")]
    return "; ".join(lines[:_SHOWN])


def check_can_be_read(path: Path) -> None:
    """Checks that a database is not in a folder in which SQLite can't read it.

    SQLite can't read a database with a write-ahead log in a read-only folder, as it must write the
    log's index there.

    Raises:
        StoreError: If it is.
    """
    if os.access(path.parent, os.W_OK) or not path.is_file():
        return
    uri = f"{path.as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=60)) as database:
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        raise StoreError(
            f"The store's folder {str(path.parent)!r} is read-only, and SQLite can't read "
            f"{path.name} there ({error}). Copy the folder to where it can be written."
        ) from None


def check_sound(path: Path) -> None:
    """Checks that the record's database is whole before anything is written into it.

    Raises:
        StoreError: If not.
    """
    fault = database_fault(path)
    if fault:
        raise StoreError(
            f"The store's database {str(path)!r} is damaged: {fault}. Nothing was written. "
            f"`kerastudy doctor --store {shlex.quote(str(path.parent))}` says what can be done."
        )
