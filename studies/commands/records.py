"""Reads the study that a command names, and writes studies and trials as JSON documents."""

from __future__ import annotations

import dataclasses
import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from search_spaces.errors import StudyError, StudyNotFoundError
from studies.definition import check_engine
from studies.progress import waiting
from tracking.history.study_history import StudyHistory, read_study
from tracking.history.trials import reasons
from tracking.history.verdicts import StudyVerdict, study_verdict
from tracking.records import EndedTrial, StudyDescription, TrialRecord
from tracking.records.json_conversion import to_json
from tracking.store.store_folder import Store, default_store_path, open_store
from tracking.summary import summary_of, validation_parts


def history_of(study: str, engine: str | None, store: Path | None) -> StudyHistory:
    """Reads the study that a command names."""
    engine = None if engine is None else check_engine(engine)
    opened = store_of(store)
    with waiting(f"reading the store {str(opened.root)!r}"):
        return read_study(opened, unicodedata.normalize("NFC", study), engine)


def store_of(store: Path | None) -> Store:
    """Opens the store that a command names."""
    path = store if store is not None else default_store_path()
    opened = open_store(path)
    if opened is None:
        raise StudyNotFoundError(
            f"There is no store at {str(path)!r}. Name one with --store, or start a study with: "
            "kerastudy launch digits"
        )
    return opened


def histories_of(
    studies: Sequence[str], engines: Sequence[str], store: Path | None
) -> list[StudyHistory]:
    """Reads each study that a command names, under each engine that it names."""
    names: Sequence[str | None] = engines or (None,)
    return [history_of(study, engine, store) for study in studies for engine in names]


def data_to_use(data: Path | None, column: str | None, hint: str = "") -> str:
    """Returns the file that replaces a study's data, as `spelled` writes it, or an empty text."""
    # The import is here, since it imports numpy, which most commands don't need.
    from studies.data import is_table, spelled

    if column is not None and (data is None or not is_table(str(data))):
        raise StudyError(
            f"--target {column!r} names the column to predict of a csv or parquet file: give it by "
            f"--data.{hint}"
        )
    return "" if data is None else spelled(str(data.expanduser().absolute()), column or "")


OF_ALONE: Final = (
    "--drop, --missing, --dates and --time are for a table as TARGET: change those of a study in "
    "its file."
)


def is_data_alone(target: str) -> bool:
    """Returns whether a command's target is data without a study.

    If a folder has the name of a study of the catalog, the study is meant.
    """
    from studies.data import is_data
    from studies.user_code import catalog_names

    return target not in catalog_names() and is_data(str(Path(target).expanduser()))


def study_document(history: StudyHistory) -> dict[str, Any]:
    """Returns a study as a JSON document."""
    # The import is here, since it imports numpy. Without numpy, errors of commands appear sooner.
    from tracking.diagnosis.isolation_check import answers

    description, best = history.description, history.best
    verdict, without = study_verdict(history), default_store_path().absolute()
    return {
        "study": description.name,
        "engine": description.engine,
        "engines": list(history.engines),
        "champion_engine": history.champion_engine or None,
        "pruner": description.pruner,
        "objective": {
            "metric": description.objective.metric,
            "direction": description.objective.direction,
        },
        "trials": {**history.counts(), "total": len(history.trials)},
        "unread": list(description.unread),
        "wanted": description.trials,
        "default_trial": description.default_trial,
        "superseded": history.superseded,
        "reasons": [each._asdict() for each in reasons(history.trials)],
        "best": None if best is None else trial_document(history, best),
        "verdict": verdict_document(verdict),
        "next": [each.text for each in summary_of(history, without, verdict).commands],
        "answers": dict(answers(history)),
        "top": [short_document(trial) for trial in history.top(10)],
        "all": [short_document(trial) for trial in history.trials],
        "status": history.status,
        "ended_by": history.ended_by or None,
        "stopped": history.stopped or None,
        "objective_function": description.objective_function or None,
        "data": {
            "name": description.data.name,
            "digest": description.data.digest,
            "streams": description.data.details.get("streams"),
            "validation_parts": validation_parts(history) or 1,
        },
        "class_weight": description.class_weight,
        "store": str(history.store.root),
        "tracking_uri": history.store.mlflow_uri,
        "server": history.server or None,
        "folder": str(history.folder),
    }


def verdict_document(verdict: StudyVerdict) -> dict[str, Any]:
    """Returns the verdict on a study as a JSON document."""
    corrected, expected = verdict.corrected, verdict.expected
    return {
        "text": verdict.text,
        "expected": None if expected is None else dataclasses.asdict(expected),
        "rests_on": list(verdict.grounds),
        "reported": verdict.reported,
        "corrected": None if corrected is None else dataclasses.asdict(corrected),
        "unknown": verdict.unknown or None,
        "confirmations": [dataclasses.asdict(each) for each in verdict.confirmations],
    }


def trial_document(history: StudyHistory, trial: TrialRecord) -> dict[str, Any]:
    """Returns a trial as a JSON document."""
    document = {
        **short_document(trial),
        "seed": trial.spec.seed,
        "data_digest": trial.data_digest,
        "goes_on_from": trial.spec.goes_on_from,
        "verified": trial.verified or None,
        "uuid": trial.uuid,
    }
    if not isinstance(trial, EndedTrial):
        return document
    checkpoint, result = history.checkpoint(trial), trial.result
    return {
        **document,
        "class_weight": result.class_weight or trial.spec.class_weight,
        "epochs": result.epochs,
        "metrics": None if trial.best is None else dict(trial.best.metrics),
        "spread": result.spread,
        "repeats": [dataclasses.asdict(repeat) for repeat in result.repeats],
        "on_all_folds": None if trial.whole is None else dataclasses.asdict(trial.whole),
        "trainer": result.trainer,
        "trainer_reason": result.trainer_reason,
        "weights_sha256": result.weights_sha256,
        "checkpoint": None if checkpoint is None else str(checkpoint),
        "unsaved": result.unsaved or None,
        "user_attrs": dict(result.user_attrs),
        "model_uri": history.model_uri(trial),
    }


def short_document(trial: TrialRecord) -> dict[str, Any]:
    """Returns a trial's outcome and hyperparameters as a JSON document."""
    result, best = trial.result, trial.best
    return {
        "trial": trial.number,
        "state": trial.state,
        "value": None if best is None else best.value,
        "epoch": trial.epoch,
        "reason": None if result is None else result.reason or None,
        "peak_memory_bytes": 0 if result is None else result.peak_memory_bytes,
        "params": dict(trial.spec.values),
    }


def definition_document(description: StudyDescription) -> dict[str, Any]:
    """Returns the plan of a study as a JSON document."""
    from studies.launching import warnings_of

    fields = json.loads(to_json(description))
    data, code = fields.pop("data"), fields.pop("code")
    return {
        "study": fields.pop("name"),
        **{name: None if value == "" else value for name, value in fields.items()},
        "data": {**data, "streams": data["details"].get("streams")},
        "said": code["said"],
        "warnings": warnings_of(description),
    }
