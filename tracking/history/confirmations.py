"""Confirmations of a study's choice, in the record: their outcomes, plans and trainings."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tracking import tags
from tracking.history.study_history import StudyHistory
from tracking.records import TrialResult
from tracking.records.checks import Confirmation
from tracking.runs.confirmation_runs import ConfirmationRuns
from tracking.runs.parents import search_runs

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass(frozen=True)
class ConfirmationTraining:
    """A training of a confirmation that has ended.

    Attributes:
        identity: Digest of all that it depends on.
        result: Its result.
        run_id: Its run.
    """

    identity: str
    result: TrialResult
    run_id: str


def read_confirmations(history: StudyHistory) -> list[Confirmation]:
    """Returns the confirmations of a study under one engine, the oldest first.

    Only those that have ended.
    """
    found = []
    for run in _runs(history, tags.CONFIRMATION_KIND):
        outcome = _outcome(run)
        if outcome is not None:
            # The study may have been renamed since.
            found.append(dataclasses.replace(outcome, study=history.description.name))
    return sorted(found, key=lambda each: each.time)


def confirmation_of(history: StudyHistory, plan: str) -> tuple[str, Confirmation | None]:
    """Returns the latest confirmation of a plan.

    Args:
        history: The study under one engine.
        plan: The plan, as it was recorded.

    Returns:
        Its run, or an empty text if there is none; and its outcome, if it has ended.
    """
    for run in reversed(_runs(history, tags.CONFIRMATION_KIND)):
        if tags.join_text(run.data.tags, tags.PLAN) == plan:
            return str(run.info.run_id), _outcome(run)
    return "", None


def read_trainings(history: StudyHistory) -> dict[str, ConfirmationTraining]:
    """Returns the trainings of a study's confirmations that have ended, by their identities."""
    found = {}
    for run in _runs(history, tags.TRAINING_KIND):
        text = tags.join_text(run.data.tags, tags.TRAINED)
        what = tags.join_text(run.data.tags, tags.TRAINING)
        if text is None or what is None:
            continue
        try:
            result, fields = TrialResult.from_json(text), json.loads(what)
            identity = str(fields["identity"])
        except (ValueError, KeyError, TypeError):
            # Changed in MLflow: it is trained again.
            continue
        found[identity] = ConfirmationTraining(identity, result, run.info.run_id)
    return found


def runs_of(history: StudyHistory) -> ConfirmationRuns:
    """Returns the runs of a study's confirmations, for writing."""
    return ConfirmationRuns(
        history.store, history.experiment_id, history.parent_run_id, history.description
    )


def _runs(history: StudyHistory, kind: str) -> list[Any]:
    condition = f"tags.`{tags.KIND}` = '{kind}'"
    engine = history.description.engine
    found = search_runs(history.store.client, history.experiment_id, condition)
    return [run for run in found if run.data.tags.get(tags.ENGINE) == engine]


def _outcome(run: Run) -> Confirmation | None:
    text = tags.join_text(run.data.tags, tags.CONFIRMATION)
    if text is None:
        return None
    try:
        outcome = Confirmation.from_json(text)
    except (ValueError, KeyError, TypeError):
        # Changed in MLflow.
        return None
    return dataclasses.replace(outcome, run_id=run.info.run_id)
