"""Searches in MLflow that read all pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

_PAGE = 1000


def search_experiments(client: MlflowClient, *, deleted: bool = False) -> list[Experiment]:
    """Returns all experiments, or only those that were deleted."""
    from mlflow.entities import ViewType

    view = ViewType.DELETED_ONLY if deleted else ViewType.ACTIVE_ONLY
    return _all(lambda token: client.search_experiments(view, _PAGE, page_token=token))


def search_runs(
    client: MlflowClient,
    experiments: str | Sequence[str],
    condition: str = "",
    *,
    deleted: bool = False,
    present: bool = True,
) -> list[Run]:
    """Returns the runs of experiments in the order in which they were made.

    Args:
        client: MLflow's.
        experiments: The id of the experiment, or of several.
        condition: A filter in MLflow's syntax; empty: all.
        deleted: Whether to include deleted ones.
        present: Whether to include those that were not deleted.
    """
    from mlflow.entities import ViewType

    view = ViewType.ACTIVE_ONLY
    if deleted:
        view = ViewType.ALL if present else ViewType.DELETED_ONLY

    wanted = [experiments] if isinstance(experiments, str) else list(experiments)
    if not wanted:
        return []
    return _all(
        lambda token: client.search_runs(
            wanted,
            condition,
            run_view_type=view,
            order_by=["attributes.start_time ASC"],
            page_token=token,
            max_results=_PAGE,
        )
    )


def _all(page_at: Callable[[str | None], Any]) -> list[Any]:
    found: list[Any] = []
    token: str | None = None
    while True:
        page = page_at(token)
        found += page
        token = page.token
        if not token:
            return found
