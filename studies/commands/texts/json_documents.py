"""Writes studies and trials as JSON documents."""

from __future__ import annotations

import dataclasses
import json
import shlex
from typing import Any

from search_spaces.errors import StudyError
from tracking.history.study_history import StudyHistory
from tracking.history.trial_ranks import reasons
from tracking.history.verdicts import StudyVerdict, champion_sentences, study_verdict
from tracking.records import EndedTrial, StudyDescription, TrialRecord
from tracking.records.json_conversion import to_json
from tracking.study_summary import summary_of


def study_document(history: StudyHistory) -> dict[str, Any]:
    """Returns a study as a JSON document."""
    # Imported here, as it loads numpy, which the other documents don't need.
    from tracking.diagnosis.isolation_check import answers

    description, best, verdict = history.description, history.best, study_verdict(history)
    commands = summary_of(history, verdict).commands
    return {
        "study": description.name,
        "engine": description.engine,
        "pruner": description.pruner,
        "objective": {
            "metric": description.objective.metric,
            "direction": description.objective.direction,
        },
        "trials": {**history.counts(), "total": len(history.trials)},
        "unread": list(description.unread),
        "wanted": description.trials,
        "default_trial": description.default_trial,
        "reasons": [reason._asdict() for reason in reasons(history.trials)],
        "best": None if best is None else trial_document(history, best),
        "verdict": _verdict_document(verdict),
        "next": [command.text for command in commands],
        "answers": dict(answers(history)),
        "top": [_short_trial_document(trial) for trial in history.top(10)],
        "all": [_short_trial_document(trial) for trial in history.trials],
        "status": history.status,
        "ended_by": history.ended_by or None,
        "stopped": history.stopped or None,
        "objective_function": description.objective_function or None,
        "data": {
            "name": description.data.name,
            "digest": description.data.digest,
            "streams": description.data.details.get("streams"),
        },
        "class_weight": description.class_weight,
        "store": str(history.store.root),
        "tracking_uri": history.store.mlflow_uri,
        "server": history.server or None,
        "folder": str(history.folder),
    }


def _verdict_document(verdict: StudyVerdict) -> dict[str, Any]:
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
    """Returns a trial as a JSON document, without the metrics of its epochs."""
    document = {
        **_short_trial_document(trial),
        "seed": trial.spec.seed,
        "data_digest": trial.spec.data_digest or None,
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


def full_trial_document(history: StudyHistory, trial: TrialRecord) -> dict[str, Any]:
    """Returns a trial as a JSON document, with the metrics of each epoch."""
    return {
        "study": history.description.name,
        "engine": history.description.engine,
        **trial_document(history, trial),
        "curve": [{"epoch": epoch, **metrics} for epoch, metrics in history.curve(trial).items()],
    }


def model_document(history: StudyHistory) -> dict[str, str]:
    """Returns the champion's `model.summary()` as a JSON document.

    Raises:
        StudyError: If the study has no champion, or its model has no summary.
    """
    # Imported here, as it loads numpy, which the other documents don't need.
    from tracking.history.champions import read_model_summary

    name, summary = history.description.name, read_model_summary(history)
    if history.registered is None:
        register = f"Register one: kerastudy promote {shlex.quote(name)}"
        raise StudyError(f"The study {name!r} has no champion. {register}")
    if not summary:
        raise StudyError(f"The champion of {name!r} was saved without a summary: Keras made none.")
    champion = ". ".join(champion_sentences(history, study_verdict(history)))
    return {"champion": champion, "summary": summary}


def _short_trial_document(trial: TrialRecord) -> dict[str, Any]:
    result, best = trial.result, trial.best
    return {
        "trial": trial.number,
        "state": trial.state,
        "value": None if best is None else best.value,
        "epoch": trial.epoch,
        "reason": None if result is None else result.reason or None,
        "params": dict(trial.spec.values),
    }


def definition_document(description: StudyDescription) -> dict[str, Any]:
    """Returns the JSON document of `launch --dry-run`: the definition and its warnings."""
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
