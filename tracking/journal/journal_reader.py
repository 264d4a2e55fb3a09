"""Reads the journal of a study: the trials, fits, epochs and everything else that it records."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from search_spaces.errors import StoreError
from tracking.journal.database_file import FILE_NAME, OFF, reading
from tracking.records import (
    Confirmation,
    DataFindings,
    EndedTrial,
    Evaluation,
    RecordError,
    Repeat,
    StudyDescription,
    TrialRecord,
    TrialResult,
    TrialSpec,
    from_json,
)

Record = TypeVar("Record")
Curve = Mapping[int, Mapping[str, float]]
"""The metrics of a fit by epoch."""


@dataclass(frozen=True)
class Header:
    """The facts about a study that a store's list of studies needs."""

    uuid: str
    name: str
    launched: int  # The time of the last launch, as Unix time in milliseconds.
    server: str  # The address of an MLflow server. Without a server, "off" or empty.

    @property
    def address(self) -> str:
        """The address of the MLflow server that gets a copy of the study, or empty."""
        return "" if self.server == OFF else self.server


@dataclass(frozen=True)
class Champion:
    """A study's champion, a saved model."""

    trial: str  # The uuid of the trial.
    folder: Path
    reason: str
    predictions: str


@dataclass(frozen=True)
class StudyRecord:
    """The definition and the state of a study: the row of the table `study`."""

    run: str  # The uuid of the study's parent run in MLflow.
    description: StudyDescription
    status: str
    ended_by: str
    stopped: str
    keeps: int | None
    created: int
    ended: int
    git: str  # The commit of the study's code, or empty.
    corrected: str
    changed: int  # The journal's revision of the row's last change.


@dataclass(frozen=True)
class Fit:
    """One training of a trial or of a confirmation."""

    uuid: str
    identity: str  # For a training of a confirmation, a digest of everything that it depends on.
    spec: TrialSpec
    state: str
    result: TrialResult | None


class Point(NamedTuple):
    """An epoch of a fit, and the time at which it was recorded."""

    epoch: int
    time: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class ConfirmationRecord:
    """A run of `kerastudy confirm`. `outcome` is None until the run ends."""

    uuid: str
    plan: str
    state: str
    outcome: Confirmation | None


