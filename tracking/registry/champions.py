"""Registering a trial's model as the champion of its study, with the verdict on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.errors import ServerRefusedError
from tracking import tags
from tracking.history.study_history import StudyHistory
from tracking.history.summary import renew_note
from tracking.history.verdicts import study_verdict, worth
from tracking.records import EndedTrial, StudyDescription
from tracking.registry.models import (
    Registrar,
    is_named,
    log_metrics_of,
    logged_model,
    model_version_fault,
    registered_model,
)
from tracking.runs.champion_versions import ALIAS, REFIT, champion_version, show_registered
from tracking.runs.pages import version_description, with_verdict
from tracking.runs.run_contents import to_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion


def requirements() -> list[str]:
    """Returns the fixed requirements of a saved model.

    MLflow would need 13 to 32 seconds to find them.
    """
    return [f"{name}=={version(name)}" for name in ("keras", "tensorflow", "numpy")]


def register_champion(
    history: StudyHistory, trial: EndedTrial, folder: Path, promoted: str = ""
) -> str:
    """Registers the model that `mlflow.keras.save_model` wrote, and names it champion.

    `promoted` is why it was chosen; empty: as it is the best. Returns the model's address,
    ``models:/NAME@champion``.
    """
    there = Registrar(history.store.client, history.experiment_id, history.parent_run_id)
    return register(there, history.description, trial, folder, promoted)


def register_refit(
    history: StudyHistory, trial: EndedTrial, folder: Path, epochs: int, samples: int
) -> str:
    """Registers a model that was trained on training and validation data, and names it refit.

    Returns the model's address, ``models:/NAME@refit``.
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
    log_metrics_of(there, trial, logged, best)
    for tag, fact in facts.items():
        # Deleted in MLflow, or from an older version.
        if version.tags.get(tag) != fact:
            client.set_model_version_tag(version.name, version.version, tag, fact)
    former = champion_version(client, description.name, there.experiment_id)
    client.set_registered_model_alias(version.name, ALIAS, version.version)
    if former is not None and not (promoted and former.version == version.version):
        # It may be the champion again without being promoted.
        _set_promotion(client, former, "")
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
    model = registered_model(there, description.name)
    name = model.name
    if there.identity and model.tags.get(tags.IDENTITY) != there.identity:
        raise ServerRefusedError(
            f"The server has a registered model {name!r} that is not this store's study's, so the "
            "champion is not registered there."
        )
    logged = logged_model(there, name, trial, facts, folder, alias)
    text = text or version_description(
        description, trial, there.experiment_id, there.run(trial.run_id), logged.model_id
    )
    versions = client.search_model_versions(is_named(name))
    version = next((v for v in versions if v.source == logged.artifact_location), None)
    version = version or client.create_model_version(
        name,
        # Its place, not "models:/ID": the registry would look that up in MLflow's global
        # tracking address, which is not ours to set, and make a database there.
        logged.artifact_location,
        run_id=there.parent_run_id,
        tags=facts,
        description=text,
        model_id=logged.model_id,
    )
    show_registered(client, logged, version)
    return logged, version


def set_promotion(history: StudyHistory, reason: str) -> None:
    """Records why the present champion was chosen; empty: launches choose it again."""
    client = history.store.client
    champion = champion_version(client, history.description.name, history.experiment_id)
    if champion is not None:
        _set_promotion(client, champion, reason)


def _set_promotion(client: MlflowClient, version: ModelVersion, reason: str) -> None:
    if reason:
        client.set_model_version_tag(version.name, version.version, tags.PROMOTED, reason)
    elif tags.PROMOTED in version.tags:
        client.delete_model_version_tag(version.name, version.version, tags.PROMOTED)


def record_verified(history: StudyHistory, trial: EndedTrial, text: str) -> EndedTrial:
    """Records whether plain `model.fit` verified a trial, and returns the trial with it.

    On its run, and its registered versions.
    """
    client, text = history.store.client, text[: tags.LONGEST]
    client.set_tag(trial.run_id, tags.VERIFIED, text)
    for model in client.search_model_versions(f"tags.`{tags.CHAMPION_RUN}` = '{trial.run_id}'"):
        client.set_model_version_tag(model.name, model.version, tags.VERIFIED, text)
    return replace(trial, verified=text)


def withdraw_champion(history: StudyHistory) -> None:
    """Removes the alias champion from a study's registered model, and changes nothing else."""
    withdraw(history.store.client, history.description.name, history.experiment_id)


def withdraw(client: MlflowClient, name: str, experiment_id: str) -> None:
    """Does what `withdraw_champion` does, in a store or on a server, if there is a champion."""
    version = champion_version(client, name, experiment_id)
    if version is not None:
        client.delete_registered_model_alias(version.name, ALIAS)


def champion_fault(history: StudyHistory) -> str:
    """Returns what is wrong with the files of a study's champion, if there is one, or nothing."""
    store = history.store
    champion = champion_version(store.client, history.description.name, history.experiment_id)
    return "" if champion is None else model_version_fault(store, champion)


def renew_verdict(history: StudyHistory) -> None:
    """Writes the verdict again where MLflow shows it: the study's note and its champion."""
    renew_note(history)
    set_verdict(history)


def set_verdict(history: StudyHistory) -> None:
    """Records on a study's registered champion how much of its value to believe.

    If the verdict is on another trial, as another one was promoted, what this one is worth. Nothing
    changes if the champion is a trial of another engine.
    """
    client = history.store.client
    version = champion_version(client, history.description.name, history.experiment_id)
    run_id = "" if version is None else version.tags.get(tags.CHAMPION_RUN, "")
    for trial in history.ended:
        if trial.run_id == run_id:
            verdict = study_verdict(history)
            other = worth(history, verdict, trial)
            text = " ".join((*verdict.flaws, other)) if other else verdict.text
            write_verdict(client, version, text)


def write_verdict(client: MlflowClient, version: ModelVersion | None, text: str) -> None:
    """Writes a verdict, which may be empty, on a champion in a store or on a server."""
    if version is None:
        return
    description, known = version.description or "", version.tags.get(tags.VERDICT, "")
    changed = with_verdict(description, known, text)
    if changed != description:
        client.update_model_version(version.name, version.version, changed)
    if text and text != known:
        client.set_model_version_tag(version.name, version.version, tags.VERDICT, text)
    elif known and not text:
        client.delete_model_version_tag(version.name, version.version, tags.VERDICT)
