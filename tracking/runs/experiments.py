"""MLflow's experiment of a study."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from search_spaces.errors import StoreError, StudyDeletedError
from tracking import tags
from tracking.runs.champion_versions import models_of
from tracking.runs.deleting import finish_deletion
from tracking.runs.parents import in_trash
from tracking.runs.run_contents import local_artifacts
from tracking.runs.searching import search_runs
from tracking.runs.study_files import left_over_folder, study_folder
from tracking.store.atomic import remove_pieces
from tracking.store.folder import Store
from tracking.store.orphans import move_to_orphans


def make_experiment(store: Store, study: str) -> str:
    """Makes the experiment of a study if there is none; returns its id.

    Raises:
        StudyDeletedError: If it was deleted in MLflow.
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

    Args:
        store: The store.
        experiment_id: The study's experiment.
        say: Called with messages for the user.
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
