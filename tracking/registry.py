"""Logging the champion as a model of MLflow, and registering it."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tracking import tags
from tracking.history import ALIAS, StudyHistory
from tracking.mlflow_names import to_mlflow
from tracking.records import TrialRecord
from tracking.run_contents import spell


def requirements() -> list[str]:
    """Returns the fixed requirements of a saved model.

    Given to MLflow, since finding them by itself takes it 13 to 32 seconds.
    """
    return [f"{name}=={version(name)}" for name in ("keras", "tensorflow", "numpy")]


def environment() -> dict[str, str]:
    """Returns what a trial's bits may depend on, beside its spec: versions and machine."""
    names = ("kerastudy", "keras", "tensorflow", "numpy", "optuna", "mlflow", "scikit-learn")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return {**found, "system": platform.system(), "machine": platform.machine()}


def register_champion(history: StudyHistory, trial: TrialRecord, folder: Path) -> str:
    """Logs a saved model under the study's parent run, registers it, and names it champion.

    Args:
        history: The study.
        trial: The trial behind the model.
        folder: What `mlflow.keras.save_model` wrote.

    Returns:
        The model's address, ``models:/NAME@champion``.
    """
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    _, best = trial.best_training
    client, description = history.store.client, history.description
    metric = description.objective.metric
    facts = {
        tags.CHAMPION_RUN: trial.run_id,
        tags.NUMBER: str(trial.number),
        tags.ENGINE: description.engine,
        "epoch": str(best.epoch),
        to_mlflow(metric): repr(best.value),
    }
    logged = client.create_logged_model(
        history.experiment_id,
        name="champion",
        source_run_id=history.parent_run_id,
        tags=facts,
        params={to_mlflow(k): spell(v) for k, v in trial.spec.values.items()},
        model_type="keras",
    )
    saved = Model.load(str(folder))
    saved.model_id, saved.run_id = logged.model_id, history.parent_run_id
    saved.artifact_path = logged.artifact_location
    saved.save(str(folder / "MLmodel"))
    client.log_model_artifacts(logged.model_id, str(folder))
    client.finalize_logged_model(logged.model_id, "READY")
    output = LoggedModelOutput(logged.model_id, step=best.epoch)
    client.log_outputs(history.parent_run_id, [output])
    _log_model_metrics(history, logged.model_id, best.metrics, best.epoch)
    name = description.name
    try:
        client.get_registered_model(name)
    except MlflowException:
        client.create_registered_model(
            name, tags={tags.KIND: "study"}, description=f"Champions of the study {name}."
        )
    model_version = client.create_model_version(
        name,
        # Its place, not "models:/ID": the registry would look that up in MLflow's global
        # tracking address, which is not ours to set, and make a database there.
        logged.artifact_location,
        run_id=history.parent_run_id,
        tags=facts,
        description=f"Trial {trial.number}, epoch {best.epoch}: {metric} {best.value:.6g}",
        model_id=logged.model_id,
    )
    client.set_registered_model_alias(name, ALIAS, model_version.version)
    return f"models:/{name}@{ALIAS}"


def _log_model_metrics(
    history: StudyHistory, model_id: str, metrics: Mapping[str, float], epoch: int
) -> None:
    for name, value in metrics.items():
        if math.isfinite(value):
            history.store.client.log_metric(
                history.parent_run_id,
                to_mlflow(f"champion/{name}"),
                value,
                step=epoch,
                model_id=model_id,
            )
