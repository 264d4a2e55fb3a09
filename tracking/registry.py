"""Logging the champion as a model of MLflow, and registering it."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from tracking import tags
from tracking.errors import ServerRefusedError
from tracking.history import ALIAS, StudyHistory, champion_version
from tracking.mlflow_names import to_mlflow
from tracking.records import BestEpoch, StudyDescription, TrialRecord
from tracking.run_contents import spell
from tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import RegisteredModel


# What the parent run's metrics of the registered model begin with.
CHAMPION_METRICS = "champion/"


@dataclass(frozen=True)
class Registrar:
    """Where a study's champion is registered.

    Attributes:
        client: MLflow's client.
        experiment_id: The study's experiment there.
        parent_run_id: The parent run there of the study under the champion's engine.
        identity: Of the study, if its registered model may be another study's there; or empty.
    """

    client: MlflowClient
    experiment_id: str
    parent_run_id: str
    identity: str = ""


def requirements() -> list[str]:
    """Returns the fixed requirements of a saved model.

    Given to MLflow, since finding them by itself takes it 13 to 32 seconds.
    """
    return [f"{name}=={version(name)}" for name in ("keras", "tensorflow", "numpy")]


def register_champion(history: StudyHistory, trial: TrialRecord, folder: Path) -> str:
    """Logs a saved model under the study's parent run, registers it, and names it champion.

    Args:
        history: The study.
        trial: The trial behind the model.
        folder: What `mlflow.keras.save_model` wrote.

    Returns:
        The model's address, ``models:/NAME@champion``.
    """
    there = Registrar(history.store.client, history.experiment_id, history.parent_run_id)
    return register(there, history.description, trial, folder)


def register(
    there: Registrar, description: StudyDescription, trial: TrialRecord, folder: Path
) -> str:
    """Does what `register_champion` does, in a store or on a server.

    What a process that was killed on the way has left is taken up, so that nothing is there twice.

    Args:
        there: Where.
        description: The study, under the engine that proposed the trial.
        trial: The trial behind the model, as it is recorded there.
        folder: What `mlflow.keras.save_model` wrote.
    """
    _, best = trial.best_training
    client = there.client
    metric, name = description.objective.metric, description.name
    facts = {
        tags.CHAMPION_RUN: trial.run_id,
        tags.NUMBER: str(trial.number),
        tags.ENGINE: description.engine,
        "epoch": str(best.epoch),
        to_mlflow(metric): repr(best.value),
        **({tags.VERIFIED: trial.verified} if trial.verified else {}),
    }
    model = _registered_model(there, name)
    if there.identity and model.tags.get(tags.IDENTITY) != there.identity:
        raise ServerRefusedError(
            f"The server has a registered model {name!r} that is not this store's study's, so the "
            "champion is not registered there."
        )
    logged = _logged_model(there, name, trial, facts, folder)
    _note_in_parent_run(there, logged, best)
    versions = client.search_model_versions(f"name = '{name}'")
    version = next((v for v in versions if v.source == logged.artifact_location), None)
    version = version or client.create_model_version(
        name,
        # Its place, not "models:/ID": the registry would look that up in MLflow's global
        # tracking address, which is not ours to set, and make a database there.
        logged.artifact_location,
        run_id=there.parent_run_id,
        tags=facts,
        description=f"Trial {trial.number}, epoch {best.epoch}: {metric} {best.value:.6g}",
        model_id=logged.model_id,
    )
    if trial.verified and version.tags.get(tags.VERIFIED) != trial.verified:
        client.set_model_version_tag(name, version.version, tags.VERIFIED, trial.verified)
    client.set_registered_model_alias(name, ALIAS, version.version)
    return f"models:/{name}@{ALIAS}"


def set_champion_verified(store: Store, name: str, text: str) -> None:
    """Records of a study's registered champion whether plain `model.fit` comes to the same."""
    version = champion_version(store.client, name)
    if version is not None and version.tags.get(tags.VERIFIED) != text:
        store.client.set_model_version_tag(name, version.version, tags.VERIFIED, text)


