"""Engines and pruners as objects of Optuna or Keras Tuner.

Each trial and each launch makes a new engine, so only an object's kind and settings count: they are
read from it, and become the engine's name in the record. An object of another kind, or with
settings other than numbers and words, is refused.
"""

from __future__ import annotations

import inspect
from typing import Any, Final

from search_spaces.errors import EngineError
from studies.definition.engine_options import checked_option, split_options, with_options

_OPTUNA: Final = {
    "TPESampler": "optuna:tpe",
    "RandomSampler": "optuna:random",
    "CmaEsSampler": "optuna:cma-es",
}
_PRUNERS: Final = {
    "MedianPruner": "median",
    "PercentilePruner": "percentile",
    "SuccessiveHalvingPruner": "successive-halving",
    "HyperbandPruner": "hyperband",
    "ThresholdPruner": "threshold",
    "PatientPruner": "patient",
    "NopPruner": "none",
}
# Options of a name that differ from the class's defaults.
_ALWAYS: Final = {"successive-halving": ("min_resource", "reduction_factor")}
_KERAS_TUNER: Final = {
    "RandomSearch": "keras-tuner:random",
    "BayesianOptimization": "keras-tuner:bayesian",
    "Hyperband": "keras-tuner:hyperband",
    "GridSearch": "keras-tuner:grid",
}
_OF_KERAS_TUNERS: Final = ("num_initial_points", "alpha", "beta", "factor")


def name_of_object(what: str, given: Any, epochs: int) -> str:
    """Returns the name of an engine or a pruner, with its settings.

    Args:
        what: ``"engine"`` or ``"pruner"``.
        given: An object or a class of Optuna or Keras Tuner.
        epochs: The study's.

    Raises:
        EngineError: If its kind is unknown, or its settings can't be read from it.
    """
    kind = given if inspect.isclass(given) else type(given)
    library = kind.__module__.partition(".")[0]
    name = kind.__name__
    if library == "optuna" and name in (_OPTUNA if what == "engine" else _PRUNERS):
        return _optunas(what, given, kind)
    if library == "keras_tuner" and what == "engine":
        found = _KERAS_TUNER.get(name.removesuffix("Oracle"))
        if found is not None:
            return _keras_tuners(found, given, epochs)
    known = [*_OPTUNA, *(f"{n}Oracle" for n in _KERAS_TUNER)] if what == "engine" else _PRUNERS
    raise EngineError(
        f"As an object, {what} may be one of {', '.join(known)}. Received: {given!r:.200}. By name "
        "there are more: see kerastudy launch --help."
    )


def _optunas(what: str, given: Any, kind: Any) -> str:
    from studies.libraries.optuna_parts import settings_of

    name = (_OPTUNA if what == "engine" else _PRUNERS)[kind.__name__]
    if name == "patient":
        return _patient(given)
    given = kind() if inspect.isclass(given) and name in _ALWAYS else given
    settings = {} if inspect.isclass(given) else settings_of(given, _ALWAYS.get(name, ()))
    if settings is None:
        raise EngineError(
            f"The settings of this {kind.__name__} can't all be read from it: they must be numbers "
            f"or words. Give {what}={name!r} and {what}_options={{…}}."
        )
    return with_options(name, {n: checked_option(n, v) for n, v in settings.items()})


def _patient(given: Any) -> str:
    """Returns the name of a patient pruner, with its settings and its median pruner's."""
    from studies.libraries.optuna_parts import attribute

    median = None if inspect.isclass(given) else attribute(given, "wrapped_pruner")
    if type(median).__name__ != "MedianPruner":
        raise EngineError(
            "A PatientPruner is taken with a MedianPruner in it, as in PatientPruner(MedianPruner("
            f"), patience=3). Received: {given!r:.200} with {median!r:.200}."
        )
    own = {name: attribute(given, name) for name in ("patience", "min_delta")}
    inner = split_options(_optunas("pruner", median, type(median)))[1]
    return with_options("patient", {**inner, **own})


def _keras_tuners(name: str, given: Any, epochs: int) -> str:
    if inspect.isclass(given):
        return name
    oracle = getattr(given, "oracle", given)
    usual = inspect.signature(type(oracle)).parameters
    settings = {
        setting: getattr(oracle, setting)
        for setting in _OF_KERAS_TUNERS
        if setting in usual and getattr(oracle, setting) != usual[setting].default
    }
    longest = getattr(oracle, "max_epochs", epochs)
    if longest != epochs:
        raise EngineError(
            f"The Hyperband oracle trains up to max_epochs={longest}, and the study up to "
            f"epochs={epochs}: give the study epochs={longest}."
        )
    return with_options(name, settings)
