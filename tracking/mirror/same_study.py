"""Whether an experiment on a server is this store's study, another one, or the store's own."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from search_spaces.errors import ServerAwayError, ServerRefusedError
from tracking import tags
from tracking.mirror.server import as_server_errors, not_waiting_long, open_server
from tracking.store.folder import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment


def check_free(store: Store | None, name: str, address: str) -> None:
    """Checks that a server has no other study of this name, if it answers.

    Raises:
        ServerRefusedError: If it has one, or rejects the question.
    """
    quickly = not_waiting_long()
    with contextlib.suppress(ServerAwayError), as_server_errors(address), quickly:
        here = None if store is None else store.client.get_experiment_by_name(name)
        identity = None if here is None else here.tags.get(tags.IDENTITY)
        there = find_there(open_server(address), name, identity)
        if there is not None:
            check_elsewhere(address, here, there)
            check_same_study(address, there, identity)


def find_there(server: MlflowClient, name: str, identity: str | None) -> Experiment | None:
    """Returns a study's experiment on a server, by its identity, not its name."""
    from mlflow.entities import ViewType

    if identity is not None:
        condition = f"tags.`{tags.IDENTITY}` = '{identity}'"
        found = server.search_experiments(ViewType.ALL, filter_string=condition)
        if found:
            return min(found, key=lambda each: each.lifecycle_stage != "active")
    return server.get_experiment_by_name(name)


def check_elsewhere(address: str, here: Experiment | None, there: Experiment | None) -> None:
    """Checks that a server's experiment is not the store's own, as `kerastudy ui` shows it."""
    if here is None or there is None:
        return
    if (here.experiment_id, here.creation_time, here.artifact_location) == (
        there.experiment_id,
        there.creation_time,
        there.artifact_location,
    ):
        raise ServerRefusedError(
            f"The MLflow server {address} is one that shows this store, so the study is there "
            "already. Leave it out with --tracking-uri off, or name another server."
        )


def check_same_study(address: str, there: Experiment, identity: str | None) -> None:
    """Checks that a server's experiment is this study, and not deleted."""
    if there.lifecycle_stage == "deleted":
        raise ServerRefusedError(
            f"The MLflow server {address} had an experiment {there.name!r}, which was deleted. "
            "Restore it there, launch the study without the server with --tracking-uri off, or "
            "under another name with --name."
        )
    if identity is None or there.tags.get(tags.IDENTITY) != identity:
        raise ServerRefusedError(
            f"The MLflow server {address} has an experiment {there.name!r} that is not this "
            "store's study. Launch the study under another name with --name, or without the "
            "server with --tracking-uri off."
        )
