"""Checks names of engines and pruners, and turns Optuna's and Keras Tuner's objects into names.

The name of an engine includes its settings: ``optuna:tpe,n_startup_trials=20``. With other
settings, an engine counts as another engine, and a study can't change its engine. An object such
as ``optuna.samplers.TPESampler()`` is replaced by its name, and each launch makes a new engine
from the name. This module imports neither Optuna nor Keras Tuner.
"""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from search_spaces import argument_checks as checks
from search_spaces.errors import EngineError
from search_spaces.texts import listed, near_match, suggestion

HYPERBAND: Final = "keras-tuner:hyperband"
FACTOR: Final = 3
"""Hyperband's reduction factor. The value is Keras Tuner's default
(https://keras.io/keras_tuner/api/tuners/hyperband/)."""

ENGINES: Final = (
    *("optuna:tpe", "optuna:random", "optuna:quasi-random", "optuna:cma-es", "optuna:grid"),
    *("optuna:gp", "keras-tuner:random", "keras-tuner:bayesian", HYPERBAND),
)
PRUNERS: Final = (
    *("none", "median", "percentile", "successive-halving", "hyperband", "threshold"),
)
# Other spellings of engines. The name of a library means an engine that accepts any search space,
# and learns from past trials. A grid is the same in both libraries: all combinations of values.
_SPELLINGS: Final = {
    "optuna": "optuna:tpe",
    "keras-tuner": "keras-tuner:bayesian",
    "keras-tuner:grid": "optuna:grid",
}


def check_engine(engine: object) -> str:
    """Returns an engine's full name; ``"tpe"`` is short for ``"optuna:tpe"``.

    A name that both libraries have, such as ``"random"``, means Optuna's engine. Settings may
    follow the name: ``"optuna:tpe,n_startup_trials=20"``.
    """
    if isinstance(engine, str):
        name, options = split_options(engine)
        name = name.lower().replace("_", "-")
        for spelling in (name, f"optuna:{name}", f"keras-tuner:{name}"):
            full = _SPELLINGS.get(spelling, spelling)
            if full in ENGINES:
                return with_options(full, options)
    short = dict.fromkeys(name.partition(":")[2] for name in ENGINES)
    hint = near_match(engine, [*ENGINES, *short]) or suggestion(engine, ENGINES)
    raise EngineError.of_setting("engine", "the name of an engine", engine, hint)


def check_pruner(pruner: object) -> str:
    """Returns a pruner's full name. Settings may follow it: ``"median,n_warmup_steps=3"``."""
    if isinstance(pruner, str):
        name, options = split_options(pruner)
        name = name.lower().replace("_", "-")
        if name in PRUNERS:
            return with_options(name, options)
    hint = suggestion(pruner, PRUNERS)
    raise EngineError.of_setting("pruner", "the name of a pruner", pruner, hint)


def hyperband_trials(epochs: int, factor: int = FACTOR) -> int:
    """Returns the number of trials in all of Hyperband's brackets.

    A trial that continues the training of an earlier trial is counted as another trial. The
    brackets are as large as in Keras Tuner's ``HyperbandOracle``, after Li et al., "Hyperband: A
    Novel Bandit-Based Approach to Hyperparameter Optimization"
    (https://jmlr.org/papers/v18/16-558.html).

    Args:
        epochs: The largest number of epochs of a trial, at least 1.
        factor: The number by which the count of trials is divided from one rung to the next, at
            least 2.
    """
    brackets, rung_epochs = 0, float(epochs)
    while rung_epochs >= 1:
        rung_epochs /= factor
        brackets += 1
    last_rung = math.ceil(1 + math.log(epochs, factor))
    return sum(
        math.ceil(last_rung / (bracket + 1) * factor ** (bracket - rung))
        for bracket in range(brackets)
        for rung in range(bracket + 1)
    )


_WORDS: Final = {"True": True, "False": False, "None": None}
# The name of an engine with its settings is split at commas and "=". So the values of settings may
# contain only letters, digits and a few signs.
_PLAIN: Final = re.compile(r"[\w.+-]*")
_TYPES: Final = {"int": int, "float": (int, float), "bool": bool, "str": str, "None": type(None)}
# The smallest allowed value of each setting. It is checked here, because Optuna and Keras Tuner
# check the value only in the first trials, or never.
_LEAST: Final = {
    **dict.fromkeys(("seed", "n_startup_trials", "prior_weight", "alpha"), 0),
    **dict.fromkeys(("n_ei_candidates", "min_resource", "max_resource", "num_initial_points"), 1),
    **dict.fromkeys(("popsize", "reduction_factor", "factor"), 2),
}


def split_options(text: str) -> tuple[str, dict[str, Any]]:
    """Splits the name of an engine or a pruner into the name alone and its settings."""
    name, *options = text.split(",")
    return name.strip(), dict(_parsed(option) for option in options)


def with_options(name: str, options: Mapping[str, Any]) -> str:
    """Returns the name of an engine or a pruner with its settings in alphabetical order."""
    texts = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in sorted(options.items())
    }
    return ",".join([name, *(f"{key}={value}" for key, value in texts.items())])


def _parsed(text: str) -> tuple[str, Any]:
    """Splits "NAME=VALUE" into name and value. A value that is not JSON is taken as a word."""
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not name or not value:
        raise EngineError(
            "A setting of an engine or a pruner is NAME=VALUE, such as n_startup_trials=20",
            received=text,
        )
    if value in _WORDS:
        return name, _WORDS[value]
    try:
        parsed = json.loads(value)
    except ValueError:
        parsed = value
    return name, _plain(name, parsed)


