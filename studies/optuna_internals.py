"""All that is private of Optuna, and used here: nothing else touches an underscore of Optuna's.

Each function says what it needs, and what becomes of it where Optuna no longer has it.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import math
from collections.abc import Collection, Mapping
from typing import Any


def settings_of(given: Any, always: Collection[str] = ()) -> dict[str, Any] | None:
    """Returns the settings with which a sampler or a pruner of Optuna's was made.

    They are read from its attributes, and then an object made with them must be like it in all.
    Optuna has no public way to ask.

    Args:
        given: A sampler or a pruner.
        always: Names of arguments that are returned though they have their defaults.

    Returns:
        The arguments by name, those that have their defaults left out; for a sampler with a seed
        one that follows from it. None if they can't be read, or are more than numbers and words.
    """
    kind = type(given)
    parameters = inspect.signature(kind).parameters
    usual: Any = None
    # One that has arguments without default, or that makes no sense without any, is compared
    # with nothing: all that it holds counts.
    with contextlib.suppress(Exception):
        usual = kind()
    settings: dict[str, Any] = {}
    for name, parameter in parameters.items():
        value = attribute(given, name)
        if value is None and name in always:
            value = parameter.default
        alike = value in (None, math.inf, -math.inf, parameter.default)
        if usual is not None:
            alike = _contents(value) == _contents(attribute(usual, name))
        if name != "seed" and (name in always or not alike):
            settings[name] = value
    try:
        same = _contents(kind(**settings)) == _contents(given)
    except Exception:
        return None
    if not same or not all(isinstance(v, (bool, int, float, str)) for v in settings.values()):
        return None
    seed = _seed_of(given)
    return settings if seed is None else {**settings, "seed": seed}


def attribute(given: Any, name: str) -> Any:
    """Returns what a sampler or a pruner holds of an argument that it was made with, or None."""
    for holder in (given, getattr(given, "_parzen_estimator_parameters", None)):
        for attribute in (f"_{name}", name):
            if hasattr(holder, attribute):
                return getattr(holder, attribute)
    return None


def _seed_of(given: Any) -> int | None:
    """Returns a seed that follows from that of a sampler, or None if it has none."""
    for attribute in ("_rng", "_cma_rng"):
        state = getattr(getattr(given, attribute, None), "_rng", None)
        if state is not None:
            return int(copy.deepcopy(state).randint(2**31 - 1))
    return None


def _contents(given: Any) -> Any:
    """Returns all that an object holds, but for its random states, such as can be compared."""
    if given is None or isinstance(given, (bool, int, float, str)):
        return type(given).__name__, given
    if isinstance(given, (list, tuple)):
        return [_contents(each) for each in given]
    if isinstance(given, Mapping):
        return {name: _contents(each) for name, each in given.items()}
    if inspect.isroutine(given) or inspect.isclass(given):
        return given.__module__, given.__qualname__
    kind = type(given)
    if "RandomState" in kind.__name__:
        return kind.__name__
    held = {**getattr(given, "__dict__", {})}
    return kind.__module__, kind.__qualname__, {n: _contents(v) for n, v in held.items()}
