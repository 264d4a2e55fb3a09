"""A trial leaves the same record whichever engine proposed it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from in_mlflow import InMlflow
from scripted import ScriptedExecutor, describe, run_study

from tracking.history import StudyHistory

KNOWN = (
    {"rate": 0.01, "units": 32, "kind": "a"},
    {"rate": 0.05, "units": 8, "kind": "b", "momentum": 0.5},
    {"rate": 0.0002, "units": 64, "kind": "b", "momentum": 0.0},
)
# What tells one engine, one run or one moment from another.
OWN = ("kerastudy.engine", "kerastudy.uuid", "mlflow.parentRunId", "mlflow.note.content")


def launch(folder: Path, engine: str) -> StudyHistory:
    description = describe(engine=engine, trials=3, initial=KNOWN)
    return run_study(ScriptedExecutor(description), store=folder)


def record(history: StudyHistory, shown: InMlflow, uuid: str = "") -> dict[str, Any]:
    """What MLflow shows of a trial, or of the study."""
    client, run = shown.client, shown.run(uuid) if uuid else shown.parent
    run_id = run.info.run_id
    tags = {k: v for k, v in run.data.tags.items() if not k.startswith(OWN)}
    # The runs of a study's second engine name it.
    name = tags["mlflow.runName"].removesuffix(f" · {history.description.engine}")
    tags["mlflow.runName"] = name.replace(history.description.engine, "ENGINE")
    params = {k: v for k, v in run.data.params.items() if k != "engine"}
    return {
        "params": params,
        "metrics": run.data.metrics,
        "curves": {
            name: [(m.step, m.value) for m in client.get_metric_history(run_id, name)]
            for name in run.data.metrics
        },
        "tags": tags,
        "status": run.info.status,
        "inputs": [i.dataset.digest for i in run.inputs.dataset_inputs],
        "artifacts": sorted(a.path for a in client.list_artifacts(run_id)),
        "study artifacts": sorted(a.path for a in client.list_artifacts(run_id, "study")),
    }


def test_the_same_values_leave_the_same_record(tmp_path: Path) -> None:
    first, second = launch(tmp_path, "optuna:tpe"), launch(tmp_path, "keras-tuner:bayesian")
    here, there = InMlflow(first), InMlflow(second)
    for one, other in zip(first.trials, second.trials, strict=True):
        assert record(first, here, one.uuid) == record(second, there, other.uuid)
    assert record(first, here) == record(second, there)