class JournalReader:
    """Reads the journal in a study's folder. Each call opens the file, except in `held_open`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / FILE_NAME
        self._opened: sqlite3.Connection | None = None

    @contextlib.contextmanager
    def held_open(self) -> Iterator[JournalReader]:
        """Keeps the file open for several calls. Each call sees all commits before the call."""
        with reading(self.path) as database:
            self._opened = database
            try:
                yield self
            finally:
                self._opened = None

    def _rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Returns the rows of a query, each as a dict with the names of the columns."""
        opened = self._opened
        with reading(self.path) if opened is None else contextlib.nullcontext(opened) as database:
            cursor = database.execute(query, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def header(self) -> Header:
        """Returns the study's uuid, name, server and last launch."""
        (row,) = self._rows("SELECT uuid, name, launched, server FROM study")
        return Header(**row)

    def revision(self) -> int:
        """Returns the journal's revision, which grows with each transaction."""
        return int(self._rows("SELECT revision FROM study")[0]["revision"])

    def uuids(self) -> set[str]:
        """Returns the uuids of the runs that MLflow may have: of the study and its trials."""
        rows = self._rows("SELECT run AS uuid FROM study UNION SELECT uuid FROM trials")
        return {row["uuid"] for row in rows}

    def study(self) -> StudyRecord:
        """Returns the definition and the state of the study."""
        (row,) = self._rows(
            "SELECT run, definition AS description, status, ended_by, stopped, keeps, created, "
            "ended, git, corrected, changed, name FROM study"
        )
        description = self._read(StudyDescription, row["description"])
        row["description"] = replace(description, name=row.pop("name"))
        keeps = row["keeps"] or ("all" if description.keep is None else description.keep)
        row["keeps"] = None if keeps == "all" else int(keeps)
        return StudyRecord(**row)

    def trial_count(self) -> int:
        """Returns the number of trials. Several attempts count as one trial."""
        (row,) = self._rows("SELECT count(DISTINCT number) AS trials FROM trials")
        return int(row["trials"])

    def attempts(self, since: int = 0) -> list[TrialRecord]:
        """Returns the attempts at trials that changed after the revision `since`."""
        rows = self._rows(
            "SELECT uuid, spec, state, result, engine_state, environment, code_digest, "
            "started, losses, verified, ended, whole FROM trials "
            # With "+", SQLite finds the rows by the index of revisions. Without "+", SQLite would
            # read the whole table in the order of ids.
            "WHERE revision > ? ORDER BY +id",
            since,
        )
        for row in rows:
            row["engine_state"] = json.loads(row["engine_state"])
            row["environment"] = _environment(row["environment"])
            self._parse(row, spec=TrialSpec, result=TrialResult, whole=Repeat)
        return [(TrialRecord if row["result"] is None else EndedTrial)(**row) for row in rows]

    def fits(self, owner: str) -> list[Fit]:
        """Returns the fits of a trial or of a confirmation, by its uuid."""
        rows = self._rows(
            "SELECT uuid, identity, spec, state, result FROM fits "
            # The "+" has the same reason as in `attempts`.
            "WHERE trial = ?1 OR confirmation = ?1 ORDER BY +id",
            owner,
        )
        return [Fit(**self._parse(row, spec=TrialSpec, result=TrialResult)) for row in rows]

    def curves(self, fits: Iterable[str]) -> dict[str, dict[int, dict[str, float]]]:
        """Returns the metrics of each epoch of fits, by the uuid of the fit and by the epoch.

        `fits` are uuids of fits or of trials. A trial's uuid selects all fits of the trial.
        """
        rows = self._rows(
            "SELECT f.uuid, e.epoch, e.metrics FROM epochs e JOIN fits f ON f.id = e.fit "
            "WHERE e.fit IN (SELECT id FROM fits WHERE uuid IN (SELECT value FROM json_each(?1)) "
            "OR trial IN (SELECT value FROM json_each(?1))) ORDER BY e.id",
            json.dumps(list(fits)),
        )
        curves: dict[str, dict[int, dict[str, float]]] = {}
        for row in rows:
            # An objective function may report several values for one epoch, so an epoch may have
            # several rows.
            epoch = curves.setdefault(row["uuid"], {}).setdefault(row["epoch"], {})
            epoch.update(json.loads(row["metrics"]))
        return curves

    def points(self, after: int) -> tuple[dict[str, list[Point]], int]:
        """Returns new epochs by the uuid of the fit, and the id of the newest row.

        An epoch is new if the id of its row in the table `epochs` is above `after`. Without new
        epochs, the returned id is `after`.
        """
        rows = self._rows(
            "SELECT e.id, f.uuid, e.epoch, e.time, e.metrics FROM epochs e "
            "JOIN fits f ON f.id = e.fit WHERE e.id > ? ORDER BY e.id",
            after,
        )
        points: dict[str, list[Point]] = defaultdict(list)
        for row in rows:
            point = Point(row["epoch"], row["time"], json.loads(row["metrics"]))
            points[row["uuid"]].append(point)
        return points, rows[-1]["id"] if rows else after

    def confirmations(self) -> list[ConfirmationRecord]:
        """Returns the study's confirmations, the oldest first."""
        rows = self._rows("SELECT uuid, plan, state, outcome FROM confirmations ORDER BY id")
        return [ConfirmationRecord(**self._parse(row, outcome=Confirmation)) for row in rows]

    def evaluations(self, digest: str | None = None) -> list[Evaluation]:
        """Returns the study's evaluations on test parts, the oldest first.

        `digest` selects the evaluations on the test part that has this digest.
        """
        rows = self._rows(
            "SELECT content FROM evaluations WHERE ?1 IS NULL OR digest = ?1 ORDER BY time, id",
            digest,
        )
        return [self._read(Evaluation, row["content"]) for row in rows]

    def champion(self) -> Champion | None:
        """Returns the study's champion, or None."""
        rows = self._rows(
            "SELECT trial, folder, reason, predictions FROM champions WHERE NOT withdrawn LIMIT 1"
        )
        champions = (Champion(**{**row, "folder": self.folder / row["folder"]}) for row in rows)
        return next(champions, None)

    def findings(self) -> DataFindings | None:
        """Returns the findings about the study's data, if the data was checked."""
        (row,) = self._rows("SELECT looked FROM study")
        return self._read(DataFindings, row["looked"]) if row["looked"] else None

    def code(self, digests: Collection[str]) -> dict[str, str]:
        """Returns the recorded source texts that have these digests, by digest."""
        rows = self._rows(
            "SELECT digest, content FROM code WHERE digest IN (SELECT value FROM json_each(?))",
            json.dumps(list(digests)),
        )
        return {row["digest"]: row["content"] for row in rows}

    def _parse(self, row: dict[str, Any], **kinds: type[Any]) -> dict[str, Any]:
        """Converts columns of JSON into records of the given kinds, and returns the row."""
        for column, kind in kinds.items():
            if row[column] is not None:
                row[column] = self._read(kind, row[column])
        return row

    def _read(self, kind: type[Record], text: str) -> Record:
        try:
            return from_json(kind, text)
        except RecordError as error:
            raise StoreError(
                f"The journal {str(self.path)!r} cannot be read: an entry is {error}",
                hint="It is damaged, or was changed by hand: restore it from a backup.",
            ) from None


@lru_cache(maxsize=64)
def _environment(text: str) -> Mapping[str, str]:
    environment: dict[str, str] = json.loads(text)
    return environment
