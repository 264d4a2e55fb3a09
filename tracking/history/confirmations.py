"""Confirmations of a study's choice, and readings of its sealed test part, in the record."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from tracking.history.study_history import StudyHistory
from tracking.journal import JournalReader
from tracking.records import TrialResult
from tracking.records.checks import Confirmation, Evaluation
from tracking.store.folder import Store


@dataclass(frozen=True)
class ConfirmationTraining:
    """A training of a confirmation that has ended; its identity digests what it depends on."""

    identity: str
    result: TrialResult
    uuid: str


def read_confirmations(history: StudyHistory) -> list[Confirmation]:
    """Returns the confirmations of a study under one engine that have ended, the oldest first."""
    outcomes = [each.outcome for each in history.journal.confirmations(history.search)]
    # The study may have been renamed since.
    name = history.description.name
    ended = [dataclasses.replace(each, study=name) for each in outcomes if each is not None]
    return sorted(ended, key=lambda each: each.time)


def confirmation_of(history: StudyHistory, plan: str) -> tuple[str, Confirmation | None]:
    """Returns the latest confirmation of a plan, or ""; and its outcome if it ended."""
    for each in reversed(history.journal.confirmations(history.search)):
        if each.plan == plan:
            return each.uuid, each.outcome
    return "", None


def read_trainings(history: StudyHistory) -> dict[str, ConfirmationTraining]:
    """Returns the trainings of a study's confirmations that have ended, by their identities."""
    journal, trainings = history.journal, {}
    for confirmation in journal.confirmations(history.search):
        for fit in journal.fits(confirmation=confirmation.uuid):
            if fit.result is not None:
                trainings[fit.identity] = ConfirmationTraining(fit.identity, fit.result, fit.uuid)
    return trainings


def read_evaluations(history: StudyHistory) -> list[Evaluation]:
    """Returns the readings of a study's test part under one engine, the earliest first."""
    return history.journal.evaluations(history.search)


def evaluations_on(store: Store, digest: str) -> list[Evaluation]:
    """Returns all readings of a test part, by any study of a store, the earliest first."""
    readings = [
        evaluation
        for folder in store.folders()
        for evaluation in JournalReader(folder).evaluations(digest=digest)
    ]
    return sorted(readings, key=lambda each: each.time)


def record_evaluation(history: StudyHistory, evaluation: Evaluation) -> None:
    """Records a reading of a study's test part."""
    with history.writing() as journal:
        journal.add_evaluation(evaluation)
