"""A journal's file: its tables, its version, and how it is opened.

A journal is a SQLite database in the study's folder. Only the process that holds the study's lock
writes it. Other processes may read it at any time.

- On a local disk, the database has a write-ahead log (WAL): a commit takes microseconds, and
  readers never block the writer. Commits that begin or end a trial are synced to disk. A power
  failure may lose epochs that were committed since the last sync, but the training resumes from
  its state file, which also has these epochs.
- On a network disk, SQLite's WAL does not work (https://www.sqlite.org/wal.html). The database of
  a study there has a rollback journal, which is slower.
- If the folder can't be written, e.g. in a snapshot, readers open a temporary copy of the database
  and its WAL. (SQLite's ``immutable=1`` would ignore the WAL.)

The table `study` has one row. Its `revision` counts the transactions, and `changed` is the revision
of the row's last change. Each trial has the `revision` of its last change, by which the exporter
finds changed trials. Epochs never change. The exporter finds new epochs by their ids,
because SQLite never uses the id of an epoch again.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from search_spaces.errors import StoreError

FILE_NAME: Final = "journal.db"
DELETED: Final = "deleted.db"
"""The journal's name while the study is being deleted."""
OFF: Final = "off"
"""The value of `study.server` if the study is sent to no MLflow server."""
FORMAT: Final = 3
"""The version of the tables. Raise it whenever they change."""

_SECONDS_TO_WAIT: Final = 60.0
_NETWORK_DISKS: Final = ("nfs", "cifs", "smb", "9p", "afs", "fuse.sshfs", "lustre", "gpfs", "ceph")

_TABLES: Final = """
CREATE TABLE study (
    uuid TEXT NOT NULL, name TEXT NOT NULL, run TEXT NOT NULL, definition TEXT NOT NULL,
    created INTEGER NOT NULL, launched INTEGER NOT NULL, status TEXT NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0, ended_by TEXT NOT NULL DEFAULT '',
    stopped TEXT NOT NULL DEFAULT '', keeps TEXT NOT NULL DEFAULT '',
    git TEXT NOT NULL DEFAULT '', looked TEXT NOT NULL DEFAULT '',
    corrected TEXT NOT NULL DEFAULT '', server TEXT NOT NULL DEFAULT '',
    changed INTEGER NOT NULL DEFAULT 0, revision INTEGER NOT NULL DEFAULT 0,
    time INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE code (digest TEXT PRIMARY KEY, content TEXT NOT NULL);
CREATE TABLE trials (
    id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, number INTEGER NOT NULL,
    spec TEXT NOT NULL, state TEXT NOT NULL, result TEXT,
    engine_state TEXT NOT NULL, environment TEXT NOT NULL, code_digest TEXT NOT NULL,
    losses INTEGER NOT NULL, started INTEGER NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0, verified TEXT NOT NULL DEFAULT '', whole TEXT,
    revision INTEGER NOT NULL
);
CREATE INDEX trials_by_revision ON trials (revision);
CREATE TABLE fits (
    id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, trial TEXT, confirmation TEXT,
    identity TEXT NOT NULL DEFAULT '', spec TEXT NOT NULL, state TEXT NOT NULL, result TEXT
);
CREATE INDEX fits_by_trial ON fits (trial);
CREATE INDEX fits_by_confirmation ON fits (confirmation);
CREATE TABLE epochs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, fit INTEGER NOT NULL, epoch INTEGER NOT NULL,
    time INTEGER NOT NULL, metrics TEXT NOT NULL
);
CREATE INDEX epochs_by_fit ON epochs (fit);
CREATE TABLE confirmations (
    id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, plan TEXT NOT NULL, state TEXT NOT NULL,
    outcome TEXT
);
CREATE TABLE evaluations (
    id INTEGER PRIMARY KEY, digest TEXT NOT NULL, time INTEGER NOT NULL, content TEXT NOT NULL
);
CREATE TABLE champions (
    id INTEGER PRIMARY KEY, trial TEXT NOT NULL, folder TEXT NOT NULL, reason TEXT NOT NULL,
    predictions TEXT NOT NULL, withdrawn INTEGER NOT NULL DEFAULT 0
);
"""