def withdraw_champion(store: Store, name: str) -> None:
    """Takes the name champion from a study's registered model, which stays as it is."""
    store.client.delete_registered_model_alias(name, ALIAS)


def champion_fault(store: Store, name: str) -> str:
    """Says what ails the files of a study's registered champion; empty if nothing does.

    Args:
        store: Where it is.
        name: The study's name. If it has no champion, nothing ails it.
    """
    model = champion_version(store.client, name)
    return "" if model is None else _model_fault(local_model(model.source))


def local_model(location: str) -> Path:
    """Returns the folder of a model that is in a store."""
    from mlflow.utils.file_utils import local_file_uri_to_path

    return Path(local_file_uri_to_path(location))


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
    there: Registrar, name: str, trial: TrialRecord, facts: Mapping[str, str], folder: Path
) -> LoggedModel:
    """Returns the trial's model as MLflow has it, complete; makes it if it is not there."""
    from mlflow.entities import LoggedModelStatus
    from mlflow.models import Model

    client = there.client
    registered = {v.source for v in client.search_model_versions(f"name = '{name}'")}
    logged = None
    for before in client.search_logged_models(
        [there.experiment_id], f"source_run_id = '{there.parent_run_id}'"
    ):
        if before.tags.get(tags.CHAMPION_RUN) == trial.run_id:
            logged = before
        elif before.artifact_location not in registered:
            # Of a trial that was surpassed before it was registered.
            client.delete_logged_model(before.model_id)
    logged = logged or client.create_logged_model(
        there.experiment_id,
        name="champion",
        source_run_id=there.parent_run_id,
        tags=dict(facts),
        params={to_mlflow(k): spell(v) for k, v in trial.spec.values.items()},
        model_type="keras",
    )
    if logged.status != LoggedModelStatus.READY or _location_fault(logged.artifact_location):
        saved = Model.load(str(folder))
        saved.model_id, saved.run_id = logged.model_id, there.parent_run_id
        saved.artifact_path = logged.artifact_location
        saved.save(str(folder / "MLmodel"))
        client.log_model_artifacts(logged.model_id, str(folder))
        client.finalize_logged_model(logged.model_id, "READY")
    return logged


def _registered_model(there: Registrar, name: str) -> RegisteredModel:
    """Returns a study's registered model, made if it is not there."""
    from mlflow.exceptions import MlflowException

    try:
        return there.client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    given = {tags.KIND: "study"}
    if there.identity:
        given[tags.IDENTITY] = there.identity
    description = f"Champions of the study {name}."
    return there.client.create_registered_model(name, tags=given, description=description)


def _location_fault(location: str) -> str:
    from mlflow.utils.uri import is_local_uri

    # What a server holds is whole once it is READY, and the server's to keep.
    return _model_fault(local_model(location)) if is_local_uri(location) else ""


def _note_in_parent_run(there: Registrar, logged: LoggedModel, best: BestEpoch) -> None:
    """Has the parent run show the model among its outputs, with its metrics."""
    from mlflow.entities import LoggedModelOutput, Metric

    client, parent = there.client, there.parent_run_id
    outputs = client.get_run(parent).outputs
    if logged.model_id not in [o.model_id for o in (outputs.model_outputs if outputs else [])]:
        client.log_outputs(parent, [LoggedModelOutput(logged.model_id, step=best.epoch)])
    metrics = [
        # MLflow takes the same metric at the same time as the same one, if it comes again.
        Metric(
            to_mlflow(f"{CHAMPION_METRICS}{name}"),
            value,
            logged.creation_timestamp,
            best.epoch,
            model_id=logged.model_id,
        )
        for name, value in best.metrics.items()
        if math.isfinite(value)
    ]
    client.log_batch(parent, metrics=metrics)
