"""Confirmations of a study's choice, and readings of its sealed test part, in the record.

A confirmation has an outcome, a plan and trainings, in runs of its own; a reading is a tag of the
study's parent run.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tracking import tags
from tracking.history.study_history import StudyHistory
from tracking.records import TrialResult
from tracking.records.checks import Confirmation, Evaluation
from tracking.runs.confirmation_runs import ConfirmationRuns
from tracking.runs.parents import search_experiments, search_runs
from tracking.store.folder import Store

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass(frozen=True)
class ConfirmationTraining:
    """A training of a confirmation that has ended; its identity digests what it depends on."""

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
    """Returns the run of the latest confirmation of a plan, or ""; and its outcome if it ended."""
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


def read_evaluations(history: StudyHistory) -> list[Evaluation]:
    """Returns the readings of a study's test part under one engine, the earliest first."""
    return _in_tags(history.store.client.get_run(history.parent_run_id).data.tags)


def evaluations_on(store: Store, digest: str) -> list[Evaluation]:
    """Returns all readings of a test part, by any study of a store, the earliest first.

    Deleted studies count too, until they are purged.
    """
    client = store.client
    experiments = [*search_experiments(client), *search_experiments(client, deleted=True)]
    identities = [each.experiment_id for each in experiments]
    runs = search_runs(client, identities, f"tags.`{tags.KIND}` = 'study'", deleted=True)
    found = [each for run in runs for each in _in_tags(run.data.tags) if each.digest == digest]
    return sorted(found, key=lambda each: each.time)


def record_evaluation(history: StudyHistory, evaluation: Evaluation) -> None:
    """Records a reading of a study's test part.

    Each has its own tag, as several processes may read at once.
    """
    client, key = history.store.client, f"{tags.EVALUATION}{evaluation.time}"
    for name, text in tags.split_text(key, evaluation.to_json()).items():
        client.set_tag(history.parent_run_id, name, text)


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


def _in_tags(found: Mapping[str, str]) -> list[Evaluation]:
    read = []
    for name in found:
        if name.startswith(tags.EVALUATION) and name.removeprefix(tags.EVALUATION).isdigit():
            try:
                read.append(Evaluation.from_json(tags.join_text(found, name) or ""))
            except (ValueError, KeyError, TypeError):
                # Changed in MLflow.
                continue
    return sorted(read, key=lambda each: each.time)
