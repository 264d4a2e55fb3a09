"""Opening MLflow's database. The only place that starts MLflow."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces.errors import StoreError
from tracking.mlflow_parts import quieten
from tracking.store.databases import check_can_be_read

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from tracking.store.folder import Store

# How each database syncs its commits to disk, by file.
_OUR_DATABASES: dict[str, str] = {}


def preload() -> None:
    """Imports MLflow, which takes 1 to 4 seconds of CPU, ahead of its first use."""
    prepare_environment()
    importlib.import_module("mlflow")


def open_client(store: Store) -> MlflowClient:
    """Returns a client on the store's database.

    Raises:
        StoreError: If MLflow cannot use the database.
    """
    check_database(store.root / "mlflow.db")
    prepare_environment()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    register(store.root / "mlflow.db")
    client = MlflowClient(tracking_uri=store.mlflow_uri, registry_uri=store.mlflow_uri)
    try:
        # MLflow opens its database at the first use: do it here, to catch its errors.
        client.search_experiments(max_results=1)
    except MlflowException as error:
        raise StoreError(
            f"MLflow cannot use {str(store.root / 'mlflow.db')!r}: {error.message}"
        ) from None
    return client


def check_database(path: Path) -> None:
    """Checks that a database exists and can be read.

    MLflow would make a new one in place of one that is gone, and try a damaged one for minutes.

    Raises:
        StoreError: If not.
    """
    advice = (
        "Restore the store from a backup, or choose another folder with --store; "
        "`kerastudy doctor` says more."
    )
    if not path.is_file():
        raise StoreError(f"The store's database {str(path)!r} is gone. {advice}")
    check_can_be_read(path)
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    except sqlite3.Error as error:
        raise StoreError(
            f"The store's database {str(path)!r} cannot be read: {error}. {advice}"
        ) from None
    if not tables:
        raise StoreError(f"The store's database {str(path)!r} is empty. {advice}")


def prepare_environment() -> None:
    """Makes MLflow quiet, and stops its telemetry. Call it before its first import."""
    # Before MLflow is first imported: no telemetry.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    quieten()


def register(path: Path, synchronous: str = "NORMAL") -> None:
    """Makes every connection to one of our databases set its pragmas."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    if not _OUR_DATABASES:
        # MLflow keeps its engine to itself: the class is the only handle.
        event.listen(Engine, "connect", _set_pragmas)
    # SQLite names files by their real path.
    _OUR_DATABASES[os.path.realpath(path)] = synchronous


def _set_pragmas(connection: Any, _record: object) -> None:
    if not isinstance(connection, sqlite3.Connection):
        return
    files = {row[2] for row in connection.execute("PRAGMA database_list")}
    for file in files & _OUR_DATABASES.keys():
        # With a write-ahead log NORMAL cannot damage the database; at worst a power
        # failure loses the last commits, which a resumed study can handle.
        connection.execute(f"PRAGMA synchronous={_OUR_DATABASES[file]}")
        connection.execute("PRAGMA busy_timeout=60000")
