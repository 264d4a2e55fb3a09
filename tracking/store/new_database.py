"""Making the database of a new store.

MLflow makes its tables by more than a hundred migrations, which takes 1.4 seconds of CPU. So this
is done once for each version of MLflow; the empty database is kept in the user's cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Final

import platformdirs

from tracking.mlflow_parts import hide_default_experiment, make_database, rewrite_addresses
from tracking.store.atomic import replacing
from tracking.store.folder import Store
from tracking.store.mlflow_client import prepare_environment, register

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
    """Returns the empty database of the cache, if it is there and whole."""
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
