"""Logging the champion as a model of MLflow, and registering it."""

from __future__ import annotations

import math
import platform
import zipfile
import zlib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from tracking import tags
from tracking.history import ALIAS, StudyHistory
from tracking.mlflow_names import to_mlflow
from tracking.records import BestEpoch, TrialRecord
from tracking.run_contents import spell
from tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel


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

    What a process that was killed on the way has left is taken up, so that nothing is there twice.

    Args:
        history: The study.
        trial: The trial behind the model.
        folder: What `mlflow.keras.save_model` wrote.

    Returns:
        The model's address, ``models:/NAME@champion``.
    """
    from mlflow.exceptions import MlflowException

    _, best = trial.best_training
    client, description = history.store.client, history.description
    metric, name = description.objective.metric, description.name
    facts = {
        tags.CHAMPION_RUN: trial.run_id,
        tags.NUMBER: str(trial.number),
        tags.ENGINE: description.engine,
        "epoch": str(best.epoch),
        to_mlflow(metric): repr(best.value),
    }
    try:
        client.get_registered_model(name)
    except MlflowException:
        client.create_registered_model(
            name, tags={tags.KIND: "study"}, description=f"Champions of the study {name}."
        )
    logged = _logged_model(history, trial, facts, folder)
    _note_in_parent_run(history, logged, best)
    versions = client.search_model_versions(f"name = '{name}'")
    version = next((v for v in versions if v.source == logged.artifact_location), None)
    version = version or client.create_model_version(
        name,
        # Its place, not "models:/ID": the registry would look that up in MLflow's global
        # tracking address, which is not ours to set, and make a database there.
        logged.artifact_location,
        run_id=history.parent_run_id,
        tags=facts,
        description=f"Trial {trial.number}, epoch {best.epoch}: {metric} {best.value:.6g}",
        model_id=logged.model_id,
    )
    client.set_registered_model_alias(name, ALIAS, version.version)
    return f"models:/{name}@{ALIAS}"


def champion_fault(store: Store, name: str) -> str:
    """Says what ails the files of a study's registered champion; empty if nothing does.

    Args:
        store: Where it is.
        name: The study's name. If it has no champion, nothing ails it.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.utils.file_utils import local_file_uri_to_path

    try:
        model = store.client.get_model_version_by_alias(name, ALIAS)
    except MlflowException:
        return ""
    return _model_fault(Path(local_file_uri_to_path(model.source)))


def _model_fault(folder: Path) -> str:
    saved = sorted(folder.rglob("*.keras"))
    if not (folder / "MLmodel").is_file() or not saved:
        return f"the model in {str(folder)!r} is gone, or a part of it"
    for path in saved:
        try:
            with zipfile.ZipFile(path) as archive:
                # By the archive's own checksums.
                damaged = archive.testzip()
        except (OSError, zipfile.BadZipFile, zlib.error) as error:
            damaged = str(error)
        if damaged:
            return f"{str(path)!r} is damaged ({damaged})"
    return ""


def _logged_model(
    history: StudyHistory, trial: TrialRecord, facts: Mapping[str, str], folder: Path
) -> LoggedModel:
    """Returns the trial's model as MLflow has it, complete; makes it if it is not there."""
    from mlflow.entities import LoggedModelStatus
    from mlflow.models import Model
    from mlflow.utils.file_utils import local_file_uri_to_path

    client, name = history.store.client, history.description.name
    registered = {v.source for v in client.search_model_versions(f"name = '{name}'")}
    logged = None
    for before in client.search_logged_models(
        [history.experiment_id], f"source_run_id = '{history.parent_run_id}'"
    ):
        if before.tags.get(tags.CHAMPION_RUN) == trial.run_id:
            logged = before
        elif before.artifact_location not in registered:
            # Of a trial that was surpassed before it was registered.
            client.delete_logged_model(before.model_id)
    logged = logged or client.create_logged_model(
        history.experiment_id,
        name="champion",
        source_run_id=history.parent_run_id,
        tags=dict(facts),
        params={to_mlflow(k): spell(v) for k, v in trial.spec.values.items()},
        model_type="keras",
    )
    place = Path(local_file_uri_to_path(logged.artifact_location))
    if logged.status != LoggedModelStatus.READY or _model_fault(place):
        saved = Model.load(str(folder))
        saved.model_id, saved.run_id = logged.model_id, history.parent_run_id
        saved.artifact_path = logged.artifact_location
        saved.save(str(folder / "MLmodel"))
        client.log_model_artifacts(logged.model_id, str(folder))
        client.finalize_logged_model(logged.model_id, "READY")
    return logged


def _note_in_parent_run(history: StudyHistory, logged: LoggedModel, best: BestEpoch) -> None:
    """Has the parent run show the model among its outputs, with its metrics."""
    from mlflow.entities import LoggedModelOutput, Metric

    client, parent = history.store.client, history.parent_run_id
    outputs = client.get_run(parent).outputs
    if logged.model_id not in [o.model_id for o in (outputs.model_outputs if outputs else [])]:
        client.log_outputs(parent, [LoggedModelOutput(logged.model_id, step=best.epoch)])
    metrics = [
        # MLflow takes the same metric at the same time as the same one, if it comes again.
        Metric(
            to_mlflow(f"champion/{name}"),
            value,
            logged.creation_timestamp,
            best.epoch,
            model_id=logged.model_id,
        )
        for name, value in best.metrics.items()
        if math.isfinite(value)
    ]
    client.log_batch(parent, metrics=metrics)
