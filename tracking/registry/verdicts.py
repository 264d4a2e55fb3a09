"""The verdict on a study, on its registered champion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tracking import tags
from tracking.history.study_history import StudyHistory
from tracking.history.summary import renew_note
from tracking.history.verdicts import StudyVerdict, study_verdict
from tracking.runs.champion_versions import champion_version
from tracking.runs.pages.model_pages import with_verdict

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


def renew_verdict(history: StudyHistory) -> None:
    """Writes the verdict again where MLflow shows it: the study's note and its champion."""
    renew_note(history)
    set_verdict(history)


def set_verdict(history: StudyHistory) -> None:
    """Records on a study's registered champion how much of its value to believe.

    Only if that is the trial that the verdict is on: another one may have been promoted. Nothing
    changes if the champion is a trial of another engine.
    """
    client = history.store.client
    version = champion_version(client, history.description.name, history.experiment_id)
    if version is not None and version.tags.get(tags.ENGINE) == history.description.engine:
        verdict = study_verdict(history)
        is_on = _is_on(verdict, history, version.tags)
        write_verdict(client, version, verdict.text if is_on else "")


def write_verdict(client: MlflowClient, version: ModelVersion | None, text: str) -> None:
    """Writes a verdict, which may be empty, on a champion in a store or on a server."""
    if version is None:
        return
    description = version.description or ""
    changed = with_verdict(description, text)
    if changed != description:
        client.update_model_version(version.name, version.version, changed)
    known = version.tags.get(tags.VERDICT, "")
    if text and text != known:
        client.set_model_version_tag(version.name, version.version, tags.VERDICT, text)
    elif known and not text:
        client.delete_model_version_tag(version.name, version.version, tags.VERDICT)


def _is_on(verdict: StudyVerdict, history: StudyHistory, facts: Mapping[str, str]) -> bool:
    """Returns whether a champion is the best trial, or the one that was confirmed."""
    if history.best is None:
        return False
    meant = {history.best.number}
    if verdict.confirmation is not None:
        meant.add(verdict.confirmation.winner)
    return facts.get(tags.NUMBER, "") in {str(number) for number in meant}
