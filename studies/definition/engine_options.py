"""Settings of an engine or a pruner, as a part of its name: ``optuna:tpe,n_startup_trials=20``.

So another setting makes another engine, with its own trials in the record, to compare with the
others.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

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
    """Returns the name of an engine or a pruner, and its settings.

    Raises:
        EngineError: If the text after a comma is no ``NAME=VALUE``.
    """
    name, *options = text.split(",")
    return name.strip(), dict(parse_option(option) for option in options)


def with_options(name: str, options: Mapping[str, Any]) -> str:
    """Returns the name of an engine or a pruner with settings, in its one spelling."""
    return ",".join([name, *(f"{key}={_spelled(options[key])}" for key in sorted(options))])


def parse_option(text: str) -> tuple[str, Any]:
    """Returns name and value of a setting; a value is read as JSON, or as a word.

    Raises:
        EngineError: If it is no ``NAME=VALUE``.
    """
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

    Args:
        who: The engine or pruner.
        known: Its settings, each with the names of its types, such as "int | None".
        options: The settings to check.

    Raises:
        EngineError: If there is no such setting, or it is of another type.
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
