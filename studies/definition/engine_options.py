"""Settings of an engine or a pruner, as a part of its name: ``optuna:tpe,n_startup_trials=20``.

So another setting makes another engine, with its own trials in the record, to compare with the
others. An object of Optuna or Keras Tuner becomes such a name too: each trial and each launch makes
a new engine, so only the object's kind and settings count. One of another kind, or with settings
other than numbers and words, is refused.
"""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from search_spaces.errors import EngineError, suggestion

_WORDS = {"True": True, "False": False, "None": None}
# They are part of a folder's name.
_PLAIN = re.compile(r"[\w.+-]*")
_TYPES = {"int": int, "float": (int, float), "bool": bool, "str": str, "None": type(None)}


# Bounds that Optuna and scikit-learn check only during a study, or never.
_LEAST = {
    "seed": 0,
    "n_startup_trials": 0,
    "n_ei_candidates": 1,
    "prior_weight": 0,
    "popsize": 2,
    "alpha": 0,
    "min_resource": 1,
    "max_resource": 1,
    "reduction_factor": 2,
}


def split_options(text: str) -> tuple[str, dict[str, Any]]:
    """Returns the name of an engine or a pruner, and its settings."""
    name, *options = text.split(",")
    return name.strip(), dict(parse_option(option) for option in options)


def with_options(name: str, options: Mapping[str, Any]) -> str:
    """Returns the name of an engine or a pruner with settings, in its one spelling."""
    return ",".join([name, *(f"{key}={_spelled(options[key])}" for key in sorted(options))])


def parse_option(text: str) -> tuple[str, Any]:
    """Returns name and value of a setting; a value is read as JSON, or as a word."""
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not name or not value:
        raise EngineError(
            f"A setting of an engine or a pruner is NAME=VALUE, such as n_startup_trials=20. "
            f"Received: {text!r}."
        )
    if value in _WORDS:
        return name, _WORDS[value]
    try:
        read = json.loads(value)
    except ValueError:
        read = value
    return name, checked_option(name, read)


def checked_option(name: str, value: Any) -> Any:
    """Returns a setting's value if a name can hold it. Raises EngineError if not."""
    plain = value is None or isinstance(value, (bool, int, float))
    if isinstance(value, float) and not math.isfinite(value):
        raise EngineError(
            f"The setting {name!r} of an engine or a pruner must be finite. Received: {value!r}."
        )
    if not plain and not (isinstance(value, str) and _PLAIN.fullmatch(value)):
        raise EngineError(
            f"The setting {name!r} of an engine or a pruner must be a number, true, false, null or "
            f"a word. Received: {value!r:.200}"
        )
    return value


def check_options(who: str, known: Mapping[str, str], options: Mapping[str, Any]) -> None:
    """Checks the settings of an engine or a pruner.

    `known` has its settings, each with the names of its types, such as "int | None".
    """
    for name, value in options.items():
        if name not in known:
            hint = suggestion(name, sorted(known)) if known else "It has none."
            raise EngineError(f"{who} has no setting {name!r}. {hint}")
        types = [word for word in _TYPES if re.search(rf"\b{word}\b", known[name])]
        fits = any(
            isinstance(value, _TYPES[word])  # type: ignore[arg-type]
            and (word == "bool" or not isinstance(value, bool))
            for word in types
        )
        if not fits:
            raise EngineError(
                f"The setting {name!r} of {who} takes {' or '.join(types)}. Received: {value!r}."
            )
        least = _LEAST.get(name)
        if least is not None and isinstance(value, (int, float)) and value < least:
            raise EngineError(
                f"The setting {name!r} of {who} must be at least {least}. Received: {value!r}."
            )


def _spelled(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


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
    """Returns the name of an engine or a pruner, with its settings."""
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