def _plain(name: str, value: Any) -> Any:
    """Returns the value. Raises EngineError if the value can't be part of an engine's name."""
    setting = f"The setting {name!r} of an engine or a pruner"
    if isinstance(value, float) and not math.isfinite(value):
        raise EngineError.of_setting(setting, "finite", value)
    is_word = isinstance(value, str) and _PLAIN.fullmatch(value)
    if not is_word and not (value is None or isinstance(value, (bool, int, float))):
        raise EngineError.of_setting(setting, "a number, true, false, null or a word", value)
    return value


def check_options(who: str, types: Mapping[str, str], options: Mapping[str, Any]) -> None:
    """Checks the settings of an engine or a pruner.

    `types` maps each setting's name to its types, such as "int | None".
    """
    for name, value in options.items():
        if name not in types:
            hint = suggestion(name, sorted(types)) if types else "It has no settings."
            raise EngineError(f"{who} has no setting {name!r}", hint=hint)
        words = [word for word in _TYPES if re.search(rf"\b{word}\b", types[name])]
        fits = any(
            isinstance(value, _TYPES[word])  # type: ignore[arg-type]
            and (word == "bool" or not isinstance(value, bool))
            for word in words
        )
        setting = f"The setting {name!r} of {who}"
        if not fits:
            raise EngineError.of_setting(setting, f"of type {' or '.join(words)}", value)
        least = _LEAST.get(name)
        if least is not None and isinstance(value, (int, float)):
            checks.finite_number(setting, value, EngineError, least=least)


_SAMPLERS: Final = {
    "TPESampler": "optuna:tpe",
    "RandomSampler": "optuna:random",
    "CmaEsSampler": "optuna:cma-es",
    "GPSampler": "optuna:gp",
    "QMCSampler": "optuna:quasi-random",
    "GridSampler": "optuna:grid",
    "BruteForceSampler": "optuna:grid",
}
_PRUNER_CLASSES: Final = {
    "MedianPruner": "median",
    "PercentilePruner": "percentile",
    "SuccessiveHalvingPruner": "successive-halving",
    "HyperbandPruner": "hyperband",
    "ThresholdPruner": "threshold",
    "NopPruner": "none",
}
# The name of a pruner object always includes these settings, even if they have the defaults of
# Optuna's class. Without them, the name would mean kerastudy's defaults, which differ.
_ALWAYS: Final = {"successive-halving": ("min_resource", "reduction_factor")}
_ORACLES: Final = {
    "RandomSearch": "keras-tuner:random",
    "BayesianOptimization": "keras-tuner:bayesian",
    "Hyperband": HYPERBAND,
    "GridSearch": "optuna:grid",
}
_ORACLE_SETTINGS: Final = ("num_initial_points", "alpha", "beta", "factor")


def name_of_object(setting: str, value: Any, epochs: int) -> str:
    """Returns the name of an engine or a pruner, given an object or a class of a library.

    The name includes the settings of the object.

    Args:
        setting: ``"engine"`` or ``"pruner"``.
        value: The object or class, such as ``optuna.samplers.TPESampler(multivariate=True)``.
        epochs: The epochs of the study. A Hyperband oracle must have the same `max_epochs`.

    Raises:
        EngineError: If there is no name for such an object, or if one of its settings is neither a
            number nor a word.
    """
    kind = value if inspect.isclass(value) else type(value)
    library = kind.__module__.partition(".")[0]
    classes = _SAMPLERS if setting == "engine" else _PRUNER_CLASSES
    oracles = _ORACLES if setting == "engine" else {}
    if library == "optuna" and kind.__name__ in classes:
        return _name_of_optunas(setting, classes[kind.__name__], value)
    oracle = kind.__name__.removesuffix("Oracle")
    if library == "keras_tuner" and oracle in oracles:
        return _name_of_oracle(oracles[oracle], value, epochs)
    names = [*classes, *(f"{name}Oracle" for name in oracles)]
    hint = f"More {setting}s can be chosen by name: see kerastudy launch --help."
    raise EngineError.of_setting(setting, f"a name, or one of {listed(names, 'or')}", value, hint)


def _name_of_optunas(setting: str, name: str, value: Any) -> str:
    from studies.library_internals import settings_of

    # Grids and quasi-random values have no settings here: their seed is the study's, and
    # `ranges_of_grid` reads the values of a grid.
    seedless = name in ("optuna:grid", "optuna:quasi-random")
    if seedless or (inspect.isclass(value) and name not in _ALWAYS):
        return name
    value = value() if inspect.isclass(value) else value
    settings = settings_of(value, _ALWAYS.get(name, ()))
    if settings is None:
        raise EngineError(
            f"Some settings of this {type(value).__name__} are neither numbers nor words, so they "
            f"can't be part of its name",
            hint=f"Give them after its name: {setting}={name + ',SETTING=VALUE'!r}.",
        )
    return with_options(name, {key: _plain(key, item) for key, item in settings.items()})


def _name_of_oracle(name: str, value: Any, epochs: int) -> str:
    if inspect.isclass(value):
        return name
    oracle = getattr(value, "oracle", value)
    parameters = inspect.signature(type(oracle)).parameters
    settings = {
        setting: getattr(oracle, setting)
        for setting in _ORACLE_SETTINGS
        if setting in parameters and getattr(oracle, setting) != parameters[setting].default
    }
    longest = getattr(oracle, "max_epochs", epochs)
    if longest != epochs:
        raise EngineError(
            f"The Hyperband oracle trains up to max_epochs={longest}, and the study up to "
            f"epochs={epochs}",
            hint=f"Give the study epochs={longest}.",
        )
    return with_options(name, settings)
