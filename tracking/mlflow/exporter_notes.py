"""The exporter's notes in ``exports.db``: what it has sent to which MLflow database.

The file lies beside a study's journal. If it is lost, the exporter finds its runs in MLflow by the
tag ``kerastudy.uuid``. The exporter notes a run's uuid before it makes the run, and MLflow's run id
afterwards. So it makes no run twice, even if it is killed.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock

from search_spaces.errors import StoreError
from tracking.journal import FILE_NAME as JOURNAL

FILE_NAME: Final = "exports.db"
STORE: Final = "store"
"""The `place` of the store's own MLflow database. A server's place is its address."""
_FORMAT: Final = 3
# _MADE: the run may lack its params and data set. _BEGUN: it has both. _LEFT_OUT: a person deleted
# the run.
_MADE, _BEGUN, _LEFT_OUT = range(3)
_TABLES: Final = f"""
BEGIN;
CREATE TABLE destinations (
    place TEXT PRIMARY KEY, database TEXT NOT NULL, experiment TEXT NOT NULL,
    revision INTEGER NOT NULL DEFAULT 0, epochs INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE files (
    place TEXT NOT NULL, name TEXT NOT NULL, mark TEXT NOT NULL, PRIMARY KEY (place, name)
);
CREATE TABLE runs (
    place TEXT NOT NULL, uuid TEXT NOT NULL, run TEXT NOT NULL DEFAULT '',
    state INTEGER NOT NULL DEFAULT {_MADE}, PRIMARY KEY (place, uuid)
) WITHOUT ROWID;
PRAGMA user_version={_FORMAT};
COMMIT;
"""


@dataclass(frozen=True)
class Notes:
    """The notes on a study, without those on its runs and files."""

    database: str  # From `server.identity_of`.
    experiment: str  # MLflow's id of the study's experiment.
    revision: int  # The journal's last revision that was sent.
    epochs: int  # The last row of the table `epochs` that was sent.


@contextlib.contextmanager
def locked_exports(folder: Path, seconds: float = -1) -> Iterator[None]:
    """Locks a study's ``exports.db`` for this process.

    Waits at most `seconds`, for ever if it is negative. Raises Timeout if another process keeps the
    lock, StoreError if the study was deleted.
    """
    journal, path = folder / JOURNAL, folder / "exports.lock"
    gone = StoreError(f"There is no study in {str(folder)!r} any more.")
    if not journal.is_file():
        raise gone
    with FileLock(path, timeout=seconds):
        if not journal.is_file():
            # The study was deleted meanwhile, and FileLock made its folder again.
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()
            raise gone
        yield


class Exports:
    """A study's notes on one destination, locked for this process."""

    def __init__(self, folder: Path, place: str) -> None:
        self._folder, self._place = folder, place
        self._stack = contextlib.ExitStack()
        self._database: sqlite3.Connection | None = None
        self._runs: dict[str, str] = {}
        # The uuids of runs that a killed process may have made.
        self._intended: set[str] = set()
        self._states: dict[str, int] = {}

    def __enter__(self) -> Exports:
        """Locks and reads the notes. Raises StoreError if the study was deleted."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(locked_exports(self._folder))
            notes = contextlib.closing(_opened(self._folder / FILE_NAME))
            self._database = stack.enter_context(notes)
            self._stack = stack.pop_all()
        rows = self._database.execute(
            "SELECT uuid, run, state FROM runs WHERE place = ?", (self._place,)
        )
        for uuid, run, state in rows:
            self._states[uuid] = state
            if run:
                self._runs[uuid] = run
            else:
                self._intended.add(uuid)
        return self

    def __exit__(self, *_: object) -> None:
        """Unlocks the notes."""
        self._stack.close()
        self._database = None

    @property
    def notes(self) -> Notes | None:
        """The notes on the study; None if nothing is noted."""
        row = self._connection.execute(
            "SELECT database, experiment, revision, epochs FROM destinations WHERE place = ?",
            (self._place,),
        ).fetchone()
        return None if row is None else Notes(*row)

    @property
    def runs(self) -> Mapping[str, str]:
        """MLflow's run ids, by the journal's uuids."""
        return self._runs

    def begin(self, database: str, experiment: str, runs: Mapping[str, str]) -> None:
        """Drops all notes, then notes the study's experiment and its run ids by uuid."""
        self.forget()
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO destinations (place, database, experiment) VALUES (?, ?, ?)",
                (self._place, database, experiment),
            )
            connection.executemany(
                "INSERT INTO runs (place, uuid, run) VALUES (?, ?, ?)",
                [(self._place, uuid, run) for uuid, run in runs.items()],
            )
        self._runs = dict(runs)

    def forget(self) -> None:
        """Drops all notes on this destination."""
        with self._writing() as connection:
            for table in ("destinations", "runs", "files"):
                connection.execute(f"DELETE FROM {table} WHERE place = ?", (self._place,))
        self._runs, self._states = {}, {}
        self._intended.clear()

    def sent(self, revision: int, epochs: int) -> None:
        """Notes the journal's last revision and last row of `epochs` that were sent."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE destinations SET revision = ?, epochs = ? WHERE place = ?",
                (revision, epochs, self._place),
            )

    def has_file(self, name: str, mark: str) -> bool:
        """Returns whether a file was last sent with this mark."""
        row = self._connection.execute(
            "SELECT mark FROM files WHERE place = ? AND name = ?", (self._place, name)
        ).fetchone()
        return row is not None and row[0] == mark

    def sent_file(self, name: str, mark: str) -> None:
        """Notes that a file was sent. Its mark changes when its content does."""
        with self._writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO files (place, name, mark) VALUES (?, ?, ?)",
                (self._place, name, mark),
            )

    def forget_run(self, uuid: str) -> None:
        """Drops the note on a run that MLflow no longer has."""
        with self._writing() as connection:
            connection.execute("DELETE FROM runs WHERE place = ? AND uuid = ?", (self._place, uuid))
        del self._runs[uuid]
        self._states.pop(uuid, None)

    def intends(self, uuid: str) -> bool:
        """Returns whether a process that was killed may have made the run."""
        return uuid in self._intended

    def intend(self, uuids: Collection[str]) -> None:
        """Notes the uuids of runs before they are made."""
        new = [uuid for uuid in uuids if uuid not in self._runs and uuid not in self._intended]
        if not new:
            return
        # Without this sync to disk, a run could be made twice after a power failure.
        self._connection.execute("PRAGMA synchronous=FULL")
        with self._writing() as connection:
            connection.executemany(
                "INSERT INTO runs (place, uuid) VALUES (?, ?)",
                [(self._place, uuid) for uuid in new],
            )
        self._connection.execute("PRAGMA synchronous=OFF")

    def made(self, uuid: str, run: str) -> None:
        """Notes MLflow's id of a new run."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO runs (place, uuid, run) VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET run = excluded.run",
                (self._place, uuid, run),
            )
        self._runs[uuid] = run

    def has_begun(self, uuid: str) -> bool:
        """Returns whether a run has its params and its data set."""
        return self._states.get(uuid, _MADE) != _MADE

    def is_left_out(self, uuid: str) -> bool:
        """Returns whether a person deleted the run in MLflow."""
        return self._states.get(uuid, _MADE) == _LEFT_OUT

    def wrote(self, uuid: str) -> None:
        """Notes that a run has its params and its data set."""
        self._set_state(uuid, _BEGUN)

    def leave_out_run(self, uuid: str) -> None:
        """Notes that a person deleted the run in MLflow."""
        self._set_state(uuid, _LEFT_OUT)

    def _set_state(self, uuid: str, state: int) -> None:
        if self._states.get(uuid) == state:
            return
        with self._writing() as connection:
            connection.execute(
                "UPDATE runs SET state = ? WHERE place = ? AND uuid = ?",
                (state, self._place, uuid),
            )
        self._states[uuid] = state

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.rollback()

    @property
    def _connection(self) -> sqlite3.Connection:
        assert self._database is not None, "the notes are open"
        return self._database


def read_notes(folder: Path) -> tuple[str, str]:
    """Returns a study's experiment id in the store's own MLflow, and the database's identity.

    Both are empty if nothing is noted.
    """
    uri = f"{(folder / FILE_NAME).absolute().as_uri()}?mode=ro"
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(uri, uri=True)) as connection,
    ):
        query = "SELECT experiment, database FROM destinations WHERE place = ?"
        experiment, database = connection.execute(query, (STORE,)).fetchone() or ("", "")
        return experiment, database
    return "", ""


def _opened(path: Path) -> sqlite3.Connection:
    """Opens ``exports.db``. Replaces a file that is damaged or of another version."""
    for attempt in range(2):
        database = sqlite3.connect(path, timeout=60, isolation_level=None)
        try:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if not tables:
                database.executescript(_TABLES)
            if not tables or version == _FORMAT:
                # If a power failure loses notes, the exporter finds its runs by their uuids.
                database.execute("PRAGMA synchronous=OFF")
                return database
        except sqlite3.DatabaseError:
            if attempt:
                database.close()
                raise
        database.close()
        path.unlink()
    raise AssertionError("new notes have the present version")
