"""MLflow's database: made, opened, checked. The only place that starts MLflow.

MLflow makes its tables by more than a hundred migrations, which takes 1.4 seconds of CPU. So this
is done once for each version of MLflow; the empty database is kept in the user's cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import logging
import os
import shlex
import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import platformdirs

from search_spaces.errors import StoreError
from tracking.mlflow_parts import hide_default_experiment, make_database, quieten, rewrite_addresses
from tracking.store.files import replacing
from tracking.store.folder import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient


# How each database syncs its commits to disk, by file.
_OUR_DATABASES: dict[str, str] = {}


def preload() -> None:
    """Imports MLflow, which takes 1 to 4 seconds of CPU, ahead of its first use."""
    prepare_environment()
    importlib.import_module("mlflow")


def open_client(store: Store) -> MlflowClient:
    """Returns a client on the store's database; raises StoreError if MLflow can't use it."""
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
    """Raises StoreError if a database is missing or can't be read.

    MLflow would make a new one in place of a missing one, and try a damaged one for minutes.
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


_NEEDED = {"experiments", "runs", "tags"}
_SHOWN = 3


def database_fault(path: Path, *, thorough: bool = False) -> str:
    """Returns what is wrong with MLflow's database; empty if nothing is.

    `thorough` compares indexes with their tables too. A database of 180 MB takes 2 seconds then,
    else half a second.
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
    """Raises StoreError if a database is in a folder in which SQLite can't read it.

    SQLite can't read a database with a write-ahead log in a read-only folder, as it must write the
    log's index there.
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
    """Raises StoreError if the record's database is damaged, before anything is written into it."""
    fault = database_fault(path)
    if fault:
        raise StoreError(
            f"The store's database {str(path)!r} is damaged: {fault}. Nothing was written. "
            f"`kerastudy doctor --store {shlex.quote(str(path.parent))}` says what can be done."
        )


# Where a kept database has its artifacts.
_NOWHERE: Final = "file:///no-store/mlartifacts"
# To be changed with what is done to a new database here.
_FORMAT: Final = 1
# None, or the empty database, in this process.
_made: list[bytes] = []


def create_database(store: Store, prepared: Path | None = None) -> None:
    """Makes the database of a new store, complete before it gets its name."""
    path, unfinished = store.root / "mlflow.db", store.root / "unfinished-mlflow.db"
    if path.exists():
        return
    for leftover in store.root.glob(f"{unfinished.name}*"):
        leftover.unlink()
    if prepared is None:
        prepare_database(store, unfinished)
    else:
        shutil.copyfile(prepared, unfinished)
    # Sync it before it gets its name: it was made without syncing.
    with unfinished.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def prepare_database(store: Store, path: Path) -> None:
    """Makes the complete database of a store in a file that is not synced to disk yet."""
    empty = _made[0] if _made else _kept()
    if empty is None:
        _make(store, path)
        empty = _without_addresses(store, path)
        _keep(empty)
    else:
        path.write_bytes(empty)
        _move(path, _NOWHERE, store.artifacts_uri)
    _made[:] = [empty]


def forget_database() -> None:
    """Looks for the next store's database in the cache, as a new process does."""
    _made.clear()


def _make(store: Store, path: Path) -> None:
    prepare_environment()
    # Hundreds of commits, each of which would wait for the disk.
    register(path, synchronous="OFF")
    make_database(f"sqlite:///{path.as_posix()}", store.artifacts_uri)
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        hide_default_experiment(database)
    with contextlib.closing(sqlite3.connect(path)) as database:
        # Kept in the file: a commit costs a quarter of the time, and readers, such as the UI, never
        # block the study.
        database.execute("PRAGMA journal_mode=WAL")


def _without_addresses(store: Store, path: Path) -> bytes:
    copy = path.with_name(f"{path.name}-copy")
    try:
        shutil.copyfile(path, copy)
        _move(copy, store.artifacts_uri, _NOWHERE)
        return copy.read_bytes()
    finally:
        copy.unlink(missing_ok=True)


def _move(path: Path, before: str, after: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        rewrite_addresses(database, before, after)


def _cache() -> Path:
    return Path(os.environ.get("KERASTUDY_CACHE") or platformdirs.user_cache_path("kerastudy"))


def _name(content: str) -> str:
    """Returns a kept database's name: of MLflow's version, its migrations and the content."""
    found = importlib.util.find_spec("mlflow")
    assert found is not None and found.origin is not None
    migrations = Path(found.origin).parent / "store" / "db_migrations" / "versions"
    names = "\n".join(sorted(file.name for file in migrations.glob("*.py")))
    known = hashlib.sha256(f"{_FORMAT}\n{names}".encode()).hexdigest()[:12]
    return f"mlflow-{importlib.metadata.version('mlflow')}-{known}-{content}.db"


def _kept() -> bytes | None:
    """Returns the empty database of the cache, if it exists and is whole."""
    # A cache may be missing, damaged or closed to this user: all is made without it.
    with contextlib.suppress(OSError):
        for file in _cache().glob(_name("*")):
            content = file.read_bytes()
            if file.name == _name(hashlib.sha256(content).hexdigest()):
                return content
    return None


def _keep(content: bytes) -> None:
    with contextlib.suppress(OSError):
        folder = _cache()
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / _name(hashlib.sha256(content).hexdigest())) as partial:
            partial.write_bytes(content)
