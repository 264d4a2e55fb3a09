"""Opening MLflow's and Optuna's databases. The only place that starts MLflow."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from search_spaces.errors import StoreError
from tracking.databases import check_can_be_read, database_fault, set_aside
from tracking.mlflow_parts import make_database, quieten, rewrite_addresses

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from tracking.store import Store

# How each database syncs its commits to disk, by file.
_OUR_DATABASES: dict[str, str] = {}


def preload() -> None:
    """Imports MLflow, which takes 1 to 4 seconds of CPU, ahead of its first use."""
    _prepare_environment()
    importlib.import_module("mlflow")


def open_client(store: Store) -> MlflowClient:
    """Returns a client on the store's database.

    Raises:
        StoreError: If MLflow cannot use the database.
    """
    check_database(store.root / "mlflow.db")
    _prepare_environment()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    _register(store.root / "mlflow.db")
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


def create_databases(store: Store, prepared: Path | None = None) -> None:
    """Makes the two databases of a new store, each complete before it gets its name.

    Args:
        store: The store.
        prepared: A folder in which `prepare_databases` has made them for it, or None.
    """
    for name in _DATABASES:
        if not (store.root / name).exists():
            _create(name, store, prepared)


def _create(name: str, store: Store, prepared: Path | None = None) -> None:
    unfinished = store.root / f"unfinished-{name}"
    for leftover in store.root.glob(f"{unfinished.name}*"):
        leftover.unlink()
    if prepared is None:
        _make(name, unfinished, store)
    else:
        shutil.copyfile(prepared / name, unfinished)
    # Sync it before it gets its name: it was made without syncing.
    with unfinished.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(unfinished, store.root / name)


def make_optuna_anew(store: Store) -> Path | None:
    """Moves a damaged database of Optuna's away, and makes an empty one.

    Call it only while no study runs, or that has the old one open. Two processes may call it at
    once: the second finds a sound database, and leaves it.

    Returns:
        Where the old one is now; None if there was none.
    """
    path, old = store.root / "optuna.db", None
    with FileLock(store.root / "store.lock"):
        if not database_fault(path):
            return None
        # The log of a deleted database does not belong to the new one.
        if any(store.root.glob("optuna.db*")):
            old = set_aside(path)
        _create(path.name, store)
    return old if old is not None and old.exists() else None


def prepare_databases(store: Store, folder: Path) -> None:
    """Makes the two databases of a future store, in another folder."""
    for name in _DATABASES:
        _make(name, folder / name, store)


def _make(name: str, path: Path, store: Store) -> None:
    """Makes a complete database in a file that is not synced to disk yet."""
    before = _made.get(name)
    if before is not None:
        path.write_bytes(before.content)
        if name == "mlflow.db":
            with contextlib.closing(sqlite3.connect(path)) as database, database:
                rewrite_addresses(database, before.artifacts_uri, store.artifacts_uri)
        return
    _prepare_environment()
    # Hundreds of commits, each of which would wait for the disk.
    _register(path, synchronous="OFF")
    _DATABASES[name](f"sqlite:///{path.as_posix()}", store)
    with contextlib.closing(sqlite3.connect(path)) as database:
        # Kept in the file: a commit costs a quarter of the time, and readers
        # (the UI, a dashboard) never block the study.
        database.execute("PRAGMA journal_mode=WAL")
    _made[name] = _Made(path.read_bytes(), store.artifacts_uri)


@dataclass(frozen=True)
class _Made:
    """A new database to copy: making its schema takes seconds."""

    content: bytes
    artifacts_uri: str


# By file, in this process.
_made: dict[str, _Made] = {}


def forget_databases() -> None:
    """Makes the next store's databases from nothing, as in a new process."""
    _made.clear()


def open_optuna_storage(store: Store) -> Any:
    """Returns Optuna's storage of the store (`optuna.storages.RDBStorage`)."""
    from optuna.storages import RDBStorage

    _register(store.root / "optuna.db")
    return RDBStorage(store.optuna_uri, engine_kwargs={"connect_args": {"timeout": 60}})


def _create_mlflow(uri: str, store: Store) -> None:
    make_database(uri, store.artifacts_uri)


def _create_optuna(uri: str, _store: Store) -> None:
    from optuna.storages import RDBStorage

    RDBStorage(uri).engine.dispose()


_DATABASES = {"mlflow.db": _create_mlflow, "optuna.db": _create_optuna}


def _prepare_environment() -> None:
    # Before MLflow is first imported: no telemetry.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    quieten()


def _register(path: Path, synchronous: str = "NORMAL") -> None:
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
