"""Names of engines, pruners and trainers, with their defaults. Imports no engine."""

from __future__ import annotations

import contextlib
import inspect
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from search_spaces.errors import EngineError, StudyError, near_match, suggestion
from studies.definition.engine_options import split_options, with_options
from tracking.records import TrainerName

DEFAULT_ENGINE = "optuna:tpe"
DEFAULT_PRUNER = "none"
DEFAULT_TRAINER = "auto"
DEFAULT_EPOCHS = 20
DEFAULT_BATCH_SIZE = 32

ENGINES = {
    "optuna:tpe": "tree-structured Parzen estimator, Optuna's default",
    "optuna:random": "random search",
    "optuna:quasi-random": "scrambled Halton sequence: covers the space evenly",
    "optuna:cma-es": "covariance matrix adaptation, for numeric spaces",
    "optuna:grid": "every configuration of a finite space, in order",
    "keras-tuner:bayesian": "Keras Tuner's Gaussian process with a confidence bound",
    "keras-tuner:hyperband": "Keras Tuner's Hyperband: many short trials, and the best continue",
    "keras-tuner:random": "Keras Tuner's random search",
    "keras-tuner:grid": "Keras Tuner's walk over a finite space, the defaults first",
}
FACTOR: Final = 3
"""Hyperband's reduction factor, Keras Tuner's default
(https://keras.io/keras_tuner/api/tuners/hyperband/)."""

Verify = Literal["full", "some", "off"]
"""How much of a best trial `model.fit` trains again before it is registered."""
VERIFY: tuple[Verify, ...] = ("full", "some", "off")

OF_A_STUDY = "study:"
"""Before the name of the study whose best trials another one starts with."""

TRAINERS: dict[TrainerName, str] = {
    "auto": "compiled if that is exact, else plain",
    "compiled": "whole epochs in one TensorFlow function, traced once for each structure",
    "plain": "model.fit",
}
PRUNERS = {
    "none": "every trial trains to its end",
    "median": "stops a trial whose best is worse than the median at the same epoch",
    "percentile": "as median, at the 25th percentile",
    "successive-halving": "asynchronous successive halving",
    "hyperband": "successive halving in several brackets",
    "threshold": "stops a trial whose objective leaves the settings lower and upper",
    "patient": "median, once a trial has not improved for 3 epochs",
}
_ALIASES = {
    "optuna": "optuna:tpe",
    "optuna:qmc": "optuna:quasi-random",
    "optuna:halton": "optuna:quasi-random",
    "optuna:cmaes": "optuna:cma-es",
    # It learns from past trials in any study, as Optuna's default does.
    "keras-tuner": "keras-tuner:bayesian",
    "keras-tuner:bayesian-optimization": "keras-tuner:bayesian",
    "keras-tuner:bayesianoptimization": "keras-tuner:bayesian",
    "keras-tuner:random-search": "keras-tuner:random",
    "keras-tuner:randomsearch": "keras-tuner:random",
    "keras-tuner:grid-search": "keras-tuner:grid",
    "keras-tuner:gridsearch": "keras-tuner:grid",
}


def check_trainer(trainer: object) -> TrainerName:
    """Returns a trainer's name. Raises StudyError if there is no such trainer."""
    for known in TRAINERS:
        if isinstance(trainer, str) and trainer.lower() == known:
            return known
    raise StudyError(f"There is no trainer {trainer!r}. {suggestion(trainer, TRAINERS)}")


def check_verify(verify: str) -> Verify:
    """Returns how much of a champion is verified. Raises StudyError if it is none of the three."""
    for known in VERIFY:
        if verify == known:
            return known
    raise StudyError(f"verify must be one of {', '.join(VERIFY)}. Received: {verify!r}.")


def trainer_in_words(name: str) -> str:
    """Returns the trainer of a trial, by `TrialResult.trainer`, for people to read."""
    return {
        "plain": "model.fit",
        "compiled": "the compiled trainer",
        "hypermodel": "the HyperModel's own fit",
        "objective": "the objective function itself",
    }.get(name, name or "an unknown trainer")


