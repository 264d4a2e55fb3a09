"""What a server has of a study, to compare with what the store has."""

from __future__ import annotations

import re
import threading
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow_server import MlflowServer

from studies.progress import NoProgress
from tracking.history import StudyHistory


class Said(NoProgress):
    """What was said, also by other threads."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._changed = threading.Condition()

    def say(self, text: str) -> None:
        with self._changed:
            self.texts.append(text)
            self._changed.notify_all()

    def wait_for(self, part: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.has(part), timeout=60), self.texts

    def has(self, part: str) -> bool:
        return any(part in text for text in self.texts)


def contents(client: MlflowClient, name: str) -> dict[Any, Any]:
    """All that MLflow has of a study's runs, by their names in place of their ids."""
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    names = {run.info.run_id: run.info.run_name for run in runs}
    found = {
        (run.info.run_name, run.info.start_time): _contents(client, run, names) for run in runs
    }
    assert len(found) == len(runs), "a run is there twice"
    return found


def _contents(client: MlflowClient, run: Run, names: dict[str, str]) -> dict[str, Any]:
    ours = ("kerastudy.copied", "kerastudy.copy_of", "mlflow.user", "mlflow.source")
    kept = {k: v for k, v in run.data.tags.items() if not k.startswith(ours)}
    if "mlflow.note.content" in kept:
        # Links lead to the runs of the same server.
        of_experiment = kept["mlflow.note.content"].replace(
            f"/experiments/{run.info.experiment_id}/", "/experiments/ID/"
        )
        kept["mlflow.note.content"] = re.sub(
            r"(?<=/runs/)\w{32}", lambda found: names[found[0]], of_experiment
        )
    if "mlflow.parentRunId" in kept:
        kept["mlflow.parentRunId"] = names[kept["mlflow.parentRunId"]]
    points = {
        metric: [(p.step, p.value, p.timestamp) for p in client.get_metric_history(run_id, metric)]
        for run_id, metric in ((run.info.run_id, metric) for metric in run.data.metrics)
    }
    return {
        "status": run.info.status,
        "times": (run.info.start_time, run.info.end_time),
        "params": run.data.params,
        "tags": kept,
        "metrics": points,
        "data": sorted(i.dataset.digest for i in run.inputs.dataset_inputs),
    }


def check_same(history: StudyHistory, server: MlflowServer) -> None:
    name = history.description.name
    assert contents(server.client, name) == contents(history.store.client, name)
    experiment = server.client.get_experiment_by_name(name).experiment_id
    (parent,) = server.client.search_runs([experiment], "tags.`kerastudy.kind` = 'study'")
    # MLflow shows the value at the highest step.
    assert history.best is not None and history.best.best is not None
    assert parent.data.metrics["study/best_val_loss"] == history.best.best.value
