"""What people see of a trial in MLflow: the name of its run, and its description."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from tracking import tags
from tracking.records import TrialResult, TrialSpec
from tracking.runs.pages.markdown import code_block, plain

# Hyperparameters in a description; the page lists them all.
_SHOWN: Final = 30


def training_name(number: int, folds: int = 0) -> str:
    """Returns what people call one of a trial's trainings, such as ``repeat 0`` or ``fold 1 of 5``.

    Args:
        number: Its number, from 0; that after the last fold is the training on all of them.
        folds: Folds of a trial; 0: it is repeated.
    """
    if not folds:
        return f"repeat {number}"
    return "all folds" if number >= folds else f"fold {number + 1} of {folds}"


def run_name(
    spec: TrialSpec,
    result: TrialResult | None = None,
    *,
    of_repeat: bool = False,
    of_defaults: bool = False,
    engine: str = "",
    folds: int = 0,
) -> str:
    """Returns the name of a trial's run, such as ``#15 · val_accuracy 0.9743 @ epoch 5``.

    Args:
        spec: The trial, or one of its repeats.
        result: Its result, if it has one.
        of_repeat: Whether it is one of the repeats, or folds.
        of_defaults: Whether it is the trial that has the space's defaults.
        engine: The engine, if the study has several.
        folds: Folds of a trial, or 0.
    """
    number = f"#{spec.number}" + (" defaults" if of_defaults else "")
    number += f" {training_name(spec.repeat, folds)}" if of_repeat else ""
    outcome = _outcome(spec, result, 0 if of_repeat else folds)
    return " · ".join(filter(None, (number, outcome, engine)))


def trial_note(
    spec: TrialSpec, values: Mapping[str, Any], result: TrialResult, reproduce: str
) -> str:
    """Returns the description of a trial in Markdown: its result, hyperparameters and command.

    Args:
        spec: The trial.
        values: The hyperparameters that its builder read.
        result: Its result.
        reproduce: The command that reproduces it.
    """
    lines = [f"**{_verdict(spec, result)}**"]
    if result.reason:
        lines.append(plain(result.reason))
    shown = [f"{plain(name)} = {plain(short(value))}" for name, value in values.items()]
    more = [f"and {len(shown) - _SHOWN} more"] if len(shown) > _SHOWN else []
    lines += ["", ", ".join([*shown[:_SHOWN], *more])]
    facts = [f"seed {spec.seed}", f"{result.seconds:.3g} s"]
    if result.trainer:
        facts.append(f"trainer {result.trainer}")
    if result.model_parameters:
        facts.append(f"{result.model_parameters:,} weights")
    lines += ["", ", ".join(facts)]
    if result.best is not None:
        lines += code_block([reproduce])
    return "\n".join(lines)[: tags.LONGEST]


def short(value: object) -> str:
    """Returns a hyperparameter's value for people: numbers to four digits."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _outcome(spec: TrialSpec, result: TrialResult | None, folds: int = 0) -> str:
    if result is None:
        return "running"
    if result.state == "pruned" and result.folds:
        return f"pruned in {training_name(result.folds - 1, folds)}"
    if result.state == "pruned":
        return f"pruned at epoch {result.epochs}"
    if result.state != "complete" or result.best is None:
        return result.state
    metric = spec.objective.metric
    if result.spread is not None:
        at = f" @ epoch {result.best.epoch}" if result.folds else ""
        return f"{metric} {result.best.value:.4g} ± {result.spread:.2g}{at}"
    if result.of_no_epoch:
        return f"{metric} {result.best.value:.4g}"
    return f"{metric} {result.best.value:.4g} @ epoch {result.best.epoch}"


def _verdict(spec: TrialSpec, result: TrialResult) -> str:
    state = result.state.capitalize()
    if result.state == "pruned" and result.folds:
        state += f" in its fold {result.folds}"
    elif result.state == "pruned":
        of = f" of {spec.epochs}" if result.epochs <= spec.epochs else ""
        state += f" after {result.epochs}{of} epochs"
    elif result.state == "complete":
        state += f" after {result.epochs} epochs"
    if result.best is None:
        return state
    value = f"{plain(spec.objective.metric)} {result.best.value:.6g}"
    if result.spread is not None:
        what = f"folds, at epoch {result.best.epoch}" if result.folds else "repeats"
        return f"{state}: {value} ± {result.spread:.2g} over {len(result.repeats)} {what}"
    if result.of_no_epoch:
        return f"{state}: {value}"
    return f"{state}: {value} at epoch {result.best.epoch}"
