"""Addresses of pages in the MLflow UI, from any of its pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

VIEWS: Final[Mapping[str, str]] = {"trials": "TABLE", "charts": "CHART", "curves": "CHART"}
"""The prepared views of a study (see `tracking.ui.views`), each with its part of the page."""
# Among trainings, not among prompts and judges.
_TRAINING: Final = "workflowType=machine_learning"


def run_page(experiment_id: str, run_id: str) -> str:
    """Returns the address of a run's page."""
    return f"#/experiments/{experiment_id}/runs/{run_id}?{_TRAINING}"


def artifact_page(experiment_id: str, run_id: str, path: str) -> str:
    """Returns the address of the page that shows an artifact of a run."""
    page = f"#/experiments/{experiment_id}/runs/{run_id}/artifacts"
    return f"{page}/{quote(path)}?{_TRAINING}"


def model_page(name: str) -> str:
    """Returns the address of a registered model's page."""
    return f"#/models/{quote(name, safe='')}?{_TRAINING}"


def logged_model_page(experiment_id: str, model_id: str) -> str:
    """Returns the address of the page with the files of a model that a run logged."""
    return f"#/experiments/{experiment_id}/models/{model_id}/artifacts?{_TRAINING}"


def view_id(view: str) -> str:
    """Returns the id of a prepared view of a study, one of `VIEWS`."""
    return f"kerastudy-{view}"


def view_page(experiment_id: str, view: str = "") -> str:
    """Returns the address of a prepared view of a study.

    Args:
        experiment_id: The study's experiment.
        view: One of `VIEWS`; empty: the plain page.
    """
    page = f"#/experiments/{experiment_id}/runs?{_TRAINING}"
    if not view:
        return page
    return f"{page}&viewStateShareKey={view_id(view)}&compareRunsMode={VIEWS[view]}"
