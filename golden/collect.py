"""Prints all that a store holds of its studies, as one JSON document.

    python golden/collect.py STORE

It runs in the environment of a side, and uses public names alone: `kerastudy` as study files import
it, and MLflow's client. A value that only one side's version offers is missing in the other side's
document, and so shows as a difference.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Experiment, Run

import kerastudy as ks

OF_TRIALS = ("state", "value", "epoch", "params", "seed", "reason", "metrics", "user_attrs")


def main(store: str) -> None:
    """Prints the document: `studies` by name, `ids` that texts may name, `packages`."""
    fill_mlflow(store)
    address = f"sqlite:///{Path(store).resolve() / 'mlflow.db'}"
    mlflow.set_tracking_uri(address)
    mlflow.set_registry_uri(address)
    client = MlflowClient(address, address)
    studies: dict[str, Any] = {}
    ids: dict[str, str] = {}
    for name in ks.list_studies(store):
        experiment = client.get_experiment_by_name(name)
        runs = runs_of(client, experiment)
        labels = labels_of(runs)
        ids |= {run_id: f"<run {label}>" for run_id, label in labels.items()}
        for model in client.search_logged_models([experiment.experiment_id]):
            ids[model.model_id] = "<model>"
        results = ks.read_study(name, store=store)
        studies[name] = {
            "trial": {trial.number: trial_document(trial) for trial in results.trials},
            "best": None if results.best is None else results.best.number,
            "champion": champion_document(client, name, store, labels),
            "mlflow": {
                "experiment": {"tag": experiment.tags},
                "run": {labels[run.info.run_id]: run_document(client, run) for run in runs},
                "model": model_document(client, name, labels),
            },
        }
    packages = {
        distribution.name.lower(): distribution.version
        for distribution in importlib.metadata.distributions()
    }
    packages.pop("kerastudy", None)
    print(json.dumps({"studies": studies, "ids": ids, "packages": packages}, default=plain))


def fill_mlflow(store: str) -> None:
    """Copies the whole store to MLflow, if this version keeps its record elsewhere."""
    try:
        from tracking.mlflow import bring_up_to_date
        from tracking.store import open_store
    except ImportError:
        return
    opened = open_store(store)
    assert opened is not None
    for folder in opened.folders():
        bring_up_to_date(opened, folder, lambda line: print(line, file=sys.stderr))


def plain(value: Any) -> Any:
    """Returns a number of NumPy's, a mapping or any other object as a value for JSON."""
    if hasattr(value, "item"):
        return value.item()
    return dict(value) if hasattr(value, "keys") else str(value)


def trial_document(trial: Any) -> dict[str, Any]:
    """Returns a trial as Python shows it: each value, each epoch, a digest of its weights."""
    document = {name: getattr(trial, name) for name in OF_TRIALS if hasattr(trial, name)}
    curve = trial.curve.to_dict()
    document["metric"] = {name: {"step": steps} for name, steps in curve.items()}
    document["weights"] = digest(trial.load_model)
    return document


def digest(load: Any, *arguments: Any, **options: Any) -> str:
    """Returns the SHA-256 of a model's arrays in their order, or why there is no model."""
    try:
        arrays = load(*arguments, **options).get_weights()
    except ks.KerastudyError as error:
        return f"none: {type(error).__name__}"
    sha256 = hashlib.sha256()
    for array in arrays:
        sha256.update(f"{array.dtype} {array.shape}".encode())
        sha256.update(array.tobytes())
    return sha256.hexdigest()


def champion_document(
    client: MlflowClient, name: str, store: str, labels: dict[str, str]
) -> dict[str, Any]:
    """Returns which trial the registered champion is of, and a digest of its weights."""
    try:
        version = client.get_model_version_by_alias(name, "champion")
    except mlflow.MlflowException:
        return {"run": None}
    return {
        "run": labels.get(version.run_id, "unknown"),
        "trial": version.tags.get("kerastudy.trial"),
        "epoch": version.tags.get("epoch"),
        "weights": digest(ks.load_model, name, store=store),
    }


def runs_of(client: MlflowClient, experiment: Experiment) -> list[Run]:
    """Returns the visible runs of an experiment, the earliest first."""
    # A page of the search has 1,000 runs; a study here has some 30.
    return list(client.search_runs([experiment.experiment_id], order_by=["start_time ASC"]))


def labels_of(runs: list[Run]) -> dict[str, str]:
    """Returns a name for each run that does not change from launch to launch, by its id.

    Names are `parent`, `trial 3`, or a kind with its trial, fold and repeat: `fold trial 3
    repeat 1`. Equal names are numbered from the second one on.
    """
    labels: dict[str, str] = {}
    for run in runs:
        tags, params = run.data.tags, run.data.params
        kind = tags.get("kerastudy.kind", "other")
        words = [] if kind == "trial" else [kind]
        for key in ("trial", "fold", "repeat", "seed"):
            value = tags.get(f"kerastudy.{key}", params.get(key))
            words += [] if value is None else [key, value]
        label = " ".join(words) if "mlflow.parentRunId" in tags else "parent"
        alike = sum(other.partition(" #")[0] == label for other in labels.values())
        labels[run.info.run_id] = f"{label} #{alike + 1}" if alike else label
    return labels


def run_document(client: MlflowClient, run: Run) -> dict[str, Any]:
    """Returns what MLflow has of a run: each step of each metric, its data sets, its artifacts."""
    metrics: dict[str, dict[str, Any]] = {}
    for name in run.data.metrics:
        steps: defaultdict[int, list[float]] = defaultdict(list)
        for point in client.get_metric_history(run.info.run_id, name):
            steps[point.step].append(point.value)
        metrics[name] = {
            "step": {step: v[0] if len(v) == 1 else v for step, v in sorted(steps.items())}
        }
    datasets = {}
    for used in run.inputs.dataset_inputs if run.inputs else ():
        context = ", ".join(tag.value for tag in used.tags)
        datasets[context] = used.dataset.to_dictionary()
    return {
        "status": run.info.status,
        "name": run.info.run_name,
        "tag": run.data.tags,
        "param": run.data.params,
        "metric": metrics,
        "dataset": datasets,
        "artifact": {file.path: "present" for file in client.list_artifacts(run.info.run_id)},
    }


def model_document(client: MlflowClient, name: str, labels: dict[str, str]) -> dict[str, Any]:
    """Returns the registered model of a study with its versions."""
    versions = client.search_model_versions(f"name='{name}'")
    if not versions:
        return {}
    model = client.get_registered_model(name)
    return {
        "tag": model.tags,
        "description": model.description,
        "alias": model.aliases,
        "version": {
            version.version: {
                "tag": version.tags,
                "description": version.description,
                "run": labels.get(version.run_id, "unknown"),
            }
            for version in versions
        },
    }


if __name__ == "__main__":
    main(sys.argv[1])
