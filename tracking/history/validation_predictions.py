"""What the champion predicts of the validation data, in the record.

It is an artifact of the study's parent run, written before the champion is registered.
"""

from __future__ import annotations

from pathlib import Path

from tracking.history.study_history import StudyHistory
from tracking.records import EndedTrial
from tracking.records.validation_predictions import ValidationPredictions, predictions_beside
from tracking.runs.run_contents import local_artifacts
from tracking.store.files import remove_pieces, write_atomically

FILE_NAME = "validation.json"


def read_validation_predictions(history: StudyHistory) -> ValidationPredictions | None:
    """Returns what a study's champion predicts of the validation data.

    Args:
        history: The study, under the engine of the champion.

    Returns:
        The predictions; None if there is no champion, if its outputs are of no known kind, or if
        an older version registered it.
    """
    if not history.champion_run_id:
        return None
    try:
        read = ValidationPredictions.from_json(_file(history).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # MLflow's UI can make another version the champion.
    return read if read.run_id == history.champion_run_id else None


def write_validation_predictions(history: StudyHistory, trial: EndedTrial, folder: Path) -> None:
    """Records the predictions of the future champion, or removes those of the former one.

    Args:
        history: The study, under the engine of the champion.
        trial: The trial behind it.
        folder: Where its model was saved; see `predictions_beside`.
    """
    file, saved = _file(history), predictions_beside(folder)
    if not saved.is_file():
        file.unlink(missing_ok=True)
        return
    made = ValidationPredictions.from_json(saved.read_text(encoding="utf-8"))
    _, best = trial.best_training
    made = made.of(trial.run_id, best.epoch)
    file.parent.mkdir(parents=True, exist_ok=True)
    # Of a killed process.
    remove_pieces(file.parent)
    write_atomically(file, made.to_json())


def _file(history: StudyHistory) -> Path:
    parent = history.store.client.get_run(history.parent_run_id)
    return local_artifacts(history.store, parent) / "champion" / FILE_NAME
