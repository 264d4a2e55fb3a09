"""Turns declarations of Keras Tuner and Optuna into parameters.

The functions take the arguments of methods such as `hp.Float` and `trial.suggest_int`. They raise
SearchSpaceError for a declaration that can't be searched. They change some declarations:

- `high` becomes the last value that the step reaches, in decimal arithmetic. So
  `hp.Float("x", 0, 0.5, step=0.1)` has the value 0.5, which Keras Tuner misses (issue 1001 of Keras
  Tuner).
- A range with only one value becomes a `Fixed`.
- A value that a choice lists twice counts once. Values keep their types: 1 and True differ.
- A range of Keras Tuner with a step on a reverse_log scale becomes a `Choice`.
- A default between two values of the domain becomes the nearest value.
- numpy's scalars become Python's.

A builder may declare "learning_rate" with one range for Adam and another for SGD, under conditions.
These declarations become two parameters. Their names in the space and in every record are:

    learning_rate when optimizer is adam
    learning_rate when optimizer is sgd

The builder reads both as "learning_rate". If no condition separates the declarations, they become
one parameter with the values of all declarations.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from search_spaces.argument_checks import is_whole
from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.choices import Boolean, Choice, Fixed, Listed
from search_spaces.parameters.parameter_and_values import (
    NOT_GIVEN,
    MaybeScalar,
    Parameter,
    Scalar,
    canonical_json,
    identity,
    is_number,
    without_numpy,
)
from search_spaces.parameters.ranges import (
    MOST_VALUES,
    Float,
    Int,
    Ranged,
    decimal_of,
    leads_to,
    steps_between,
    value_at,
)

Range = type[Float] | type[Int]


def keras_tuner_range(
    kind: Range,
    name: str,
    min_value: Any,
    max_value: Any,
    step: Any = None,
    sampling: str | None = None,
    default: Any = None,
) -> Parameter:
    """Returns the parameter that `hp.Int` or `hp.Float` declares.

    If no default is given, the default is `min_value`.
    """
    plain = _whole if kind is Int else without_numpy
    low, high = plain(min_value), plain(max_value)
    # Keras Tuner accepts upper case, and None for "linear".
    scale = sampling.lower() if isinstance(sampling, str) else sampling or "linear"
    parameter = _range(kind, name, low, high, plain(step), scale)
    return _with_default(parameter, low, high, plain(default))


def keras_tuner_choice(name: str, values: Any, default: Any = None) -> Choice:
    """Returns the parameter that `hp.Choice` declares.

    If no default is given, the default is None if None is a value, else the first value. Keras
    Tuner's documentation says the same.
    """
    choice = categorical(name, values)
    if default is None:
        return choice.with_default(None) if choice.contains(None) else choice
    equal = equal_value(choice, default)
    return choice.with_default(without_numpy(default) if equal is NOT_GIVEN else equal)


def keras_tuner_boolean(name: str, default: Any = False) -> Boolean:
    """Returns the parameter that `hp.Boolean` declares."""
    value = without_numpy(default)
    return Boolean(name, default=bool(value) if value in (0, 1) else value)


def optuna_range(
    kind: Range, name: str, low: Any, high: Any, step: Any = None, log: bool = False
) -> Parameter:
    """Returns the parameter that `trial.suggest_float` or `trial.suggest_int` declares."""
    if log and step not in (None, kind.usual_step):
        raise SearchSpaceError(f"{name!r}: Optuna takes either step or log: leave one of them out.")
    plain = _whole if kind is Int else without_numpy
    scale = "log" if log else "linear"
    return _range(kind, name, plain(low), plain(high), plain(step), scale)


def categorical(name: str, values: Any) -> Choice:
    """Returns the parameter that `trial.suggest_categorical` declares.

    The parameter's default is the first value.
    """
    return Choice(name, _distinct(values))


def same_domain(one: Parameter, other: Parameter) -> bool:
    """Returns whether two parameters have the same values on the same scale."""
    return one.kind == other.kind and canonical_json(one.domain()) == canonical_json(other.domain())


def equal_value(parameter: Parameter, value: object) -> MaybeScalar:
    """Returns the value in a parameter's domain that equals `value`, e.g. `1` for `1.0` in an Int.

    Returns NOT_GIVEN if no value in the domain equals `value`.
    """
    value = without_numpy(value)
    if parameter.contains(value):
        spelled: MaybeScalar = parameter.canonical(value)
        return spelled
    if isinstance(parameter, Listed):
        return next((each for each in parameter.values if each == value), NOT_GIVEN)
    whole = _whole(value)
    return whole if is_number(whole) and parameter.contains(whole) else NOT_GIVEN


def _whole(value: Any) -> Any:
    """Returns `32` for `32.0`, as both libraries do for an int. Other values stay as they are."""
    number = without_numpy(value)
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _distinct(values: Any) -> Any:
    if isinstance(values, str | bytes | dict | set | frozenset) or not isinstance(values, Iterable):
        return values  # `Choice` raises the error.
    distinct: dict[tuple[str, object], Any] = {}
    for value in map(without_numpy, values):
        distinct.setdefault(identity(value), value)
    return list(distinct.values())


def _range(kind: Range, name: str, low: Any, high: Any, step: Any, scale: Any) -> Parameter:
    """Returns an Int or a Float that ends at the last value that the step reaches."""
    proper: Any = is_whole if kind is Int else is_number
    if proper(low) and proper(high) and low == high:
        return Fixed(name, low if kind is Int else float(low))
    # This line raises the errors of all arguments except the step.
    whole = kind(name, low, high, scale=scale)
    if step in (None, whole.usual_step):
        return whole
    ratio = scale != "linear"
    if not proper(step) or not (1 if ratio else 0) < step < math.inf:
        return kind(name, low, high, scale="log" if ratio else scale, step=step)
    low, high, step = whole.low, whole.high, step if kind is Int else float(step)
    exact, top = steps_between(low, high, step, ratio), high
    # `Float` raises the error for a step that makes too many values.
    too_many = kind is Float and exact > MOST_VALUES
    if not too_many and not leads_to(low, high, step, ratio):
        top = value_at(low, step, math.floor(exact), ratio) if exact >= 1 else low
    if top == low:
        return Fixed(name, high if scale == "reverse_log" else low)
    shorter: Any = kind(name, low, top, scale="log" if ratio else "linear", step=step)
    if scale != "reverse_log":
        return shorter  # type: ignore[no-any-return]
    number, ends = type(low), decimal_of(low) + decimal_of(high)
    return Choice(name, sorted(number(ends - decimal_of(v)) for v in shorter.grid_values()))


def _with_default(parameter: Parameter, low: Any, high: Any, default: Any) -> Parameter:
    """Returns the parameter with a default. None stands for `low`, as in Keras Tuner."""
    wish = low if default is None else default
    if isinstance(parameter, Fixed) and default in (None, parameter.value):
        return parameter
    if not is_number(wish) or not low <= wish <= high:
        raise parameter.wrong("default", f"a number from {low!r} to {high!r}", default)
    if isinstance(parameter, Int | Float):
        return parameter.with_default(parameter.nearest(wish))
    if isinstance(parameter, Fixed):
        return parameter
    values: Any = parameter.grid_values()
    return parameter.with_default(min(values, key=lambda value: abs(value - wish)))


_WHEN: Final = " when "
_LONGEST_NAME: Final = 120
"""Longer names are cut. MLflow allows 250 characters."""
_MOST_LISTED: Final = 4
"""A name such as "rate when optimizer is sgd or adam" lists at most this many values."""


def read_as(name: str) -> str:
    """Returns the name by which a builder reads a parameter: the name without " when …"."""
    return name.partition(_WHEN)[0]


def variant_name(name: str, condition: Mapping[str, Sequence[Scalar]], taken: set[str]) -> str:
    """Returns a name such as "learning_rate when optimizer is sgd" that is not in `taken`."""
    words = " and ".join(f"{read_as(p)} is {_in_words(v)}" for p, v in condition.items())
    base = f"{name}{_WHEN}{words}".replace("=", ":")
    if len(base) > _LONGEST_NAME:
        base = base[: _LONGEST_NAME - 1].rstrip() + "…"
    unique, count = base, 1
    while unique in taken:
        count += 1
        unique = f"{base} ({count})"
    return unique


def with_all_values(declared: Sequence[Parameter]) -> Parameter | None:
    """Returns one parameter with the values of all declarations.

    The parameter has the name and default of the first declaration, and the scale of the first
    range. It has a step only if all ranges have the same step, and the ends of all declarations are
    on one grid. Returns None if the declarations are of different kinds, such as Int and Float.
    """
    first = declared[0]
    if all(isinstance(each, Listed) for each in declared):
        values = [each.opened(value) for each in declared for value in each.grid_values() or ()]
        return Choice(first.name, _distinct(values), default=first.opened(first.default))
    ranges: list[Any] = [each for each in declared if isinstance(each, Ranged)]
    model = ranges[0]
    kind, scalar = type(model), int if isinstance(model, Int) else float
    # A declared range with only one value became a Fixed, so a Fixed counts as a range here.
    if not all(type(p) in (kind, Fixed) and type(p.default) is scalar for p in declared):
        return None
    ends: list[Any] = [
        end
        for each in declared
        for end in ((each.low, each.high) if isinstance(each, Ranged) else (each.default,))
    ]
    low, high = min(ends), max(ends)
    options = {"default": first.default, "scale": model.scale if low > 0 else "linear"}
    with contextlib.suppress(SearchSpaceError):
        wide: Ranged = kind(model.name, low, high, step=model.step, **options)
        if all(map(wide.contains, ends)) and {each.step for each in ranges} == {model.step}:
            return wide
    return kind(model.name, low, high, **options)  # type: ignore[no-any-return]


def _in_words(values: Sequence[Scalar]) -> str:
    if len(values) > _MOST_LISTED:
        return f"{values[0]} or {len(values) - 1} others"
    return " or ".join(str(value) for value in values)
