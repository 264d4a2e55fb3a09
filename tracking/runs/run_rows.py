"""The rows of a run's metrics, params and tags in MLflow's tables."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from search_spaces.errors import InternalError
from tracking.mlflow_parts import batch_check

if TYPE_CHECKING:
    from mlflow.entities import Metric, Param, RunTag


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

    Raises:
        NotTakenError: If MLflow must decide what to do with them.
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
