"""Logging the champion as a model of MLflow, and registering it."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from search_spaces.errors import ServerRefusedError, StoreError
from tracking import tags
from tracking.history.study_history import StudyHistory
from tracking.records import BestEpoch, EndedTrial, StudyDescription
from tracking.runs.champion_versions import ALIAS, REFIT, champion_version, is_of, models_of
from tracking.runs.mlflow_names import param_name, to_mlflow
from tracking.runs.model_pages import model_description, version_description
from tracking.runs.run_contents import spell
from tracking.store.folder import Store, local_path

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel


@dataclass(frozen=True)
class Registrar:
    """Where a study's champion is registered.

    Attributes:
        client: MLflow's client.
        experiment_id: The study's experiment there.
        parent_run_id: The parent run there of the study under the champion's engine.
        identity: The study's, if a model of this name there may be another study's; or empty.
        runs: Other runs there, by the store's; empty: they are the store's.
    """

    client: MlflowClient
    experiment_id: str
    parent_run_id: str
    identity: str = ""
    runs: Mapping[str, str] = field(default_factory=dict)

    def run(self, run_id: str) -> str:
        """Returns the run there that is a run of the store's."""
        return self.runs.get(run_id, run_id)


def requirements() -> list[str]:
    """Returns the fixed requirements of a saved model.

    MLflow would need 13 to 32 seconds to find them.
    """
    return [f"{name}=={version(name)}" for name in ("keras", "tensorflow", "numpy")]


def register_champion(
    history: StudyHistory, trial: EndedTrial, folder: Path, promoted: str = ""
) -> str:
    """Logs a saved model under the study's parent run, registers it, and names it champion.

    Args:
        history: The study.
        trial: The trial behind the model.
        folder: What `mlflow.keras.save_model` wrote.
        promoted: Why a person chose it; empty: as it is the best.

    Returns:
        The model's address, ``models:/NAME@champion``.
    """
    there = Registrar(history.store.client, history.experiment_id, history.parent_run_id)
    return register(there, history.description, trial, folder, promoted)


def register_refit(
    history: StudyHistory, trial: EndedTrial, folder: Path, epochs: int, samples: int
) -> str:
    """Registers a model that was trained on training and validation data, and names it refit.

    Args:
        history: The study.
        trial: The trial whose hyperparameters it has.
        folder: What `mlflow.keras.save_model` wrote.
        epochs: Epochs that it was trained.
        samples: Samples that it was trained on.

    Returns:
        The model's address, ``models:/NAME@refit``.
    """
    there = Registrar(history.store.client, history.experiment_id, history.parent_run_id)
    facts = {
        tags.REFIT_OF: trial.run_id,
        tags.NUMBER: str(trial.number),
        tags.ENGINE: history.description.engine,
        tags.EXPERIMENT: there.experiment_id,
        "epochs": str(epochs),
    }
    text = (
        f"Trial {trial.number} trained again on training and validation data together, "
        f"{samples} samples, {epochs} epochs. It has no validation value."
    )
    _, version = _registered(there, history.description, trial, folder, facts, REFIT, text)
    there.client.set_registered_model_alias(version.name, REFIT, version.version)
    return f"models:/{version.name}@{REFIT}"


def register(
    there: Registrar,
    description: StudyDescription,
    trial: EndedTrial,
    folder: Path,
    promoted: str = "",
) -> str:
    """Does what `register_champion` does, in a store or on a server.

    It continues the work of a process that was killed in between, so that nothing exists twice.

    Args:
        there: Where.
        description: The study, under the engine that proposed the trial.
        trial: The trial behind the model, as it is recorded in the store.
        folder: What `mlflow.keras.save_model` wrote.
        promoted: Why a person chose it; empty: as it is the best.
    """
    _, best = trial.best_training
    client = there.client
    metric = description.objective.metric
    facts = {
        tags.CHAMPION_RUN: there.run(trial.run_id),
        tags.NUMBER: str(trial.number),
        tags.ENGINE: description.engine,
        tags.EXPERIMENT: there.experiment_id,
        "epoch": str(best.epoch),
        to_mlflow(metric): repr(best.value),
        **({tags.VERIFIED: trial.verified} if trial.verified else {}),
    }
    if promoted:
        facts[tags.PROMOTED] = promoted
    logged, version = _registered(there, description, trial, folder, facts, ALIAS)
    _measured(there, trial, logged, best)
    for tag, fact in facts.items():
        # Deleted in MLflow, or from an older version.
        if version.tags.get(tag) != fact:
            client.set_model_version_tag(version.name, version.version, tag, fact)
    client.set_registered_model_alias(version.name, ALIAS, version.version)
    return f"models:/{version.name}@{ALIAS}"


