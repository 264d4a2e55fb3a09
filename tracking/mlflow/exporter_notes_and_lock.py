"""The exporter's notes in ``exports.db`` on the runs and files that it has sent to MLflow.

The file is beside a study's journal. If the file is lost, the exporter finds its runs in MLflow by
the tag ``kerastudy.uuid``. The exporter notes the uuid of a run before it creates the run, and
MLflow's run id afterwards. So no run is created twice, even if the exporter is killed.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock

from search_spaces.errors import StoreError
from tracking.journal import FILE_NAME as JOURNAL

FILE_NAME: Final = "exports.db"
STORE: Final = "store"
"""The `place` of the store's own MLflow database. The place of a server is its address."""
_FORMAT: Final = 4
# The states of a run. An intended run may or may not exist, since the process may have been killed
# after it created the run. A created run may lack its params and its data set. A written run has
# both. A deleted run was deleted by a person in MLflow.
_INTENDED, _CREATED, _WRITTEN, _DELETED = range(4)
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
    place TEXT NOT NULL, uuid TEXT NOT NULL, run TEXT NOT NULL, state INTEGER NOT NULL,
    PRIMARY KEY (place, uuid)
) WITHOUT ROWID;
PRAGMA user_version={_FORMAT};
COMMIT;
"""


@dataclass(frozen=True)
class StudyNote:
    """The study's experiment in one destination, and the part of the journal that was sent."""

    database: str  # The database's identity, from `servers_and_databases.identity_of`.
    experiment: str  # MLflow's id of the study's experiment.
    revision: int  # The last revision of the journal that was sent.
    epochs: int  # The last row of the journal's table `epochs` that was sent.


@contextlib.contextmanager
def locked_notes(folder: Path, seconds: float = -1) -> Iterator[None]:
    """Locks a study's ``exports.db`` for this process.

    Waits at most `seconds`, or forever if `seconds` is negative. Raises Timeout if another process
    keeps the lock, and StoreError if the study was deleted.
    """
    journal, path = folder / JOURNAL, folder / "exports.lock"
    deleted = StoreError(f"There is no study in {str(folder)!r} any more.")
    if not journal.is_file():
        raise deleted
    with FileLock(path, timeout=seconds):
        if not journal.is_file():
            # The study was deleted while this process waited, and FileLock created the study's
            # folder again.
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()
            raise deleted
        yield


@contextlib.contextmanager
def opened_notes(folder: Path, place: str) -> Iterator[ExporterNotes]:
    """Locks a study's notes, and reads the notes on one destination.

    Raises StoreError if the study was deleted.
    """
    with locked_notes(folder), contextlib.closing(_opened(folder / FILE_NAME)) as database:
        yield ExporterNotes(database, place)