def create(path: Path, study: Mapping[str, object]) -> None:
    """Makes the journal of a new study, with the row of the table `study`.

    The caller must have the study's lock.
    """
    partial = path.with_name(f"partial-{os.getpid()}-{path.name}")
    partial.unlink(missing_ok=True)
    try:
        with contextlib.closing(sqlite3.connect(partial)) as database:
            database.execute("PRAGMA synchronous=OFF")
            with database:
                database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version={FORMAT};")
                places = ", ".join("?" * len(study))
                database.execute(
                    f"INSERT INTO study ({', '.join(study)}) VALUES ({places})", [*study.values()]
                )
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Opens a journal to write it. Raises StoreError if that fails."""
    with as_journal_errors(path):
        _check_there(path)
        database = sqlite3.connect(path, timeout=_SECONDS_TO_WAIT, isolation_level=None)
        _check_version(database, path)
        mode = "DELETE" if on_network_disk(path.parent) else "WAL"
        database.execute(f"PRAGMA journal_mode={mode}")
        return database


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Opens a journal to read it. Raises StoreError if it can't be read.

    Each query sees everything that was committed before the query. Several queries do not share a
    transaction, because the transaction would block the writer on a network disk.
    """
    with as_journal_errors(path), contextlib.ExitStack() as stack:
        _check_there(path)
        source = path
        if not os.access(path.parent, os.W_OK):
            source = _copied(path, stack.enter_context(tempfile.TemporaryDirectory()))
        uri = f"{source.absolute().as_uri()}?mode=rw"
        database = sqlite3.connect(uri, _SECONDS_TO_WAIT, isolation_level=None, uri=True)
        stack.enter_context(contextlib.closing(database))
        database.execute("PRAGMA query_only=1")
        _check_version(database, path)
        yield database


@contextlib.contextmanager
def as_journal_errors(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into StoreError."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StoreError(
            f"The journal {str(path)!r} cannot be used: {error}. Recorded trials are safe",
            hint="Fix this, then give the command again.",
        ) from error
    except sqlite3.DatabaseError as error:
        raise _damaged(path, str(error)) from error


def check_sound(path: Path) -> None:
    """Raises StoreError if a journal is damaged."""
    fault = fault_of(path)
    if fault:
        raise _damaged(path, fault)


def fault_of(path: Path, *, thorough: bool = False) -> str:
    """Returns the damage that SQLite finds, or an empty text. `thorough` checks indexes too."""
    check = "integrity_check" if thorough else "quick_check"
    try:
        with reading(path) as database:
            rows = database.execute(f"PRAGMA {check}(3)").fetchall()
            lines = [line for (text,) in rows for line in str(text).splitlines()]
    except StoreError as error:
        if isinstance(error.__cause__, sqlite3.DatabaseError):
            return str(error.__cause__)
        raise
    return "" if lines == ["ok"] else "; ".join(lines)


def on_network_disk(folder: Path) -> bool:
    """Returns whether a folder is on a network disk, e.g. NFS or SMB."""
    import psutil

    place, best, kind = str(folder.resolve()), "", ""
    with contextlib.suppress(OSError):
        for disk in psutil.disk_partitions(all=True):
            mount = disk.mountpoint.rstrip("/") or "/"
            inside = mount in ("/", place) or place.startswith(f"{mount}/")
            if inside and len(mount) >= len(best):
                best, kind = mount, disk.fstype
    return kind.lower().startswith(_NETWORK_DISKS)


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise StoreError(f"The journal {str(path)!r} is gone", hint="Restore it from a backup.")


def _check_version(database: sqlite3.Connection, path: Path) -> None:
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version == FORMAT:
        return
    database.close()
    if version:
        is_newer = version > FORMAT
        raise StoreError(
            f"The journal {str(path)!r} is of {'a newer' if is_newer else 'an older'} kerastudy "
            f"(format {version}; this version reads {FORMAT})",
            hint="Upgrade with: pip install -U kerastudy" if is_newer else "Use another --store.",
        )
    raise _damaged(path, "the file is not a journal of kerastudy")


def _copied(path: Path, folder: str) -> Path:
    """Copies a journal and its WAL into a folder. Returns the copy."""
    copy = Path(folder, path.name)
    shutil.copyfile(path, copy)
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile(f"{path}-wal", f"{copy}-wal")
    return copy


def _damaged(path: Path, fault: str) -> StoreError:
    store = shlex.quote(str(path.parent.parent))
    return StoreError(
        f"The journal {str(path)!r} is damaged: {fault}. Nothing was written",
        hint=f"Restore it from a backup; `kerastudy doctor --store {store}` says more.",
    )
