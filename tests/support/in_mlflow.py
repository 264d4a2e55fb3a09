"""Reads what MLflow shows of a study, by MLflow's own client, after the exporter has run."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psutil

from tracking.history import StudyHistory
from tracking.mlflow import bring_up_to_date, open_store_client

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion


def wait_for_exporters() -> None:
    """Waits for the exporter processes that this process has started.

    A launch waits at most ten seconds for its exporter. Other commands do not wait.
    """
    exporters = []
    for process in psutil.Process().children(recursive=True):
        # A process may have ended since.
        with contextlib.suppress(psutil.NoSuchProcess):
            if any("tracking.mlflow.exporter_process" in word for word in process.cmdline()):
                exporters.append(process)
    assert not psutil.wait_procs(exporters, timeout=120)[1]


class InMlflow:
    """A study in its store's MLflow, brought up to date. `runs` has deleted runs, too, by uuid."""

    def __init__(self, history: StudyHistory) -> None:
        # This imports MLflow, which takes 2 s, so it is not imported above.
        from exported import experiment_of, runs_of

        messages: list[str] = []
        bring_up_to_date(history.store, history.folder, messages.append)
        assert not messages, messages
        self.client = open_store_client(history.store)
        self._name = history.description.name
        self.experiment = experiment_of(self.client, history.folder)
        self.runs = runs_of(self.client, history.folder)

    def run(self, uuid: str) -> Run:
        """Returns the run of a trial or of the study."""
        return self.runs[uuid]

    @property
    def parent(self) -> Run:
        """The parent run of the study's trials."""
        (parent,) = [r for r in self.runs.values() if r.data.tags["kerastudy.kind"] == "study"]
        return parent

    def points(self, run: Run, metric: str) -> list[tuple[int, float]]:
        """Returns the steps and values of a metric, in the order of the steps."""
        points = self.client.get_metric_history(run.info.run_id, metric)
        return sorted((point.step, point.value) for point in points)

    def page(self, server: str, run: Run) -> str:
        """Returns the address of a run's page on a server."""
        return f"{server}/#/experiments/{self.experiment.experiment_id}/runs/{run.info.run_id}"

    @property
    def champion(self) -> ModelVersion:
        """The model version with the alias `champion`."""
        return self.client.get_model_version_by_alias(self._name, "champion")