class ExporterNotes:
    """The notes on a study and one destination."""

    def __init__(self, database: sqlite3.Connection, place: str) -> None:
        self._database, self._place = database, place
        rows = self._execute("SELECT uuid, run, state FROM runs WHERE place = ?").fetchall()
        # MLflow's run ids, by the journal's uuids.
        self.runs: dict[str, str] = {uuid: run for uuid, run, _ in rows if run}
        self._states: dict[str, int] = {uuid: state for uuid, _, state in rows}

    @property
    def study(self) -> StudyNote | None:
        """The note on the study itself; None if nothing is noted."""
        row = self._execute(
            "SELECT database, experiment, revision, epochs FROM destinations WHERE place = ?"
        ).fetchone()
        return None if row is None else StudyNote(*row)

    def note_experiment(self, database: str, experiment: str, runs: Mapping[str, str]) -> None:
        """Drops all notes, then notes the study's experiment and its run ids by uuid."""
        self.forget()
        self._insert_runs(runs, _CREATED)
        # The experiment is noted last. If the process is killed before that, the next process
        # starts over.
        self._execute(
            "INSERT INTO destinations (database, experiment, place) VALUES (?, ?, ?)",
            database,
            experiment,
        )

    def forget(self) -> None:
        """Drops all notes on this destination."""
        for table in ("destinations", "runs", "files"):
            self._execute(f"DELETE FROM {table} WHERE place = ?")
        self.runs, self._states = {}, {}

    def note_sent(self, revision: int, epochs: int) -> None:
        """Notes the last revision of the journal, and the last row of `epochs`, that were sent."""
        query = "UPDATE destinations SET revision = ?, epochs = ? WHERE place = ?"
        self._execute(query, revision, epochs)

    def has_file(self, name: str, mark: str) -> bool:
        """Returns whether a file was last sent with this mark, which stands for its content."""
        query = "SELECT 1 FROM files WHERE name = ? AND mark = ? AND place = ?"
        return self._execute(query, name, mark).fetchone() is not None

    def note_file(self, name: str, mark: str) -> None:
        """Notes that a file was sent. `mark` changes with the file's content."""
        query = "INSERT OR REPLACE INTO files (name, mark, place) VALUES (?, ?, ?)"
        self._execute(query, name, mark)

    def forget_run(self, uuid: str) -> None:
        """Drops the note on a run that was deleted because the journal no longer has its uuid."""
        self._execute("DELETE FROM runs WHERE uuid = ? AND place = ?", uuid)
        del self.runs[uuid], self._states[uuid]

    def may_exist(self, uuid: str) -> bool:
        """Returns whether an earlier process may have created a run and not noted its id."""
        return self._states.get(uuid) == _INTENDED

    def note_intended(self, uuids: Iterable[str]) -> None:
        """Notes the uuids of runs before they are created."""
        new = {uuid: "" for uuid in uuids if uuid not in self._states}
        if new:
            # Without this sync to disk, a run could be created twice after a power failure.
            self._execute("PRAGMA synchronous=FULL")
            self._insert_runs(new, _INTENDED)
            self._execute("PRAGMA synchronous=OFF")

    def note_created(self, uuid: str, run: str) -> None:
        """Notes MLflow's id of a new run."""
        self._insert_runs({uuid: run}, _CREATED)

    def is_written(self, uuid: str) -> bool:
        """Returns whether a run has its params and its data set."""
        return self._states[uuid] in (_WRITTEN, _DELETED)

    def note_written(self, uuid: str) -> None:
        """Notes that a run has its params and its data set."""
        self._set_state(uuid, _WRITTEN)

    def is_deleted(self, uuid: str) -> bool:
        """Returns whether a person deleted the run in MLflow."""
        return self._states.get(uuid) == _DELETED

    def note_deleted(self, uuid: str) -> None:
        """Notes that a person deleted the run in MLflow."""
        self._set_state(uuid, _DELETED)

    def _set_state(self, uuid: str, state: int) -> None:
        if self._states.get(uuid) != state:
            self._execute("UPDATE runs SET state = ? WHERE uuid = ? AND place = ?", state, uuid)
            self._states[uuid] = state

    def _execute(self, query: str, *values: object) -> sqlite3.Cursor:
        """Executes a statement as one transaction. The last placeholder gets the destination."""
        return self._database.execute(query, (*values, self._place) if "?" in query else ())

    def _insert_runs(self, runs: Mapping[str, str], state: int) -> None:
        rows = [(self._place, uuid, run, state) for uuid, run in runs.items()]
        self._database.execute("BEGIN IMMEDIATE")
        self._database.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?)", rows)
        self._database.execute("COMMIT")
        self.runs |= {uuid: run for uuid, run in runs.items() if run}
        self._states |= dict.fromkeys(runs, state)


def read_notes(folder: Path) -> tuple[str, str]:
    """Returns the noted id of the study's experiment, and the identity of its database.

    The database is the store's own MLflow database. Both texts are empty if nothing is noted.
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
                # Syncs to disk are not needed: if a power failure loses notes, the exporter finds
                # its runs by their uuids.
                database.execute("PRAGMA synchronous=OFF")
                return database
        except sqlite3.DatabaseError:
            if attempt:
                database.close()
                raise
        database.close()
        path.unlink()
    raise AssertionError("a new file has the present version")
