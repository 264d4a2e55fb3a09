"""Writing runs: the protocol, MLflow's client, and straight into MLflow's tables.

The client takes 16 ms of CPU for a short run, most of it to look up what it has just written.
Writing into the tables of its SQLite database takes less than 2 ms, in two transactions: one when
the run begins, one when it ends. Runs that begin or end together share a transaction.

The result is the same; a test compares every field. If the tables have another schema, or the
database rejects a write, MLflow's client writes the run.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from search_spaces.errors import InternalError, StoreError
from tracking.mlflow_parts import batch_check, can_write_tables
from tracking.records import EpochResult
from tracking.runs.run_contents import to_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric, Param, RunTag
    from sqlalchemy.pool import PoolProxiedConnection

    from tracking.store.folder import Store

# A batch of the client's holds 1,000 things at most, of which 100 params or tags.
_BATCH: Final = 1000
_LAST_BATCH: Final = 800
_MOST_PARAMS: Final = 100


class RunWriter(Protocol):
    """Writes runs of one experiment."""

    def begin(
        self,
        name: str,
        tags: Mapping[str, str],
        params: Sequence[Param],
        inputs: Sequence[DatasetInput],
    ) -> str:
        """Makes a run that is RUNNING; returns its id."""
        ...

    def log(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tags: Sequence[RunTag] = (),
        status: str | None = None,
    ) -> None:
        """Adds to a run, and ends it if a status is given.

        The tags are written after the rest; the status after the tags, or with them.
        """
        ...

    def together(self) -> contextlib.AbstractContextManager[None]:
        """Writes everything within at the end, in one transaction if possible."""
        ...

    def settle(self) -> None:
        """Ends a write that an interrupt left incomplete, so that others can write."""
        ...

    def close(self) -> None:
        """Closes the connection to the database, until the next write."""
        ...


class ClientWriter:
    """A `RunWriter` by MLflow's client."""

    def __init__(self, client: MlflowClient, experiment_id: str) -> None:
        self._client = client
        self._experiment_id = experiment_id

    def begin(
        self,
        name: str,
        tags: Mapping[str, str],
        params: Sequence[Param],
        inputs: Sequence[DatasetInput],
    ) -> str:
        run = self._client.create_run(self._experiment_id, run_name=name, tags=dict(tags))
        run_id: str = run.info.run_id
        if inputs:
            self._client.log_inputs(run_id, list(inputs))
        self.log(run_id, params=params)
        return run_id

    def log(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tags: Sequence[RunTag] = (),
        status: str | None = None,
    ) -> None:
        for start in range(0, len(params) - _MOST_PARAMS, _MOST_PARAMS):
            self._client.log_batch(run_id, params=params[start : start + _MOST_PARAMS])
        params = params[(max(len(params) - 1, 0) // _MOST_PARAMS) * _MOST_PARAMS :]
        for start in range(0, len(metrics) - _LAST_BATCH, _BATCH):
            end = min(start + _BATCH, len(metrics) - _LAST_BATCH)
            self._client.log_batch(run_id, metrics=metrics[start:end])
        # MLflow writes a batch's tags after its metrics.
        self._client.log_batch(run_id, metrics[-_LAST_BATCH:], params, tags)
        if status is not None:
            self._client.set_terminated(run_id, status)

    def together(self) -> contextlib.AbstractContextManager[None]:
        """Writes each at once."""
        return contextlib.nullcontext()

    def settle(self) -> None:
        """Does nothing: each write ends by itself."""

    def close(self) -> None:
        """Does nothing: MLflow's client keeps its connection."""


# Pages of 4 KiB in the write-ahead log until they are put into the database, which waits for the
# disk. SQLite's default of 1,000 is about ten short trials, mostly of the same pages.
_PAGES: Final = 4000


def make_writer(store: Store, experiment_id: str) -> RunWriter:
    """Returns the fastest writer that can serve a store."""
    by_client = ClientWriter(store.client, experiment_id)
    if not can_write_tables(store.root / "mlflow.db"):
        return by_client
    return TableWriter(store.mlflow_uri, experiment_id, by_client)


class TableWriter:
    """A `RunWriter` into the tables of MLflow's SQLite database.

    `otherwise` writes what the database rejects, or raises why it can't.
    """

    def __init__(self, uri: str, experiment_id: str, otherwise: RunWriter) -> None:
        self._uri = uri
        self._experiment_id = experiment_id
        self._otherwise = otherwise
        self._open: PoolProxiedConnection | None = None
        self._together = False
        # Whether the last write is complete.
        self._whole = True

    def begin(
        self,
        name: str,
        tags: Mapping[str, str],
        params: Sequence[Param],
        inputs: Sequence[DatasetInput],
    ) -> str:
        try:
            with self._transaction() as database:
                return self._begin(database, name, tags, params, inputs)
        except (sqlite3.Error, NotTakenError):
            self._commit()
            return self._otherwise.begin(name, tags, params, inputs)

    def log(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tags: Sequence[RunTag] = (),
        status: str | None = None,
    ) -> None:
        """Writes all in one transaction."""
        try:
            with self._transaction() as database:
                found = database.execute(
                    "SELECT 1 FROM runs WHERE run_uuid = ? AND lifecycle_stage = 'active'",
                    (run_id,),
                )
                if found.fetchone() is None:
                    raise NotTakenError
                add_values(database, run_id, metrics, params, tags)
                if status is not None:
                    database.execute(
                        "UPDATE runs SET status = ?, end_time = ? WHERE run_uuid = ?",
                        (status, _now(), run_id),
                    )
        except (sqlite3.Error, NotTakenError):
            self._commit()
            self._otherwise.log(run_id, metrics, params, tags, status)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Writes everything within in one transaction; an error loses only its own write."""
        self._together = True
        try:
            yield
        finally:
            try:
                self.settle()
            except sqlite3.Error as error:
                raise _not_written(error) from error

    def settle(self) -> None:
        self._together = False
        if self._open is not None and not self._whole:
            self._connection(self._open).rollback()
            self._whole = True
        self._commit()

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def _begin(
        self,
        database: sqlite3.Connection,
        name: str,
        tags: Mapping[str, str],
        params: Sequence[Param],
        inputs: Sequence[DatasetInput],
    ) -> str:
        experiment = database.execute(
            "SELECT artifact_location FROM experiments "
            "WHERE experiment_id = ? AND lifecycle_stage = 'active'",
            (self._experiment_id,),
        ).fetchone()
        if experiment is None or urlsplit(experiment[0] or "").scheme != "file":
            raise NotTakenError
        run_id = uuid.uuid4().hex
        database.execute(
            "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, "
            "user_id, status, start_time, source_version, lifecycle_stage, artifact_uri, "
            "experiment_id) VALUES (?, ?, 'UNKNOWN', '', '', ?, 'RUNNING', ?, '', "
            "'active', ?, ?)",
            (
                run_id,
                name,
                tags.get("mlflow.user", "unknown"),
                _now(),
                f"{experiment[0].rstrip('/')}/{run_id}/artifacts",
                int(self._experiment_id),
            ),
        )
        # MLflow does not cut the first tags of a run.
        add_tags(database, run_id, {"mlflow.runName": name, **tags})
        add_values(database, run_id, (), params, ())
        for each in {(i.dataset.name, i.dataset.digest): i for i in reversed(inputs)}.values():
            self._add_input(database, run_id, each)
        return run_id

    def _add_input(self, database: sqlite3.Connection, run_id: str, given: DatasetInput) -> None:
        dataset = database.execute(
            "SELECT dataset_uuid FROM datasets WHERE experiment_id = ? AND name = ? AND digest = ?",
            (int(self._experiment_id), given.dataset.name, given.dataset.digest),
        ).fetchone()
        if dataset is None:
            # The first run with this data set: the client adds it to the experiment.
            raise NotTakenError
        input_id = uuid.uuid4().hex
        database.execute(
            "INSERT INTO inputs (input_uuid, source_type, source_id, destination_type, "
            "destination_id) VALUES (?, 'DATASET', ?, 'RUN', ?)",
            (input_id, dataset[0], run_id),
        )
        database.executemany(
            "INSERT INTO input_tags (input_uuid, name, value) VALUES (?, ?, ?)",
            [(input_id, tag.key, tag.value) for tag in given.tags],
        )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Opens a transaction, or a savepoint in the open one."""
        if self._open is None:
            from sqlalchemy import create_engine
            from sqlalchemy.pool import NullPool

            # Through MLflow's engine, so that the connection gets the same pragmas.
            self._open = create_engine(self._uri, poolclass=NullPool).raw_connection()
            self._open.cursor().execute(f"PRAGMA wal_autocheckpoint={_PAGES}")
        database = self._connection(self._open)
        further = database.in_transaction
        self._whole = False
        try:
            if not further:
                database.execute("BEGIN IMMEDIATE")
            database.execute("SAVEPOINT part")
            yield database
            self._whole = True
        except sqlite3.Error as error:
            if further and not database.in_transaction:
                # A full disk may end the transaction, with all writes in it.
                raise _not_written(error) from error
            raise
        finally:
            if not self._whole and database.in_transaction:
                # On any error, an interrupt among them, which may have come before the savepoint.
                try:
                    database.execute("ROLLBACK TO part")
                except sqlite3.OperationalError:
                    database.rollback()
            self._whole = True
            if not self._together:
                self._commit()

    def _commit(self) -> None:
        if self._open is None:
            return
        database = self._connection(self._open)
        try:
            database.commit()
        finally:
            # If the commit failed.
            if database.in_transaction:
                database.rollback()

    @staticmethod
    def _connection(opened: PoolProxiedConnection) -> sqlite3.Connection:
        database = opened.driver_connection
        assert isinstance(database, sqlite3.Connection), "the store's database is SQLite's"
        return database


def _not_written(error: sqlite3.Error) -> StoreError:
    return StoreError(
        f"The store's database cannot be written: {error}. Recorded trials are safe. Fix this, "
        "then give the command again."
    )


def _now() -> int:
    return time.time_ns() // 1_000_000


class NotTakenError(InternalError):
    """The tables lack what a write needs: MLflow's client writes it, or raises the reason."""


def add_values(
    database: sqlite3.Connection,
    run_id: str,
    metrics: Sequence[Metric],
    params: Sequence[Param],
    tags: Sequence[RunTag],
) -> None:
    """Adds metrics, params and tags to a run.

    Raises NotTakenError if MLflow must decide what to do with them.
    """
    # MLflow's own checks; long texts are cut there.
    metrics, params, tags = batch_check()(metrics, params, tags)
    if not all(math.isfinite(metric.value) for metric in metrics):
        raise NotTakenError
    rows = [(m.key, float(m.value), m.timestamp, m.step, run_id) for m in metrics]
    database.executemany(
        "INSERT OR IGNORE INTO metrics (key, value, timestamp, step, run_uuid, is_nan) "
        "VALUES (?, ?, ?, ?, ?, 0)",
        rows,
    )
    latest: dict[str, tuple[Any, ...]] = {}
    for row in rows:
        known = latest.get(row[0])
        if known is None or (row[3], row[2], row[1]) > (known[3], known[2], known[1]):
            latest[row[0]] = row
    database.executemany(
        "INSERT INTO latest_metrics (key, value, timestamp, step, run_uuid, is_nan) "
        "VALUES (?, ?, ?, ?, ?, 0) ON CONFLICT (key, run_uuid) DO UPDATE SET "
        "value = excluded.value, timestamp = excluded.timestamp, step = excluded.step, is_nan = 0 "
        "WHERE (excluded.step, excluded.timestamp, excluded.value) > "
        "(latest_metrics.step, latest_metrics.timestamp, latest_metrics.value)",
        latest.values(),
    )
    database.executemany(
        "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)",
        [(param.key, param.value, run_id) for param in params],
    )
    add_tags(database, run_id, {tag.key: tag.value for tag in tags})


def add_tags(database: sqlite3.Connection, run_id: str, tags: Mapping[str, str]) -> None:
    """Adds tags to a run, among them its name."""
    database.executemany(
        "INSERT OR REPLACE INTO tags (key, value, run_uuid) VALUES (?, ?, ?)",
        [(key, text, run_id) for key, text in tags.items()],
    )
    if "mlflow.runName" in tags:
        database.execute(
            "UPDATE runs SET name = ? WHERE run_uuid = ?", (tags["mlflow.runName"], run_id)
        )


# A long training shows its curve while it runs; a short one is written in one go.
_SECONDS_BETWEEN_FLUSHES: Final = 2.0


class WaitingMetrics:
    """The metrics of a training's epochs, some of them together."""

    def __init__(self) -> None:
        self._waiting: list[Metric] = []
        self._flushed = time.monotonic()

    def add(self, epoch: EpochResult) -> bool:
        """Takes those of an epoch; returns whether it is time to write all that wait."""
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        self._waiting += [
            Metric(to_mlflow(name), value, now, epoch.epoch)
            for name, value in epoch.metrics.items()
            # MLflow turns an infinity into 1.8e308, which then wins every sort.
            if math.isfinite(value)
        ]
        return time.monotonic() - self._flushed > _SECONDS_BETWEEN_FLUSHES

    def take(self) -> list[Metric]:
        """Returns all that wait; none waits then."""
        taken, self._waiting = self._waiting, []
        self._flushed = time.monotonic()
        return taken
