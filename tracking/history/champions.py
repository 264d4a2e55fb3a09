"""The champion of a study: its saved model and predictions; the scores of validation samples."""

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
from tracking.records.checks import ValidationPredictions, predictions_beside
from tracking.records.converting import from_json, to_json
from tracking.scores.files import ScoresError, read_scores
from tracking.scores.sample_scores import SampleScores, average, pooled

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
    """Returns the fault of the files of a study's champion, or an empty text."""
    return "" if history.registered is None else model_fault(history.registered)


def model_fault(champion: Champion) -> str:
    """Returns the fault of the files of a saved model, or an empty text."""
    folder = champion.folder
    saved = sorted(folder.rglob("*.keras"))
    if not (folder / "MLmodel").is_file() or not saved:
        return f"the model in {str(folder)!r} is gone, or a part of it"
    for path in saved:
        try:
            with zipfile.ZipFile(path) as archive:
                # The archive has checksums.
                damaged = archive.testzip()
        except (zipfile.BadZipFile, zlib.error, OSError) as error:
            damaged = str(error)
        if damaged:
            return f"{str(path)!r} is damaged ({damaged})"
    return ""


def trial_scores(history: StudyHistory) -> dict[int, list[SampleScores]]:
    """Returns the scores of all trials that have them.

    Returns:
        By trial number: the scores of the best epoch, or of each epoch if the study kept those.
        A repeated trial has one entry, the average of its trainings at their best epochs. A
        cross-validated trial has the out-of-fold scores of all samples, after each epoch that all
        folds have; if samples are split several times, those of the first time. Left out are trials
        without a value, with one that `model.fit` contradicts, or with missing or damaged files.
    """
    scores: dict[int, list[SampleScores]] = {}
    for trial in history.top(len(history.trials)):
        try:
            scores[trial.number] = scores_of(history, trial)
        except ScoresError:
            continue
    return dict(sorted(scores.items()))


def scores_of(history: StudyHistory, trial: EndedTrial) -> list[SampleScores]:
    """Returns the scores of one trial, as `trial_scores` does.

    Raises:
        ScoresError: If they, or those of one of its trainings, are missing or damaged.
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
    """Returns the pooled scores of a cross-validated trial by epoch."""
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
    """Returns the number of folds in which each sample is validated once."""
    data = history.description.data
    left = data.sizes.get("validation", 0)
    for place, fold in enumerate(data.details.get("folds", ()), start=1):
        left -= fold["validation"]
        if left <= 0:
            return place
    return history.description.folds


def best_scores(scores: list[SampleScores], epoch: int) -> SampleScores:
    """Returns the scores of one epoch among those of a training."""
    for each in scores:
        if each.epoch == epoch:
            return each
    raise ScoresError(f"they lack epoch {epoch}")


def read_validation_predictions(history: StudyHistory) -> ValidationPredictions | None:
    """Returns the champion's predictions of the validation data.

    None if there is no champion, or if its outputs are of no known kind.
    """
    registered = history.registered
    if registered is None or not registered.predictions:
        return None
    return from_json(ValidationPredictions, registered.predictions)
