"""Reads a study's trials from MLflow's tables.

A trial's record is in its run's tags. MLflow's client also reads metrics, parameters and inputs, an
object for each: 5,000 trials take it 6.5 seconds, but half a second here. If the tables have
another schema, the client reads.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import sqlite3
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from search_spaces.errors import StoreError
from tracking import tags
from tracking.records import TrialRecord
from tracking.runs.parents import search_runs
from tracking.runs.run_contents import read_trial

if TYPE_CHECKING:
    from mlflow.entities import Run

    from tracking.store.folder import Store


def read_trials(
    store: Store,
    experiment_id: str,
    parent_run_id: str,
    known: Iterable[TrialRecord] = (),
    only: Collection[str] | None = None,
) -> tuple[list[TrialRecord], int]:
    """Reads a study's trials, each from its last attempt.

    Args:
        store: Where they are.
        experiment_id: The study's experiment.
        parent_run_id: The study's run under one engine.
        known: Trials that were read before.
        only: The runs to read; None: all.

    Returns:
        The trials by number, and how many were infeasible in an attempt before their last one;
        attempts of known trials are not counted again.

    Raises:
        StoreError: If one cannot be read.
    """
    latest = {trial.number: trial for trial in known}
    superseded = 0
    for run in _runs(store, experiment_id, parent_run_id, only):
        trial = _read_trial(run)
        if trial is None:
            continue
        before = latest.setdefault(trial.number, trial)
        if before.run_id == trial.run_id or before.spec.attempt < trial.spec.attempt:
            latest[trial.number], trial = trial, before
        if trial.run_id != latest[trial.number].run_id:
            superseded += trial.state == "infeasible"
    return [latest[number] for number in sorted(latest)], superseded


def metric_by_step(
    store: Store, run_ids: Collection[str], name: str
) -> dict[str, dict[int, float]] | None:
    """Returns the values of a metric by step, from 1, of each run with this metric.

    None if the tables have another schema.
    """
    try:
        rows = _rows(
            store,
            "SELECT run_uuid, step, value, is_nan FROM metrics WHERE key = ? AND step > 0 "
            "AND run_uuid IN (SELECT value FROM json_each(?)) ORDER BY run_uuid, step, timestamp",
            [name, json.dumps(list(run_ids))],
        )
    except sqlite3.Error:
        return None
    found: dict[str, dict[int, float]] = {}
    for run_id, step, value, is_nan in rows:
        found.setdefault(run_id, {})[step] = math.nan if is_nan else value
    return found


def _runs(
    store: Store, experiment_id: str, parent_run_id: str, only: Collection[str] | None
) -> list[Run]:
    """Returns the runs of trials, each with only its tags, in the order of their start."""
    from mlflow.entities import Run, RunData, RunInfo, RunTag

    chosen = "" if only is None else " AND r.run_uuid IN (SELECT value FROM json_each(?))"
    given = [] if only is None else [json.dumps(list(only))]
    try:
        rows = _rows(
            store,
            "SELECT r.run_uuid, r.name, r.status, r.start_time, r.end_time, t.key, t.value "
            "FROM tags p JOIN runs r ON r.run_uuid = p.run_uuid "
            "JOIN tags t ON t.run_uuid = r.run_uuid "
            "WHERE p.key = ? AND p.value = ? AND r.experiment_id = ? "
            f"AND r.lifecycle_stage = 'active'{chosen} ORDER BY r.start_time, r.run_uuid",
            [tags.PARENT, parent_run_id, int(experiment_id), *given],
        )
    except sqlite3.Error:
        condition = f"tags.`{tags.PARENT}` = '{parent_run_id}'"
        found = search_runs(store.client, experiment_id, condition)
        return [run for run in found if only is None or run.info.run_id in only]
    runs = []
    for (run_id, name, status, started, ended), of_run in itertools.groupby(
        rows, lambda row: row[:5]
    ):
        info = RunInfo(run_id, experiment_id, "", status, started, ended, "active", run_name=name)
        runs.append(Run(info, RunData(tags=[RunTag(row[5], row[6]) for row in of_run])))
    return runs


def _read_trial(run: Run) -> TrialRecord | None:
    try:
        return read_trial(run)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"The record of the run {run.info.run_id} ({run.info.run_name}) cannot be read "
            f"({error!r}): the database is damaged, or was changed by hand. Restore the store "
            "from a backup; `kerastudy doctor` says what else is wrong."
        ) from None


def _rows(store: Store, query: str, given: list[Any]) -> list[Any]:
    uri = f"{(store.root / 'mlflow.db').as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=60)) as database:
        return database.execute(query, given).fetchall()
