"""The verdict on a study, on its registered champion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracking import tags
from tracking.history.study_history import StudyHistory
from tracking.history.summary import renew_note
from tracking.history.verdicts import study_verdict, worth
from tracking.runs.champion_versions import champion_version
from tracking.runs.pages import with_verdict

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


def renew_verdict(history: StudyHistory) -> None:
    """Writes the verdict again where MLflow shows it: the study's note and its champion."""
    renew_note(history)
    set_verdict(history)


def set_verdict(history: StudyHistory) -> None:
    """Records on a study's registered champion how much of its value to believe.

    If the verdict is on another trial, as another one was promoted, what this one is worth. Nothing
    changes if the champion is a trial of another engine.
    """
    client = history.store.client
    version = champion_version(client, history.description.name, history.experiment_id)
    run_id = "" if version is None else version.tags.get(tags.CHAMPION_RUN, "")
    for trial in history.ended:
        if trial.run_id == run_id:
            verdict = study_verdict(history)
            other = worth(history, verdict, trial)
            text = " ".join((*verdict.flaws, other)) if other else verdict.text
            write_verdict(client, version, text)


def write_verdict(client: MlflowClient, version: ModelVersion | None, text: str) -> None:
    """Writes a verdict, which may be empty, on a champion in a store or on a server."""
    if version is None:
        return
    description, known = version.description or "", version.tags.get(tags.VERDICT, "")
    changed = with_verdict(description, known, text)
    if changed != description:
        client.update_model_version(version.name, version.version, changed)
    if text and text != known:
        client.set_model_version_tag(version.name, version.version, tags.VERDICT, text)
    elif known and not text:
        client.delete_model_version_tag(version.name, version.version, tags.VERDICT)
