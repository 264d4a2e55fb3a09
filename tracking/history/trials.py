"""A study's trials: read from MLflow's tables, ranked, completed, and as a table.

A trial's record is in its run's tags. MLflow's client also reads metrics, parameters and inputs, an
object for each: 5,000 trials take it 6.5 seconds, but half a second here. If the tables have
another schema, the client reads.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import re
import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from search_spaces import SearchSpace
from search_spaces.errors import StoreError
from search_spaces.parameters.choices import parameter_from_dict
from search_spaces.space import complete
from tracking import tags
from tracking.records import (
    EndedTrial,
    Objective,
    Rank,
    StudyDescription,
    TrialRecord,
    finished_trials,
)
from tracking.runs.parents import search_runs
from tracking.runs.run_contents import read_trial

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Run

    from tracking.history.study_history import StudyHistory
    from tracking.store.folder import Store

_Trial = TypeVar("_Trial", bound=TrialRecord)
Kind = Literal["infeasible", "cut short"]

_EPOCH = re.compile(r" (?:in|after) epoch \d+")
_COLUMNS = ("number", "state", "value", "epoch", "epochs", "started", "seconds", "seed", "reason")


def read_trials(
    store: Store,
    experiment_id: str,
    parent_run_id: str,
    known: Iterable[TrialRecord] = (),
    only: Collection[str] | None = None,
) -> tuple[list[TrialRecord], int]:
    """Reads a study's trials, each from its last attempt.

    Those `known` were read before; then `only` the runs that were written since are read.

    Returns:
        The trials by number, and how many were infeasible in an attempt before their last one;
        attempts of known trials are not counted again.
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


def ranked(trials: Iterable[TrialRecord], objective: Objective) -> list[EndedTrial]:
    """Returns the trials that have a value, best first.

    A trial counts with its best validation epoch, a pruned trial too. For ties see `Rank`.
    """
    valued = [t for t in finished_trials(trials) if t.best is not None and t.state != "infeasible"]
    return sorted(valued, key=lambda trial: rank_of(trial, objective))


def rank_of(trial: TrialRecord, objective: Objective) -> Rank:
    """Returns the rank of a trial that has a value."""
    assert trial.best is not None, "it has a value"
    # A value of no epoch has no validation loss either: what is recorded is of one of its models.
    best = trial.best if trial.epoch is not None else replace(trial.best, metrics={})
    return best.rank(objective, trial.number)


def best_trial(trials: Iterable[TrialRecord | None], objective: Objective) -> EndedTrial | None:
    """Returns the best trial that `model.fit` does not contradict, or None; ignores None."""
    return next(iter(holding([t for t in trials if t is not None], objective)), None)


def holding(trials: Iterable[TrialRecord], objective: Objective) -> list[EndedTrial]:
    """Returns the trials with a value, best first, without those that `model.fit` contradicts."""
    return [trial for trial in ranked(trials, objective) if trial.holds]


def with_joined(description: StudyDescription, trials: Iterable[TrialRecord]) -> StudyDescription:
    """Returns a study's definition with the space after its trials.

    A space found by tracing a builder may lack hyperparameters of a branch that tracing did not
    reach. Such a hyperparameter joins the space with the trial that declared it. It had its default
    in that trial and in all before it.
    """
    if not description.discovered:
        return description
    space = description.space
    for trial in trials:
        if isinstance(trial, EndedTrial):
            space = joined(space, trial.result.joined)
    return replace(description, space=space)


def joined(space: SearchSpace, parameters: Iterable[object]) -> SearchSpace:
    """Returns a space with parameters, as `Parameter.to_dict` writes them, added or replaced."""
    further = [parameter_from_dict(each) for each in parameters]
    return space.with_parameters(*further) if further else space


def completed(trial: _Trial, space: SearchSpace) -> _Trial:
    """Returns a trial with its values of hyperparameters that joined the space after it began."""
    if space.contains(trial.spec.values):
        return trial
    return replace(trial, spec=replace(trial.spec, values=complete(space, trial.spec.values)))


class Reason(NamedTuple):
    """A reason, without the epoch, and the numbers of the trials that ended for it."""

    kind: Kind
    text: str
    trials: tuple[int, ...]


def reasons(trials: Iterable[TrialRecord]) -> list[Reason]:
    """Returns the reasons of finished trials: infeasible ones first, then the most frequent."""
    numbers: dict[tuple[Kind, str], list[int]] = {}
    for trial in finished_trials(trials):
        if not trial.result.reason:
            continue
        kind: Kind = "infeasible" if trial.state == "infeasible" else "cut short"
        text = _EPOCH.sub("", trial.result.reason)
        numbers.setdefault((kind, text), []).append(trial.number)
    counted = [Reason(kind, text, tuple(of)) for (kind, text), of in numbers.items()]
    return sorted(counted, key=lambda each: (each.kind != "infeasible", -len(each.trials)))


def trials_table(history: StudyHistory) -> pd.DataFrame:
    """Returns a study's trials as a table, a row for each, by number.

    Columns are named as by Optuna's `Study.trials_dataframe`:

    - ``number``, ``state``, ``value`` (the objective at the best epoch), ``epoch`` (that epoch,
      from 1), ``epochs`` (trained), ``started`` (UTC), ``seconds``, ``seed``, ``reason`` (why it is
      infeasible or ended early),
    - ``params_NAME`` for each hyperparameter; missing where it was not active,
    - ``metrics_NAME`` for each metric at the best epoch.
    """
    import pandas as pd

    names = history.description.space.names
    rows = [_row(trial, names) for trial in history.trials]
    metrics = dict.fromkeys(n for row in rows for n in row if n.startswith("metrics_"))
    columns = [*_COLUMNS, *(f"params_{name}" for name in names), *sorted(metrics)]
    table = pd.DataFrame(rows, columns=columns)
    table["started"] = pd.to_datetime(table["started"], unit="ms", utc=True)
    # Whole numbers that may be missing.
    return table.astype({"epoch": "Int64", "value": "float64", "seconds": "float64"})


def _row(trial: TrialRecord, names: Iterable[str]) -> dict[str, Any]:
    result = trial.result
    row: dict[str, Any] = {
        "number": trial.number,
        "state": trial.state,
        "value": trial.value,
        "epoch": trial.epoch,
        "epochs": 0 if result is None else result.epochs,
        "started": trial.started,
        "seconds": None if result is None else result.seconds,
        "seed": trial.spec.seed,
        "reason": "" if result is None else result.reason,
    }
    row |= {f"params_{name}": trial.params.get(name) for name in names}
    if trial.best is not None:
        row |= {f"metrics_{name}": value for name, value in trial.best.metrics.items()}
    return row
