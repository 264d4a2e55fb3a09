"""The registered model of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING

from search_spaces.errors import StoreError
from tracking import tags
from tracking.registry.registrar import Registrar
from tracking.runs.champion_versions import is_of, models_of
from tracking.runs.pages import model_description

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel


def registered_model(there: Registrar, name: str) -> RegisteredModel:
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


def is_named(model: str) -> str:
    """Returns MLflow's filter for the versions of a registered model."""
    quote = '"' if "'" in model else "'"
    return f"name = {quote}{model}{quote}"


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
    versions = there.client.search_model_versions(is_named(model.name))
    return bool(versions) and not any(
        is_of(there.client, version, there.experiment_id) for version in versions
    )
