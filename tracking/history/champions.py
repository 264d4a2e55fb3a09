"""The champion of a study: its saved model in the study's folder, and the record of it."""

from __future__ import annotations

import shutil
import uuid
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tracking.history.study_history import ALIAS, REFIT, StudyHistory
from tracking.journal import Champion
from tracking.records import EndedTrial
from tracking.records.converting import from_json, to_json
from tracking.records.validation_predictions import ValidationPredictions, predictions_beside

_FOLDER: Final = "champion"
_LONGEST_TEXT: Final = 8000


def register_champion(
    history: StudyHistory, trial: EndedTrial, saved: Path, reason: str = ""
) -> str:
    """Records the model that `mlflow.keras.save_model` wrote as the study's champion.

    Call it only while holding the study. The folder `saved` is moved to the study's. `reason` is
    why it was chosen; empty: as it is the best. Returns the model's address in the store's MLflow,
    ``models:/NAME@champion``; where another model has the name, MLflow has it as ``NAME (2)``.
    """
    _, best = trial.best_training
    facts = {"epoch": best.epoch, "value": best.value}
    return _recorded(history, trial, saved, ALIAS, facts, reason)


def register_refit(
    history: StudyHistory, trial: EndedTrial, saved: Path, epochs: int, samples: int
) -> str:
    """Records a model that was trained on training and validation data as the study's refit.

    Returns its address, ``models:/NAME@refit``, as `register_champion` does.
    """
    return _recorded(history, trial, saved, REFIT, {"epochs": epochs, "samples": samples}, "")


def _recorded(
    history: StudyHistory,
    trial: EndedTrial,
    saved: Path,
    alias: str,
    facts: Mapping[str, Any],
    reason: str,
) -> str:
    former = history.journal.champions(alias)
    # The files are whole before the record names them; a process that is killed leaves a folder
    # that the next registration removes.
    place = Path(_FOLDER, f"{alias}-{uuid.uuid4().hex[:8]}")
    folder = history.folder / place
    folder.parent.mkdir(exist_ok=True)
    shutil.move(saved, folder)
    predictions, file = "", predictions_beside(saved)
    if file.is_file():
        _, best = trial.best_training
        made = from_json(ValidationPredictions, file.read_text(encoding="utf-8"))
        predictions = to_json(made.of(trial.uuid, best.epoch))
    with history.writing() as journal, journal.together():
        journal.set_champion(
            trial.uuid,
            place.as_posix(),
            reason,
            alias=alias,
            facts=facts,
            predictions=predictions,
        )
        for each in former:
            journal.withdraw(each.number)
    known = {each.folder for each in history.journal.champions()}
    for other in folder.parent.iterdir():
        if other not in known:
            shutil.rmtree(other, ignore_errors=True)
    return f"models:/{history.description.name}@{alias}"


def set_promotion(history: StudyHistory, reason: str) -> None:
    """Records why the present champion was chosen; empty: launches choose it again."""
    if history.registered is not None:
        with history.writing() as journal:
            journal.set_reason(history.registered.number, reason)


def record_verified(history: StudyHistory, trial: EndedTrial, text: str) -> EndedTrial:
    """Records whether plain `model.fit` verified a trial, and returns the trial with it."""
    text = text[:_LONGEST_TEXT]
    with history.writing() as journal:
        journal.set_verified(trial.uuid, text)
    return replace(trial, verified=text)


def withdraw_champion(history: StudyHistory) -> None:
    """Records that the study has no champion."""
    if history.registered is not None:
        with history.writing() as journal:
            journal.withdraw(history.registered.number)


def champion_fault(history: StudyHistory) -> str:
    """Returns what is wrong with the files of a study's champion, if there is one, or nothing."""
    return "" if history.registered is None else model_fault(history.registered)


def model_fault(champion: Champion) -> str:
    """Returns what is wrong with the files of a saved model; empty if nothing is."""
    folder = champion.folder
    saved = sorted(folder.rglob("*.keras"))
    if not (folder / "MLmodel").is_file() or not saved:
        return f"the model in {str(folder)!r} is gone, or a part of it"
    for path in saved:
        try:
            with zipfile.ZipFile(path) as archive:
                # By the archive's own checksums.
                damaged = archive.testzip()
        except (zipfile.BadZipFile, zlib.error, OSError) as error:
            damaged = str(error)
        if damaged:
            return f"{str(path)!r} is damaged ({damaged})"
    return ""
