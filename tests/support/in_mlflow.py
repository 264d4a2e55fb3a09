"""What MLflow shows of a study, read with its own client after the exporter has run."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

from tracking.history import StudyHistory
from tracking.mlflow import bring_up_to_date
from tracking.store import Store


class InMlflow:
    """A study in its store's MLflow, brought up to date."""

    def __init__(self, history: StudyHistory) -> None:
        self.engine = history.description.engine
        self.client = client_of(history.store)
        bring_up_to_date(history.store, history.folder, _refused)
        experiments = self.client.search_experiments(
            ViewType.ALL, filter_string="tags.`kerastudy.kind` = 'study'"
        )
        ids = [each.experiment_id for each in experiments]
        self.runs = self.client.search_runs(ids, run_view_type=ViewType.ALL, max_results=5000)
        self._by_uuid = {run.data.tags["kerastudy.uuid"]: run for run in self.runs}
        assert len(self._by_uuid) == len(self.runs), "a run is there twice"

    def run(self, uuid: str) -> Run:
        """Returns the run of a trial, or of a fit."""
        return self._by_uuid[uuid]

    @property
    def parent(self) -> Run:
        """The run of the study under its engine."""
        (parent,) = [run for run in self.of_kind("study") if run.data.tags[_ENGINE] == self.engine]
        return parent

    def of_kind(self, kind: str) -> list[Run]:
        """Returns the runs of a kind, such as "trial"."""
        return [run for run in self.runs if run.data.tags["kerastudy.kind"] == kind]

    def below(self, run: Run) -> list[Run]:
        """Returns the runs below a run."""
        parent = run.info.run_id
        return [each for each in self.runs if each.data.tags.get("mlflow.parentRunId") == parent]

    def points(self, run: Run, metric: str) -> list[tuple[int, float]]:
        """Returns the points of a metric: steps and values, in the order of the steps."""
        points = self.client.get_metric_history(run.info.run_id, metric)
        return sorted((point.step, point.value) for point in points)


def client_of(store: Store) -> MlflowClient:
    """Returns MLflow's client on a store, whose database is a copy if there is none yet."""
    database = store.root / "mlflow.db"
    if not database.exists():
        shutil.copyfile(_empty_database(), database)
    return MlflowClient(tracking_uri=store.mlflow_uri, registry_uri=store.mlflow_uri)


@cache
def _empty_database() -> Path:
    """Makes MLflow's tables once, which takes a second of CPU."""
    path = Path(tempfile.mkdtemp(prefix="empty-mlflow-"), "mlflow.db")
    MlflowClient(tracking_uri=f"sqlite:///{path.as_posix()}").delete_experiment("0")
    return path


def _refused(line: str) -> None:
    raise AssertionError(line)


_ENGINE = "kerastudy.engine"
