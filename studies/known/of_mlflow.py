"""Reads the runs of an MLflow experiment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from search_spaces.errors import StudyError
from studies.known.results import Result, best_of
from tracking.records import Objective
from tracking.records.known import KnownSource

_PAGE: Final = 1000
_SQLITE: Final = "sqlite:///"


def mlflow_results(source: KnownSource, objective: Objective) -> Iterator[Result]:
    """Yields the results of an experiment's runs: the best value of the metric in each.

    Raises:
        StudyError: If it can't be read.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    place = source.place
    if place.startswith(_SQLITE) and not Path(place.removeprefix(_SQLITE)).is_file():
        raise StudyError(f"There is no MLflow database at {place!r}: no such file.")
    metric = source.metric or objective.metric
    try:
        client = MlflowClient(tracking_uri=place, registry_uri=place)
        experiments = client.search_experiments()
        named = [e for e in experiments if source.name in (e.name, "")]
        if not source.name:
            # MLflow's own, which is mostly empty.
            named = [e for e in named if e.name != "Default"] or named
        if len(named) != 1:
            names = ", ".join(sorted(e.name for e in experiments)) or "none"
            raise StudyError(f"Name an experiment of {place!r}. There is: {names}.")
        for run in _runs(client, named[0].experiment_id):
            yield _result(client, run, metric, objective)
    except MlflowException as error:
        raise StudyError(f"MLflow can't read {place!r}: {error.message:.200}") from None


def _runs(client: Any, experiment: str) -> Iterator[Any]:
    token = None
    while True:
        page = client.search_runs(
            [experiment], max_results=_PAGE, page_token=token, order_by=["attributes.start_time"]
        )
        yield from page
        token = page.token
        if not token:
            return


def _result(client: Any, run: Any, metric: str, objective: Objective) -> Result:
    values = dict(run.data.params)
    if run.info.status != "FINISHED":
        return Result(values, None, run.info.status.lower())
    if metric not in run.data.metrics:
        return Result(values, None, f"without {metric}")
    history = client.get_metric_history(run.info.run_id, metric)
    return Result(values, best_of([each.value for each in history], objective.direction))
