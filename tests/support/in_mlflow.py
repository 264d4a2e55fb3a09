"""What MLflow shows of a study, read with its own client after the exporter has run."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tracking.history import StudyHistory
from tracking.mlflow import bring_up_to_date
from tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion


def wait_for_exporters() -> None:
    """Waits for processes that this one has started to bring MLflow and reports up to date.

    A launch waits for them ten seconds at most, and other commands not at all.
    """
    exporters = []
    for process in psutil.Process().children(recursive=True):
        # Some may have ended by now.
        with contextlib.suppress(psutil.NoSuchProcess):
            if any("tracking.mlflow.exporter_process" in word for word in process.cmdline()):
                exporters.append(process)
    assert not psutil.wait_procs(exporters, timeout=120)[1]


class InMlflow:
    """A study in its store's MLflow, brought up to date; its runs are deleted ones too."""

    def __init__(self, history: StudyHistory) -> None:
        # Late, as it imports MLflow.
        from exported import experiment_of, runs_of

        said: list[str] = []
        bring_up_to_date(history.store, history.folder, said.append)
        assert not said, said
        self.client = client_of(history.store)
        self._name, self._engine = history.description.name, history.description.engine
        self.experiment = experiment_of(self.client, history.folder)
        self._by_uuid = runs_of(self.client, history.folder)
        self.runs: list[Run] = [*self._by_uuid.values()]

    def run(self, uuid: str) -> Run:
        """The run of a trial, or of a fit."""
        return self._by_uuid[uuid]

    @property
    def parent(self) -> Run:
        """The run of the study under its engine, above those of its trials."""
        engine = "kerastudy.engine"
        (parent,) = [r for r in self.of_kind("study") if r.data.tags[engine] == self._engine]
        return parent

    def of_kind(self, kind: str) -> list[Run]:
        return [run for run in self.runs if run.data.tags["kerastudy.kind"] == kind]

    def below(self, run: Run) -> list[Run]:
        parent = run.info.run_id
        return [each for each in self.runs if each.data.tags.get("mlflow.parentRunId") == parent]

    def points(self, run: Run, metric: str) -> list[tuple[int, float]]:
        """The points of a metric: steps and values, in the order of the steps."""
        points = self.client.get_metric_history(run.info.run_id, metric)
        return sorted((point.step, point.value) for point in points)

    def page(self, server: str, run: Run) -> str:
        return f"{server}/#/experiments/{self.experiment.experiment_id}/runs/{run.info.run_id}"

    @property
    def champion(self) -> ModelVersion:
        return self.client.get_model_version_by_alias(self._name, "champion")


def client_of(store: Store) -> MlflowClient:
    """Returns MLflow's client on a store, whose database is a copy if there is none yet."""
    from mlflow import MlflowClient

    database = store.root / "mlflow.db"
    if not database.exists():
        shutil.copyfile(_empty_database(), database)
    return MlflowClient(tracking_uri=store.mlflow_uri, registry_uri=store.mlflow_uri)


@cache
def _empty_database() -> Path:
    """Makes MLflow's tables once, which takes a second of CPU."""
    from mlflow import MlflowClient

    path = Path(tempfile.mkdtemp(prefix="empty-mlflow-"), "mlflow.db")
    MlflowClient(tracking_uri=f"sqlite:///{path.as_posix()}").delete_experiment("0")
    return path
