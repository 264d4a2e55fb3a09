"""Finds the registered model and version that is a study's champion."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from tracking import tags

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

ALIAS: Final = "champion"
REFIT: Final = "refit"
"""The alias of the champion's configuration, trained on validation data too."""
CONFIRMED: Final = "it won under new seeds"
"""Why the winner of `kerastudy confirm` is the champion."""
PROMOTED: Final = "promoted"
"""Why a trial that a person promoted is the champion; the person's words may follow."""


def champion_version(
    client: MlflowClient, name: str, experiment_id: str, alias: str = ALIAS
) -> ModelVersion | None:
    """Returns MLflow's version of a study's registered champion, or None.

    The registered model names the experiment too: one of the two may have been renamed, and the
    model of this name may be another study's.
    """
    version = _by_alias(client, name, alias)
    if version is not None and is_of(client, version, experiment_id):
        return version
    for model in models_of(client, experiment_id):
        version = _by_alias(client, model.name, alias)
        if version is not None:
            return version
    return None


def models_of(client: MlflowClient, experiment_id: str) -> list[RegisteredModel]:
    """Returns the registered models that name a study's experiment as theirs."""
    return list(client.search_registered_models(f"tags.`{tags.EXPERIMENT}` = '{experiment_id}'"))


def show_registered(client: MlflowClient, logged: LoggedModel, version: ModelVersion) -> None:
    """Lets the page of a logged model say which version of a registered model it is.

    MLflow's server does so by itself.
    """
    known = json.loads(logged.tags.get(tags.REGISTERED, "[]"))
    present = {"name": version.name, "version": str(version.version)}
    if present not in known:
        others = [each for each in known if each["name"] != version.name]
        text = json.dumps([*others, present], ensure_ascii=False)
        client.set_logged_model_tags(logged.model_id, {tags.REGISTERED: text})


def rename_registered(client: MlflowClient, experiment_id: str, former: str, to: str) -> None:
    """Renames the registered model on the pages of a study's logged models."""
    for logged in client.search_logged_models([experiment_id]):
        known = json.loads(logged.tags.get(tags.REGISTERED, "[]"))
        renamed = [{**each, "name": to} if each["name"] == former else each for each in known]
        if renamed != known:
            text = json.dumps(renamed, ensure_ascii=False)
            client.set_logged_model_tags(logged.model_id, {tags.REGISTERED: text})


def is_of(client: MlflowClient, version: ModelVersion, experiment_id: str) -> bool:
    """Returns whether a version of a registered model comes from a study's run."""
    from mlflow.exceptions import MlflowException

    if tags.EXPERIMENT in version.tags:
        return bool(version.tags[tags.EXPERIMENT] == experiment_id)
    try:
        return bool(client.get_run(version.run_id).info.experiment_id == experiment_id)
    except MlflowException:
        # Of no run, or of one that was purged.
        return False


def _by_alias(client: MlflowClient, model: str, alias: str) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(model, alias)
    except MlflowException as error:
        # There is no such model, or no such alias.
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None
