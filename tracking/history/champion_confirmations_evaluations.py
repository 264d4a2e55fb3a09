"""A study's champion, confirmations and evaluations: records them, and reads them back."""

from __future__ import annotations

import contextlib
import shutil
import uuid
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Final

from search_spaces.errors import StoreError
from tracking.history.study_history import ALIAS, StudyHistory
from tracking.journal import JournalReader
from tracking.records import (
    MODEL_SUMMARY,
    Confirmation,
    EndedTrial,
    Evaluation,
    TrialResult,
    ValidationPredictions,
    from_json,
    predictions_beside,
    to_json,
)
from tracking.store import Store

_FOLDER: Final = "champion"
_LONGEST_TEXT: Final = 8000


def register_champion(
    history: StudyHistory, trial: EndedTrial, saved: Path, reason: str = ""
) -> str:
    """Records a trial's model as the study's champion. The process must hold the study's lock.

    `saved` is a folder from `mlflow.keras.save_model`, which is moved into the study's folder.
    `reason` says why the trial was chosen; it is empty for the best trial. Returns the model's
    address in MLflow, ``models:/NAME@champion``. If MLflow has another registered model of this
    name, the champion's model is called ``NAME (2)`` there.
    """
    # The journal gets the folder's path when the folder is complete. If the process is killed
    # before that, the next registration removes the folder.
    place = Path(_FOLDER, f"{ALIAS}-{uuid.uuid4().hex[:8]}")
    folder = history.folder / place
    folder.parent.mkdir(exist_ok=True)
    shutil.move(saved, folder)
    predictions, file = "", predictions_beside(saved)
    if file.is_file():
        _, best = trial.best_training
        outputs = from_json(ValidationPredictions, file.read_text(encoding="utf-8"))
        predictions = to_json(replace(outputs, epoch=best.epoch))
    with history.writing() as journal:
        journal.set_champion(trial.uuid, place.as_posix(), reason, predictions)
    for other in folder.parent.iterdir():
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    return f"models:/{history.description.name}@{ALIAS}"


def set_promotion(history: StudyHistory, reason: str) -> None:
    """Records why the champion was chosen.

    With an empty `reason`, later launches may choose another champion.
    """
    if history.registered is not None:
        with history.writing() as journal:
            journal.set_reason(reason)


def record_verified(history: StudyHistory, trial: EndedTrial, text: str) -> EndedTrial:
    """Records a text of `verification_texts` as a trial's `verified`. Returns the new record."""
    text = text[:_LONGEST_TEXT]
    with history.writing() as journal:
        journal.set_verified(trial.uuid, text)
    return replace(trial, verified=text)


def withdraw_champion(history: StudyHistory) -> None:
    """Records that the study has no champion."""
    if history.registered is not None:
        with history.writing() as journal:
            journal.withdraw_champion()


def read_model_summary(history: StudyHistory) -> str:
    """Returns the text of the champion's `model.summary()`, or an empty text."""
    if history.registered is None:
        return ""
    try:
        return (history.registered.folder / MODEL_SUMMARY).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def champion_fault(history: StudyHistory) -> str:
    """Returns what is wrong with the files of a study's champion, or an empty text."""
    if history.registered is None:
        return ""
    folder = history.registered.folder
    files = sorted(folder.rglob("*.keras"))
    if not (folder / "MLmodel").is_file() or not files:
        return f"the model in {str(folder)!r}, or a part of it, is gone"
    for path in files:
        try:
            with zipfile.ZipFile(path) as archive:
                # `testzip` compares the files with their checksums.
                fault = archive.testzip()
        except (zipfile.BadZipFile, zlib.error, OSError) as error:
            fault = str(error)
        if fault:
            return f"{str(path)!r} is damaged ({fault})"
    return ""


def read_validation_predictions(history: StudyHistory) -> ValidationPredictions | None:
    """Returns the champion's predictions for the validation data.

    Returns None if there is no champion, or if kerastudy can't interpret the outputs of its model.
    """
    registered = history.registered
    if registered is None or not registered.predictions:
        return None
    return from_json(ValidationPredictions, registered.predictions)


def read_confirmations(history: StudyHistory) -> list[Confirmation]:
    """Returns the outcomes of a study's confirmations, the oldest first."""
    records = history.journal.confirmations()
    outcomes = [record.outcome for record in records if record.outcome is not None]
    return sorted(outcomes, key=lambda outcome: outcome.time)


def confirmation_of(history: StudyHistory, plan: str) -> tuple[str, Confirmation | None]:
    """Returns the uuid and the outcome of the latest confirmation that had this plan.

    `plan` is a text from `Plan.to_json`. The uuid is empty if no confirmation had the plan. The
    outcome is None if the confirmation has not ended.
    """
    for record in reversed(history.journal.confirmations()):
        if record.plan == plan:
            return record.uuid, record.outcome
    return "", None


def read_trainings(history: StudyHistory) -> dict[str, tuple[TrialResult, str]]:
    """Returns the result and the uuid of each training by `kerastudy confirm`.

    The keys are the trainings' identities (`Fit.identity`).
    """
    journal = history.journal
    return {
        fit.identity: (fit.result, fit.uuid)
        for confirmation in journal.confirmations()
        for fit in journal.fits(confirmation.uuid)
        if fit.result is not None
    }


def read_evaluations(history: StudyHistory) -> list[Evaluation]:
    """Returns a study's evaluations on its test part, the earliest first."""
    return history.journal.evaluations()


def evaluations_on(store: Store, digest: str) -> list[Evaluation]:
    """Returns all evaluations on a test part by a store's studies, the earliest first.

    `digest` is the digest of the test part.
    """
    readings: list[Evaluation] = []
    for folder in store.folders():
        # A study whose journal is damaged must not block the other studies.
        with contextlib.suppress(StoreError):
            readings += JournalReader(folder).evaluations(digest=digest)
    return sorted(readings, key=lambda evaluation: evaluation.time)


def record_evaluation(history: StudyHistory, evaluation: Evaluation) -> None:
    """Records an evaluation on a study's test part."""
    with history.writing() as journal:
        journal.add_evaluation(evaluation)
