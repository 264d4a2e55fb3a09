"""The logged and the registered model of a study, in a store or on an MLflow server."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from search_spaces.errors import StoreError
from tracking import tags
from tracking.records import BestEpoch, EndedTrial
from tracking.runs.champion_versions import ALIAS, is_of, models_of
from tracking.runs.pages import model_description
from tracking.runs.run_contents import param_name, spell, to_mlflow
from tracking.store.folder import Store, local_path

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel


@dataclass(frozen=True)
class Registrar:
    """Where a study's champion is registered."""

    client: MlflowClient
    experiment_id: str
    # Of the study under the champion's engine.
    parent_run_id: str
    # The study's, if a model of its name may be another study's, as on a server.
    identity: str = ""
    # A server's runs by the store's; empty: they are the store's.
    runs: Mapping[str, str] = field(default_factory=dict)

    def run(self, run_id: str) -> str:
        """Returns the run there that is a run of the store's."""
        return self.runs.get(run_id, run_id)


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
        model = _model_called(client, called)
        if model is None:
            written = {tags.KIND: "study", tags.EXPERIMENT: study}
            if there.identity:
                written[tags.IDENTITY] = there.identity
            described = model_description(called, study)
            return client.create_registered_model(called, tags=written, description=described)
        if there.identity:
            # On a server, only that identifies it.
            return model
        if not _is_anothers(there, model):
            client.set_registered_model_tag(called, tags.EXPERIMENT, study)
            return model
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


def logged_model(
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
    registered = {v.source for v in client.search_model_versions(is_named(name))}
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
    if logged.status != LoggedModelStatus.READY or location_fault(logged.artifact_location):
        saved = Model.load(str(folder))
        saved.model_id, saved.run_id = logged.model_id, there.parent_run_id
        saved.artifact_path = logged.artifact_location
        saved.save(str(folder / "MLmodel"))
        client.log_model_artifacts(logged.model_id, str(folder))
        client.finalize_logged_model(logged.model_id, "READY")
    return logged


def log_metrics_of(
    there: Registrar, trial: EndedTrial, logged: LoggedModel, best: BestEpoch
) -> None:
    """Adds the model to the outputs of the parent run, and its metrics to the model.

    They are the points of the training's own run: as further ones they would be drawn again.
    """
    from mlflow.entities import LoggedModelOutput, Metric

    client, parent = there.client, there.parent_run_id
    outputs = client.get_run(parent).outputs
    if logged.model_id not in [o.model_id for o in (outputs.model_outputs if outputs else [])]:
        client.log_outputs(parent, [LoggedModelOutput(logged.model_id, step=best.epoch)])
    known = {metric.key for metric in logged.metrics or []}
    repeats = trial.result.repeats if trial.whole is None else ()
    run_id = there.run(repeats[trial.result.best_repeat].run_id if repeats else trial.run_id)
    measured = [
        Metric(point.key, point.value, point.timestamp, point.step, model_id=logged.model_id)
        for name in map(to_mlflow, best.metrics)
        for point in client.get_metric_history(run_id, name)
        if point.step == best.epoch and name not in known
    ]
    if measured:
        client.log_batch(run_id, metrics=measured)


def model_version_fault(store: Store, version: ModelVersion) -> str:
    """Returns what is wrong with the files of a version of a model; empty if nothing is."""
    try:
        return _fault_in(local_model(store, version.source))
    except StoreError as error:
        return str(error)


def local_model(store: Store, location: str) -> Path:
    """Returns the folder of a model; refuses one outside the store."""
    return store.inside(local_path(location))


def location_fault(location: str) -> str:
    """Returns what is wrong with the files of a model in MLflow; empty if nothing is."""
    # A server's model is complete once it is READY, and the server keeps it.
    local = urlsplit(location).scheme in ("", "file")
    return _fault_in(local_path(location)) if local else ""


def _fault_in(folder: Path) -> str:
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
