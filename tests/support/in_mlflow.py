"""What MLflow shows of a study, once it is brought up to date from the study's journal."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psutil

from tracking.history import StudyHistory
from tracking.mlflow import bring_up_to_date

if TYPE_CHECKING:
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
            if any(word.endswith("exporter_main.py") for word in process.cmdline()):
                exporters.append(process)
    assert not psutil.wait_procs(exporters, timeout=120)[1]


class InMlflow:
    """A study in the MLflow of its store.

    Attributes:
        client: MLflow's.
        experiment: The study's.
    """

    def __init__(self, history: StudyHistory) -> None:
        from mlflow import MlflowClient

        said: list[str] = []
        bring_up_to_date(history.store, history.folder, said.append)
        assert not said, said
        self._name, uri = history.description.name, history.store.mlflow_uri
        self.client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        experiment = self.client.get_experiment_by_name(self._name)
        assert experiment is not None
        self.experiment = experiment

    def run(self, uuid: str) -> Run:
        """The run of a trial or a fit."""
        return self._only(f"tags.`kerastudy.uuid` = '{uuid}'")

    @property
    def parent(self) -> Run:
        """The study's run, above those of its trials."""
        return self._only("tags.`kerastudy.kind` = 'study'")

    def page(self, server: str, run: Run) -> str:
        """The address of a run's page at a server."""
        return f"{server}/#/experiments/{self.experiment.experiment_id}/runs/{run.info.run_id}"

    @property
    def champion(self) -> ModelVersion:
        """The registered champion."""
        return self.client.get_model_version_by_alias(self._name, "champion")

    def _only(self, condition: str) -> Run:
        (run,) = self.client.search_runs([self.experiment.experiment_id], condition)
        return run