def check_engine(engine: object) -> str:
    """Returns an engine's full name; ``"tpe"`` is short for ``"optuna:tpe"``.

    A name that both libraries have, such as ``"random"``, means Optuna's. Settings may follow
    it: ``"optuna:tpe,n_startup_trials=20"``.
    """
    if isinstance(engine, str):
        given, options = split_options(engine)
        given = given.lower().replace("_", "-")
        for spelling in (given, f"optuna:{given}", f"keras-tuner:{given}"):
            name = _ALIASES.get(spelling, spelling)
            if name in ENGINES:
                return with_options(name, options)
    short = [name for name in (each.partition(":")[2] for each in ENGINES) if name not in ENGINES]
    hint = near_match(engine, [*ENGINES, *dict.fromkeys(short)]) or suggestion(engine, ENGINES)
    raise EngineError(f"There is no engine {engine!r}. {hint}")


def hyperband_trials(epochs: int, factor: int = FACTOR) -> int:
    """Returns the number of trials of one full round of Hyperband's brackets.

    A trial that continues another counts as one. The sizes are those of Keras Tuner's
    ``HyperbandOracle``, after Li et al., "Hyperband: A Novel Bandit-Based Approach to
    Hyperparameter Optimization" (https://jmlr.org/papers/v18/16-558.html).

    Args:
        epochs: The most epochs that a trial trains, at least 1.
        factor: How many times fewer trials each rung has than the one below, at least 2.
    """
    brackets, left = 0, float(epochs)
    while left >= 1:
        left /= factor
        brackets += 1
    last_rung = math.ceil(1 + math.log(epochs, factor))
    return sum(
        math.ceil(last_rung / (bracket + 1) * factor ** (bracket - rung))
        for bracket in range(brackets)
        for rung in range(bracket + 1)
    )


def check_pruner(pruner: object) -> str:
    """Returns a pruner's name; settings may follow it: ``"median,n_warmup_steps=3"``."""
    name = "none" if pruner is None else pruner
    if isinstance(name, str):
        name, options = split_options(name)
        name = name.lower().replace("_", "-")
        if name in PRUNERS:
            return with_options(name, options)
    raise EngineError(f"There is no pruner {pruner!r}. {suggestion(pruner, PRUNERS)}")


def check_callbacks(value: object) -> None:
    """Checks that a study's callbacks are a function of hp."""
    what = "A study's callbacks must be a function of hp that returns a list of new callbacks"
    if not callable(value):
        raise StudyError(
            f"{what}: they keep state, so trials can't share them. Received: {value!r:.200}"
        )
    with contextlib.suppress(ValueError):
        # Some objects tell nothing of their parameters.
        signature = inspect.signature(value)
        try:
            signature.bind(None)
        except TypeError as error:
            raise StudyError(
                f"{what}; {getattr(value, '__name__', 'yours')}{signature} can't be called with "
                f"hp alone: {error}."
            ) from None


def check_count(name: str, value: object) -> None:
    """Checks a whole number of at least 1. Raises StudyError if it is not."""
    if not is_count(value):
        raise StudyError(f"{name} must be a whole number of at least 1. Received: {value!r}.")


def check_seconds(name: str, value: object) -> None:
    """Checks a time in seconds. Raises StudyError if it is not a number above 0."""
    if not _is_number(value) or not value > 0:  # type: ignore[operator]
        raise StudyError(f"{name} must be a number of seconds above 0. Received: {value!r}.")


def check_stop_at(value: object) -> None:
    """Checks a value of the objective. Raises StudyError if it is not a finite number."""
    if not _is_number(value):
        raise StudyError(f"stop_at must be a finite number. Received: {value!r}.")


def check_initial(initial: object) -> tuple[dict[str, Any], ...] | str:
    """Returns the values of a study's first trials, or where they are from."""
    if isinstance(initial, (str, os.PathLike)) and os.fspath(initial) not in ("", OF_A_STUDY):
        return str(os.fspath(initial))
    if isinstance(initial, Sequence) and not isinstance(initial, str):
        values = [dict(each) for each in initial if isinstance(each, Mapping)]
        if len(values) == len(initial):
            return tuple(values)
    raise StudyError(
        "initial must be a list of values by name, such as [{'learning_rate': 0.01}]; a JSON or "
        "CSV file of such; or study:NAME, for the best trials of another study. "
        f"Received: {initial!r:.200}"
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_count(value: object) -> bool:
    """Returns whether a value is a whole number of at least 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
