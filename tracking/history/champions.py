"""Records a study's champion, and reads the champion's files."""

from __future__ import annotations

import shutil
import uuid
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Final

from tracking.history.study_history import ALIAS, StudyHistory
from tracking.records import EndedTrial
from tracking.records.json_conversion import from_json, to_json
from tracking.records.prediction_records import (
    MODEL_SUMMARY,
    ValidationPredictions,
    predictions_beside,
)

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