def _registered(
    there: Registrar,
    description: StudyDescription,
    trial: EndedTrial,
    folder: Path,
    facts: Mapping[str, str],
    alias: str,
    text: str = "",
) -> tuple[LoggedModel, ModelVersion]:
    """Returns a saved model in MLflow, and its version of the study's registered model."""
    client = there.client
    model = _registered_model(there, description.name)
    name = model.name
    if there.identity and model.tags.get(tags.IDENTITY) != there.identity:
        raise ServerRefusedError(
            f"The server has a registered model {name!r} that is not this store's study's, so the "
            "champion is not registered there."
        )
    logged = _logged_model(there, name, trial, facts, folder, alias)
    text = text or version_description(
        description, trial, there.experiment_id, there.run(trial.run_id), logged.model_id
    )
    versions = client.search_model_versions(_is_named(name))
    version = next((v for v in versions if v.source == logged.artifact_location), None)
    return logged, version or client.create_model_version(
        name,
        # Its place, not "models:/ID": the registry would look that up in MLflow's global
        # tracking address, which is not ours to set, and make a database there.
        logged.artifact_location,
        run_id=there.parent_run_id,
        tags=facts,
        description=text,
        model_id=logged.model_id,
    )


def promotion(history: StudyHistory) -> str:
    """Returns why a person chose a study's champion; empty if a launch did, or there is none."""
    found = champion_version(history.store.client, history.description.name, history.experiment_id)
    return "" if found is None else str(found.tags.get(tags.PROMOTED, ""))


def set_promotion(history: StudyHistory, reason: str) -> None:
    """Records why a person chose the present champion; empty: launches choose it again."""
    client = history.store.client
    found = champion_version(client, history.description.name, history.experiment_id)
    if found is None:
        return
    if reason:
        client.set_model_version_tag(found.name, found.version, tags.PROMOTED, reason)
    elif tags.PROMOTED in found.tags:
        client.delete_model_version_tag(found.name, found.version, tags.PROMOTED)


def set_champion_verified(history: StudyHistory, text: str) -> None:
    """Records whether plain `model.fit` verified a study's registered champion."""
    client = history.store.client
    version = champion_version(client, history.description.name, history.experiment_id)
    if version is not None and version.tags.get(tags.VERIFIED) != text:
        client.set_model_version_tag(version.name, version.version, tags.VERIFIED, text)


def withdraw_champion(history: StudyHistory) -> None:
    """Removes the alias champion from a study's registered model, and changes nothing else."""
    withdraw(history.store.client, history.description.name, history.experiment_id)


def withdraw(client: MlflowClient, name: str, experiment_id: str) -> None:
    """Does what `withdraw_champion` does, in a store or on a server, if there is a champion."""
    version = champion_version(client, name, experiment_id)
    if version is not None:
        client.delete_registered_model_alias(version.name, ALIAS)


def champion_fault(history: StudyHistory) -> str:
    """Returns what is wrong with the files of a study's champion; empty if nothing is.

    Args:
        history: The study. Without a champion, nothing is wrong.
    """
    store = history.store
    found = champion_version(store.client, history.description.name, history.experiment_id)
    return "" if found is None else model_version_fault(store, found)


def model_version_fault(store: Store, version: ModelVersion) -> str:
    """Returns what is wrong with the files of a version of a model; empty if nothing is."""
    try:
        return _model_fault(local_model(store, version.source))
    except StoreError as error:
        return str(error)


