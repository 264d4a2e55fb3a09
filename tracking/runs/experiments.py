"""MLflow's experiment of a study: made, and deleted with all that the study has.

A deleted experiment goes to MLflow's trash first, marked as half deleted. Then go the registered
models, the files, and at last the record. So a process that is killed leaves a marked experiment,
and `kerastudy delete`, the next launch under the study's name or the doctor finishes the work.
`mlflow gc` is not used: it removes everything that is in the trash, of other studies too.
"""

from __future__ import annotations

import contextlib
import shutil
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.errors import StoreError, StudyDeletedError, StudyNotFoundError
from search_spaces.library_parts import MissingPartError
from tracking import tags
from tracking.mlflow_parts import purge_experiment
from tracking.runs.champion_versions import is_of, models_of
from tracking.runs.parents import in_trash, search_experiments, search_runs, study_experiments
from tracking.runs.run_contents import local_artifacts
from tracking.runs.study_files import left_over_folder, study_folder
from tracking.store.files import remove_pieces
from tracking.store.folder import Store, known_names, local_path, move_to_orphans

if TYPE_CHECKING:
    from mlflow.entities import Experiment


def make_experiment(store: Store, study: str) -> str:
    """Returns the id of a study's experiment, which is made if there is none.

    Raises StudyDeletedError if it was deleted in MLflow.
    """
    from mlflow.exceptions import MlflowException

    client = store.client
    experiment = client.get_experiment_by_name(study)
    if experiment is None:
        try:
            made: str = client.create_experiment(
                study,
                artifact_location=f"{store.artifacts_uri}/{_next_folder(store)}",
                tags={
                    "mlflow.experimentKind": "custom_model_development",
                    tags.KIND: "study",
                    tags.NAME: study,
                },
            )
        except MlflowException as error:
            # Another process made it at the same moment.
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return make_experiment(store, study)
        # Of a purged study: SQLite reuses its id.
        for model in models_of(client, made):
            client.delete_registered_model_tag(model.name, tags.EXPERIMENT)
        return made
    if experiment.lifecycle_stage == "deleted" and tags.DELETING in experiment.tags:
        # The process that deleted it was killed.
        with store.lock_study(study, experiment.experiment_id):
            finish_deletion(store, experiment)
        return make_experiment(store, study)
    if experiment.lifecycle_stage == "deleted":
        raise StudyDeletedError(in_trash(store, experiment))
    return str(experiment.experiment_id)


def take_folder(store: Store, experiment_id: str, say: Callable[[str], None]) -> None:
    """Makes the folder of a study's files; moves files of a purged study out of the way.

    Call it only while this process holds the study.
    """
    left_over = left_over_folder(store, experiment_id)
    if left_over is not None:
        runs = search_runs(store.client, experiment_id, deleted=True)
        if not any(tags.NUMBER in run.data.tags for run in runs):
            to = move_to_orphans(store, left_over)
            say(f"files of a study that was purged from MLflow were moved to {str(to)!r}")
    study_folder(store, experiment_id).mkdir(parents=True, exist_ok=True)


def end_unmarked(store: Store, experiment_id: str) -> None:
    """Ends parent runs whose process was killed while it made them."""
    running = store.client.search_runs([experiment_id], "attributes.status = 'RUNNING'")
    for run in running:
        if tags.ENGINE in run.data.tags and tags.KIND not in run.data.tags:
            # Not if the record points out of the store.
            with contextlib.suppress(StoreError):
                remove_pieces(local_artifacts(store, run) / "study")
                remove_pieces(local_artifacts(store, run) / "study" / "code")
            store.client.set_terminated(run.info.run_id, "KILLED")


def _next_folder(store: Store) -> int:
    """Returns an unused number for a folder of artifacts."""
    root = store.root / "mlartifacts"
    folder = max([int(p.name) for p in root.iterdir() if p.name.isdigit()], default=0) + 1
    while True:
        try:
            (root / str(folder)).mkdir()
        except FileExistsError:
            # Another study began at the same moment.
            folder += 1
        else:
            return folder


