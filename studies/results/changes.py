"""Deleting and renaming studies, from Python."""

from __future__ import annotations

from pathlib import Path

from studies.results.models import existing_store
from tracking.history import renaming
from tracking.runs import experiments
from tracking.store.folder import Store


def delete_study(study: str, *, store: str | Path | Store | None = None) -> None:
    """Deletes a study for ever: its trials, checkpoints, artifacts and registered model.

    It does not ask. What was exported, and a copy on an MLflow server, stays.

    Args:
        study: The study's name.
        store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.

    Raises:
        StudyNotFoundError: If there is no such store or study.
        StoreError: If a process runs the study, or its files can't be removed.
    """
    experiments.delete_study(existing_store(store), study)


def rename_study(study: str, to: str, *, store: str | Path | Store | None = None) -> None:
    """Renames a study, with its registered model.

    To resume it from its file, launch it under the new name.

    Args:
        study: The present name.
        to: The new one.
        store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.

    Raises:
        StudyNotFoundError: If there is no such store or study.
        StudyNameError: If the new name can't be one, or is taken.
        StoreError: If a process runs the study.
    """
    renaming.rename_study(existing_store(store), study, to)