def local_model(store: Store, location: str) -> Path:
    """Returns the folder of a model that is in a store.

    Raises:
        StoreError: If the record names one that is not.
    """
    return store.inside(local_path(location))


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
    there: Registrar,
    name: str,
    trial: EndedTrial,
    facts: Mapping[str, str],
    folder: Path,
    alias: str,
) -> LoggedModel:
    """Returns MLflow's complete model of the trial; makes it if there is none.

    Each refit gets another one.
    """
    from mlflow.entities import LoggedModelStatus
    from mlflow.models import Model

    client = there.client
    registered = {v.source for v in client.search_model_versions(_is_named(name))}
    logged = None
    for before in client.search_logged_models(
        [there.experiment_id], f"source_run_id = '{there.parent_run_id}'"
    ):
        if alias == ALIAS and before.tags.get(tags.CHAMPION_RUN) == there.run(trial.run_id):
            logged = before
        elif before.artifact_location not in registered:
            # Of a trial that another one surpassed before it was registered.
            client.delete_logged_model(before.model_id)
    logged = logged or client.create_logged_model(
        there.experiment_id,
        name=alias,
        source_run_id=there.parent_run_id,
        tags=dict(facts),
        params={param_name(k): spell(v) for k, v in trial.spec.values.items()},
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
    """Returns a study's registered model; makes it if there is none.

    Study and model may have been renamed, so the model is the one that names the study's
    experiment. A model of the study's name may belong to a study that had this name before.
    """
    client, study = there.client, there.experiment_id
    ours = models_of(client, study)
    if ours:
        return next((model for model in ours if model.name == name), ours[0])
    for called in (name, f"{name} ({study})"):
        found = _model_called(client, called)
        if found is None:
            given = {tags.KIND: "study", tags.EXPERIMENT: study}
            if there.identity:
                given[tags.IDENTITY] = there.identity
            described = model_description(called, study)
            return client.create_registered_model(called, tags=given, description=described)
        if there.identity:
            # On a server, only that identifies it.
            return found
        if not _is_anothers(there, found):
            client.set_registered_model_tag(called, tags.EXPERIMENT, study)
            return found
    raise StoreError(
        f"The registered models {name!r} and {called!r} are other studies', so the champion is "
        "not registered. Rename or delete one of them in MLflow."
    )


def _model_called(client: MlflowClient, name: str) -> RegisteredModel | None:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def _is_anothers(there: Registrar, model: RegisteredModel) -> bool:
    """Returns whether a registered model belongs to another study."""
    if tags.EXPERIMENT in model.tags:
        return True
    versions = there.client.search_model_versions(_is_named(model.name))
    return bool(versions) and not any(
        is_of(there.client, version, there.experiment_id) for version in versions
    )


def _is_named(model: str) -> str:
    quote = '"' if "'" in model else "'"
    return f"name = {quote}{model}{quote}"


def _location_fault(location: str) -> str:
    # A server's model is complete once it is READY, and the server keeps it.
    local = urlsplit(location).scheme in ("", "file")
    return _model_fault(local_path(location)) if local else ""


def _measured(there: Registrar, trial: EndedTrial, logged: LoggedModel, best: BestEpoch) -> None:
    """Adds the model to the outputs of the parent run, and its metrics to the model.

    They are the points of the training's own run: as further ones they would be drawn again.
    """
    from mlflow.entities import LoggedModelOutput, Metric

    client, parent = there.client, there.parent_run_id
    outputs = client.get_run(parent).outputs
    if logged.model_id not in [o.model_id for o in (outputs.model_outputs if outputs else [])]:
        client.log_outputs(parent, [LoggedModelOutput(logged.model_id, step=best.epoch)])
    known = {metric.key for metric in logged.metrics or []}
    repeats = trial.result.repeats
    run_id = there.run(repeats[trial.result.best_repeat].run_id if repeats else trial.run_id)
    measured = [
        Metric(point.key, point.value, point.timestamp, point.step, model_id=logged.model_id)
        for name in map(to_mlflow, best.metrics)
        for point in client.get_metric_history(run_id, name)
        if point.step == best.epoch and name not in known
    ]
    if measured:
        client.log_batch(run_id, metrics=measured)
