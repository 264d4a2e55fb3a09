"""Records and reads a study's champion, its predictions, and the scores of trials."""

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
from tracking.records.json_conversion import from_json, to_json
from tracking.records.prediction_records import (
    MODEL_SUMMARY,
    ValidationPredictions,
    predictions_beside,
)
from tracking.scores.files import ScoresError, read_scores
from tracking.scores.sample_scores import SampleScores, average, pooled

_FOLDER: Final = "champion"
_LONGEST_TEXT: Final = 8000


def register_champion(
    history: StudyHistory, trial: EndedTrial, saved: Path, reason: str = ""
) -> str:
    """Records a trial's model as the study's champion. The process must hold the study's lock.

    `saved` is a folder from `mlflow.keras.save_model`, which is moved into the study's folder.
    `reason` says why the trial was chosen; it is empty for the best trial. Returns the model's
    address in MLflow, ``models:/NAME@champion``. (MLflow may have another model of this name. Then
    the model's name is ``NAME (2)``.)
    """
    _, best = trial.best_training
    facts = {"epoch": best.epoch, "value": best.value}
    return _recorded(history, trial, saved, ALIAS, facts, reason)


def register_refit(
    history: StudyHistory, trial: EndedTrial, saved: Path, epochs: int, samples: int
) -> str:
    """Records a model, trained on training and validation data, as the study's refit.

    Returns its address, ``models:/NAME@refit``.
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
    # The journal gets the folder only once its files are complete. If the process is killed before,
    # the next registration removes the folder.
    place = Path(_FOLDER, f"{alias}-{uuid.uuid4().hex[:8]}")
    folder = history.folder / place
    folder.parent.mkdir(exist_ok=True)
    shutil.move(saved, folder)
    predictions, file = "", predictions_beside(saved)
    if file.is_file():
        _, best = trial.best_training
        outputs = from_json(ValidationPredictions, file.read_text(encoding="utf-8"))
        predictions = to_json(outputs.of(trial.uuid, best.epoch))
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
    folders = {each.folder for each in history.journal.champions()}
    for other in folder.parent.iterdir():
        if other not in folders:
            shutil.rmtree(other, ignore_errors=True)
    return f"models:/{history.description.name}@{alias}"


def set_promotion(history: StudyHistory, reason: str) -> None:
    """Records why the champion was chosen. If it is empty, launches may choose another."""
    if history.registered is not None:
        with history.writing() as journal:
            journal.set_reason(history.registered.number, reason)


def record_verified(history: StudyHistory, trial: EndedTrial, text: str) -> EndedTrial:
    """Records a text of `verification_texts` as a trial's `verified`. Returns the changed trial."""
    text = text[:_LONGEST_TEXT]
    with history.writing() as journal:
        journal.set_verified(trial.uuid, text)
    return replace(trial, verified=text)


def withdraw_champion(history: StudyHistory) -> None:
    """Records that the study has no champion."""
    if history.registered is not None:
        with history.writing() as journal:
            journal.withdraw(history.registered.number)


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
    return "" if history.registered is None else model_fault(history.registered)


def model_fault(champion: Champion) -> str:
    """Returns what is wrong with the files of a saved model, or an empty text."""
    folder = champion.folder
    saved = sorted(folder.rglob("*.keras"))
    if not (folder / "MLmodel").is_file() or not saved:
        return f"the model in {str(folder)!r} is gone, or a part of it"
    for path in saved:
        try:
            with zipfile.ZipFile(path) as archive:
                # `testzip` compares the files with their checksums.
                damaged = archive.testzip()
        except (zipfile.BadZipFile, zlib.error, OSError) as error:
            damaged = str(error)
        if damaged:
            return f"{str(path)!r} is damaged ({damaged})"
    return ""


def trial_scores(history: StudyHistory) -> dict[int, list[SampleScores]]:
    """Returns the scores of trials by number: after the best epoch, or after each epoch if kept.

    - A repeated trial has one entry, the average of its trainings at their best epochs.
    - A cross-validated trial has the out-of-fold scores of all samples, for each epoch that all
      folds have. If samples are split into folds several times, only the first split counts.
    - Trials without a value are left out, and trials whose files are missing or damaged, or whose
      value `model.fit` contradicts.
    """
    scores: dict[int, list[SampleScores]] = {}
    for trial in history.top(len(history.trials)):
        try:
            scores[trial.number] = scores_of(history, trial)
        except ScoresError:
            continue
    return dict(sorted(scores.items()))


def scores_of(history: StudyHistory, trial: EndedTrial) -> list[SampleScores]:
    """Returns the scores of one trial, in the form of `trial_scores`.

    Raises:
        ScoresError: If a file of scores is missing or damaged.
    """
    result = trial.result
    if not result.repeats:
        return read_scores(history.files.scores(trial.number), weights_sha256=result.weights_sha256)
    if result.folds:
        return _of_folds(history, trial)
    trainings = [
        best_scores(
            read_scores(
                history.files.scores(trial.number, repeat), weights_sha256=each.weights_sha256
            ),
            each.best.epoch,
        )
        for repeat, each in enumerate(result.repeats)
    ]
    return [average(trainings)]


def _of_folds(history: StudyHistory, trial: EndedTrial) -> list[SampleScores]:
    count = folds_of_one_drawing(history)
    folds = [
        {
            each.epoch: each
            for each in read_scores(
                history.files.scores(trial.number, fold), weights_sha256=recorded.weights_sha256
            )
        }
        for fold, recorded in enumerate(trial.result.repeats[:count])
    ]
    epochs = set.intersection(*(set(each) for each in folds))
    if trial.epoch not in epochs:
        raise ScoresError(f"not all folds have scores after epoch {trial.epoch}")
    return [pooled([each[epoch] for each in folds]) for epoch in sorted(epochs)]


def folds_of_one_drawing(history: StudyHistory) -> int:
    """Returns the number of folds in one split, which validate each sample once."""
    data = history.description.data
    left = data.sizes.get("validation", 0)
    for place, fold in enumerate(data.details.get("folds", ()), start=1):
        left -= fold["validation"]
        if left <= 0:
            return place
    return history.description.folds


def best_scores(scores: list[SampleScores], epoch: int) -> SampleScores:
    """Returns the scores after an epoch."""
    for each in scores:
        if each.epoch == epoch:
            return each
    raise ScoresError(f"they lack epoch {epoch}")


def read_validation_predictions(history: StudyHistory) -> ValidationPredictions | None:
    """Returns the champion's predictions for the validation data.

    Returns None without a champion, and for kinds of outputs that kerastudy doesn't know.
    """
    registered = history.registered
    if registered is None or not registered.predictions:
        return None
    return from_json(ValidationPredictions, registered.predictions)