@dataclass(frozen=True)
class StudySize:
    """What a study has in a store."""

    name: str
    experiment_id: str
    runs: int  # Their number.
    models: tuple[str, ...]  # The names of its registered models.
    bytes: int  # Of its files.
    server: str  # The MLflow server that has a copy, or empty.
    deleted: bool  # Whether it is in MLflow's trash.


def study_size(store: Store, name: str) -> StudySize:
    """Returns what a study has in a store, to show it before it is deleted."""
    experiment = _find(store, unicodedata.normalize("NFC", name))
    files = [f for each in _folders(store, experiment) for f in each.rglob("*") if f.is_file()]
    return StudySize(
        experiment.name,
        experiment.experiment_id,
        len(search_runs(store.client, experiment.experiment_id, deleted=True)),
        tuple(_models(store, experiment)),
        sum(file.stat().st_size for file in files),
        experiment.tags.get(tags.SERVER, "").removeprefix(tags.NO_SERVER),
        experiment.lifecycle_stage == "deleted",
    )


def delete_study(store: Store, name: str) -> StudySize:
    """Deletes a study for ever, also one in MLflow's trash; a copy on a server stays.

    Returns what it had. Raises StoreLockedError if a process runs it.
    """
    size = study_size(store, name)
    client, identity = store.client, size.experiment_id
    with store.lock_study(size.name, identity):
        if not size.deleted:
            client.set_experiment_tag(identity, tags.DELETING, "true")
            client.delete_experiment(identity)
        finish_deletion(store, client.get_experiment(identity))
    return size


def half_deleted(store: Store) -> list[Experiment]:
    """Returns the studies whose deletion was interrupted."""
    deleted = search_experiments(store.client, deleted=True)
    return [each for each in deleted if tags.DELETING in each.tags]


def finish_deletion(store: Store, experiment: Experiment) -> None:
    """Deletes what is left of a study in MLflow's trash. Call it only while holding the study."""
    for model in _models(store, experiment):
        store.client.delete_registered_model(model)
    try:
        for folder in _folders(store, experiment):
            if folder.exists():
                shutil.rmtree(folder)
    except OSError as error:
        raise StoreError(
            f"The files of the study {experiment.name!r} can't be deleted: {error}. Delete it "
            "again when they can."
        ) from None
    try:
        purge_experiment(store.mlflow_uri, store.artifacts_uri, experiment.experiment_id)
    except MissingPartError as error:
        raise StoreError(
            f"The files of the study {experiment.name!r} are deleted. Its record stays in MLflow's "
            f"trash, as this version of MLflow is not known: {error}. Remove it by: mlflow gc"
        ) from None


def _find(store: Store, name: str) -> Experiment:
    experiment = store.client.get_experiment_by_name(name)
    of_study = experiment is not None and (
        experiment.tags.get(tags.KIND) == "study" or _has_parent(store, experiment)
    )
    if not of_study:
        names = [each.name for each in study_experiments(store)]
        raise StudyNotFoundError(
            f"The store {str(store.root)!r} has no study {name!r}. {known_names(name, names)}"
        )
    return experiment


def _has_parent(store: Store, experiment: Experiment) -> bool:
    condition = f"tags.`{tags.KIND}` = 'study'"
    return bool(search_runs(store.client, experiment.experiment_id, condition, deleted=True))


def _models(store: Store, experiment: Experiment) -> list[str]:
    """Returns the names of a study's registered models."""
    client = store.client
    found = [model.name for model in models_of(client, experiment.experiment_id)]
    quote = '"' if "'" in experiment.name else "'"
    # An older one has no tag with its study.
    versions = client.search_model_versions(f"name = {quote}{experiment.name}{quote}")
    ours = versions and all(is_of(client, each, experiment.experiment_id) for each in versions)
    return sorted({*found, *([experiment.name] if ours else [])})


def _folders(store: Store, experiment: Experiment) -> list[Path]:
    """Returns the folders of a study's checkpoints and artifacts."""
    folders = [study_folder(store, experiment.experiment_id)]
    folders.append(local_path(experiment.artifact_location))
    inside = [store.inside(folder) for folder in folders]
    # A folder of another study, or the store itself, is none.
    return [each for each in inside if each.parent.parent == store.root]
