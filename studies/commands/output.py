"""The output of commands about a study: one JSON document, or text for people."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import click

from studies.commands.top_trials import top_trials
from studies.lines import COLUMNS, wrapped
from studies.running.definitions import warnings_of
from studies.running.validation_parts import ValidationParts
from tracking.history.reasons import reasons
from tracking.history.study_history import StudyHistory
from tracking.history.summary import shell_commands
from tracking.records import EndedTrial, StudyDescription
from tracking.store.folder import default_store_path

_CLASSES_SHOWN = 10
_REASONS_SHOWN = 5


def print_json(document: object) -> None:
    """Prints one JSON document on standard output."""
    # JSON has no infinity: print null.
    text = json.dumps(_without_infinities(document), indent=2, ensure_ascii=False)
    click.echo(text)


def study_document(history: StudyHistory) -> dict[str, Any]:
    """Returns a study as a JSON document."""
    description, best = history.description, history.best
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
        "trials": history.counts(),
        "unread": list(description.unread),
        "wanted": description.trials,
        "superseded": history.superseded,
        "reasons": [each._asdict() for each in reasons(history.trials)],
        "best": None if best is None else trial_document(history, best),
        "top": [_short(trial) for trial in history.top(10)],
        "status": history.status,
        "ended_by": history.ended_by or None,
        "stopped": history.stopped or None,
        "experiment_id": history.experiment_id,
        "run_id": history.parent_run_id,
        "data": {
            "name": description.data.name,
            "digest": description.data.digest,
            "streams": description.data.details.get("streams"),
            "made_by": description.data.made_by or None,
            "validation_parts": ValidationParts(history.trials).count or 1,
        },
        "class_weight": description.class_weight,
        "store": str(history.store.root),
        "tracking_uri": history.store.mlflow_uri,
        "server": history.server or None,
    }


def trial_document(history: StudyHistory, trial: EndedTrial) -> dict[str, Any]:
    """Returns a trial as a JSON document."""
    assert trial.best is not None
    checkpoint = history.checkpoint(trial)
    return {
        **_short(trial),
        "seed": trial.spec.seed,
        "data_digest": trial.data_digest,
        "class_weight": trial.result.class_weight or trial.spec.class_weight,
        "epochs": trial.result.epochs,
        "metrics": dict(trial.best.metrics),
        "spread": trial.result.spread,
        "repeats": [dataclasses.asdict(repeat) for repeat in trial.result.repeats],
        "goes_on_from": trial.spec.goes_on_from,
        "trainer": trial.result.trainer,
        "trainer_reason": trial.result.trainer_reason,
        "verified": trial.verified or None,
        "weights_sha256": trial.result.weights_sha256,
        "run_id": trial.run_id,
        "checkpoint": None if checkpoint is None else str(checkpoint),
        "unsaved": trial.result.unsaved or None,
        "model_uri": history.model_uri(trial),
    }


def definition_document(description: StudyDescription) -> dict[str, Any]:
    """Returns the plan of a study as a JSON document."""
    return {
        "study": description.name,
        "engine": description.engine,
        "pruner": description.pruner,
        "objective": {
            "metric": description.objective.metric,
            "direction": description.objective.direction,
        },
        "trials": description.trials,
        "repeats": description.repeats,
        "epochs": description.epochs,
        "batch_size": description.batch_size,
        "seed": description.seed,
        "discovered": description.discovered,
        "declared": list(description.declared),
        "unread": list(description.unread),
        "space": description.space.to_dict(),
        "initial": [dict(values) for values in description.initial],
        "data": {
            "name": description.data.name,
            "sizes": dict(description.data.sizes),
            "streams": description.data.details.get("streams"),
        },
        "class_weight": description.class_weight,
        "warnings": warnings_of(description),
    }


def definition_text(description: StudyDescription) -> str:
    """Returns the plan of a study as text."""
    objective, data = description.objective, description.data
    sizes = ", ".join(f"{size} {part}" for part, size in data.sizes.items()) or "not read to an end"
    times = f", {description.repeats} times each" if description.repeats > 1 else ""
    found = "found by tracing the builder"
    if description.declared:
        beside = [n for n in description.space.names if n not in description.declared]
        found = f"declared, {len(beside)} of them by the builder" if beside else "declared"
    return "\n".join(
        [
            f"study      {description.name}",
            f"engine     {description.engine}, pruner {description.pruner}",
            f"objective  {objective.direction} {objective.metric}",
            f"trials     {description.trials}{times}, {description.epochs} epochs, "
            f"batches of {description.batch_size}, seed {description.seed}",
            f"data       {data.name}: {sizes}{', by default' if data.made_by else ''}",
            *_made_data(description),
            *_streams(description),
            *_class_weight(description),
            *(f"start with {_spelled(values)}" for values in description.initial),
            f"space      {len(description.space)} hyperparameters, {found}",
            *(
                line
                for parameter in description.space
                for line in wrapped(f"             {parameter!r}", indent=17)
            ),
            *(
                line
                for warning in warnings_of(description)
                for line in wrapped(f"warning    {warning}")
            ),
            "nothing was trained or written",
        ]
    )


def study_text(history: StudyHistory) -> str:
    """Returns a study as text: its definition, state and best trial, and what to do next."""
    description, best = history.description, history.best
    objective, counts = description.objective, history.counts()
    states = ", ".join(f"{n} {name}" for name, n in counts.items() if n and name != "total")
    lines = [
        f"study      {description.name}",
        f"engine     {description.engine}, pruner {description.pruner}",
        f"objective  {objective.direction} {objective.metric}",
        f"trials     {counts['total']} of {description.trials}: {states or 'none yet'}",
    ]
    if history.stopped and history.ended_by != "trials":
        lines += wrapped(f"ended      {history.stopped}")
    if history.superseded:
        lines.append(f"superseded {history.superseded} infeasible, trained again since")
    lines += _reasons(history)
    lines += _streams(description)
    lines += _made_data(description)
    parts = ValidationParts(history.trials).count
    if parts > 1:
        lines += wrapped(
            f"validated  on {parts} different sets of samples: values of trials do not compare"
        )
    lines += _class_weight(description)
    if description.unread:
        lines += wrapped(f"never read {', '.join(description.unread)}: changes nothing")
    others = [e for e in history.engines if e != description.engine]
    if others:
        lines += wrapped(f"also by    {', '.join(others)} (see --engine)")
    if history.server:
        lines.append(f"also at    {history.server}")
    if best is None or best.best is None:
        return "\n".join([*lines, "best       no trial has a value yet"])
    lines += [
        *wrapped(
            f"best       trial {best.number}{_whose(history)}: "
            f"{objective.metric} {best.best.value:.6g} {_how(best)}"
        ),
        *_ended_for(best),
        *(
            f"             {name} = {_shown(best.spec.values[name])}"
            for name in description.space.names
            if name in best.spec.values
        ),
        *wrapped(f"trainer    {_trainers(history)}"),
        *_peak_memory(history, best),
        *_checkpoint(history, best),
        *wrapped(f"model      {_model(history, best)}"),
    ]
    if counts["complete"] + counts["pruned"] > 1:
        lines += ["", *top_trials(history, _shown, COLUMNS)]
    look, again = shell_commands(history, best, without=default_store_path().absolute())
    return "\n".join([*lines, "", f"look:      {look}", f"reproduce: {again}"])


def _reasons(history: StudyHistory) -> list[str]:
    """Returns why trials are infeasible, or ended early, the most frequent reasons first."""
    found = reasons(history.trials)
    lines = []
    for kind, text, trials in found[:_REASONS_SHOWN]:
        times = f"{len(trials)} trial{'' if len(trials) == 1 else 's'}: "
        lines += wrapped(f"{kind:<10} {times}{text}")
    if len(found) > _REASONS_SHOWN:
        lines.append(f"           and {len(found) - _REASONS_SHOWN} more reasons: see --json")
    return lines


def _peak_memory(history: StudyHistory, best: EndedTrial) -> list[str]:
    """Returns the peak memory of the best trial, and of the one with the highest."""
    sizes = {trial.number: trial.result.peak_memory_bytes for trial in history.ended}
    largest = max(sizes, key=lambda number: sizes[number])
    if not sizes[largest]:
        return []
    of_best, of_largest = (f"{sizes[n] / 2**30:.2f} GiB" for n in (best.number, largest))
    most = f"the most {of_largest} (trial {largest})"
    # Trials of older versions have none.
    own = f"{of_best} at its peak; " if sizes[best.number] else ""
    return [f"memory     {own}{most}"]


def _checkpoint(history: StudyHistory, trial: EndedTrial) -> list[str]:
    if trial.result.unsaved:
        return wrapped(f"checkpoint none: {trial.result.unsaved}")
    # On one line, to copy it.
    return [f"checkpoint {history.checkpoint(trial) or 'not kept'}"]


def _ended_for(trial: EndedTrial) -> list[str]:
    """Returns why a trial with a value ended before its last epoch."""
    reason = trial.result.reason
    return wrapped(f"             it ended early: {reason}", indent=15) if reason else []


def _streams(description: StudyDescription) -> list[str]:
    """Returns the kind of data that is read batch by batch, and what its digest covers."""
    streams = description.data.details.get("streams") or {}
    return [
        line
        for part, stream in streams.items()
        for line in wrapped(
            f"{part:<10} by {stream['kind']}; digest of {stream['digest_of']}"
            + ("" if stream["same_each_time"] else "; not the same each time that it is read")
        )
    ]


def _made_data(description: StudyDescription) -> list[str]:
    """Returns a line for data that depends on the trial."""
    made_by = description.data.made_by
    return wrapped(f"made by    {made_by}(hp), for each trial of its own") if made_by else []


def _class_weight(description: StudyDescription) -> list[str]:
    """Returns the class weights, if there are any."""
    if description.class_weight is None:
        return []
    weights = [f"{label}: {weight:g}" for label, weight in description.class_weight.items()]
    more = f" and {len(weights) - _CLASSES_SHOWN} more" if len(weights) > _CLASSES_SHOWN else ""
    return wrapped(
        f"weights    of classes {', '.join(weights[:_CLASSES_SHOWN])}{more}; of others 1"
    )


def _trainers(history: StudyHistory) -> str:
    """Returns which trainers trained the trials, and why some were not compiled."""
    used = Counter(
        (trial.result.trainer, trial.result.trainer_reason)
        for trial in history.ended
        if trial.result.trainer
    )
    return "; ".join(
        f"{name} for {count} of {used.total()} trials" + (f" ({reason})" if reason else "")
        for (name, reason), count in used.most_common()
    )


def _model(history: StudyHistory, best: EndedTrial) -> str:
    """Returns where the best trial is registered, and how it was verified."""
    uri = history.model_uri(best)
    if uri is None:
        engine = history.champion_engine
        others = engine and engine != history.description.engine
        return (
            f"not registered: the champion is a trial of {engine}" if others else "not registered"
        )
    return f"{uri}, verified: {best.verified}" if best.verified else uri


def _whose(history: StudyHistory) -> str:
    """Returns which engine proposed the best trial, if there are several."""
    return f" of {history.description.engine}" if len(history.engines) > 1 else ""


def _how(trial: EndedTrial) -> str:
    assert trial.best is not None
    if not trial.result.repeats:
        return f"at epoch {trial.best.epoch}"
    spread = trial.result.spread
    values = ", ".join(f"{repeat.best.value:.6g}" for repeat in trial.result.repeats)
    plus_minus = "" if spread is None else f"± {spread:.2g}, "
    return f"{plus_minus}the mean of {values}"


def _short(trial: EndedTrial) -> dict[str, Any]:
    assert trial.best is not None
    return {
        "trial": trial.number,
        "state": trial.state,
        "value": trial.best.value,
        "epoch": trial.best.epoch,
        "reason": trial.result.reason or None,
        "peak_memory_bytes": trial.result.peak_memory_bytes,
        "params": dict(trial.spec.values),
    }


def _spelled(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {_shown(value)}" for name, value in values.items())


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _without_infinities(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_infinities(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_infinities(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
