"""MLflow's experiment of a study."""

from __future__ import annotations

from tracking import tags
from tracking.atomic import remove_pieces
from tracking.errors import StoreError
from tracking.run_contents import local_artifacts
from tracking.store import Store


def make_experiment(store: Store, study: str) -> str:
    """Makes the experiment of a study, where it is not there yet; returns its id.

    Raises:
        StoreError: If it was deleted in MLflow.
    """
    client = store.client
    experiment = client.get_experiment_by_name(study)
    if experiment is None:
        made: str = client.create_experiment(
            study,
            artifact_location=f"{store.artifacts_uri}/{_next_folder(store)}",
            tags={"mlflow.experimentKind": "custom_model_development", tags.KIND: "study"},
        )
        return made
    found: str = experiment.experiment_id
    if experiment.lifecycle_stage == "deleted":
        raise StoreError(
            f"The study {study!r} was deleted in MLflow. Restore it there (mlflow experiments "
            f"restore --experiment-id {found}), or launch under another name with --name."
        )
    end_unmarked(store, found)
    return found


def end_unmarked(store: Store, experiment_id: str) -> None:
    """Ends parent runs whose process was killed while it made them."""
    running = store.client.search_runs([experiment_id], "attributes.status = 'RUNNING'")
    for run in running:
        if tags.ENGINE in run.data.tags and tags.KIND not in run.data.tags:
            remove_pieces(local_artifacts(run) / "study")
            remove_pieces(local_artifacts(run) / "study" / "code")
            store.client.set_terminated(run.info.run_id, "KILLED")


def _next_folder(store: Store) -> int:
    """Returns a number that no folder of artifacts has: short, and safe in any file system."""
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
