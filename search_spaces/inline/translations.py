"""From a declaration in Keras Tuner's or Optuna's words to one of our parameters.

The functions take what the libraries' own methods take, and raise SearchSpaceError for what can't
be searched. Where the libraries and our parameters differ:

- A high that the step does not reach is lowered to the last value that it reaches, in decimal
  arithmetic: `Float("x", 0, 0.5, step=0.1)` has 0.5 (keras-tuner issue 1001).
- A range of one value becomes a `Fixed`.
- Values of a choice keep their types, in any mixture; a value listed twice counts once.
- Keras Tuner's steps on a reverse_log scale become a `Choice` of the values they lead to.
- A default of Keras Tuner's that lies between two values of the domain becomes the nearest one:
  Keras Tuner takes it unchanged, but never proposes it again. One outside the range is refused.
- numpy's scalars become Python's.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from typing import Any

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.choice_parameter import Boolean, Choice, Fixed
from search_spaces.parameters.parameter import Parameter
from search_spaces.parameters.ranged import (
    FIT_TOLERANCE,
    MOST_VALUES,
    Float,
    Grid,
    Int,
    decimal_of,
    steps_between,
    value_at,
)
from search_spaces.parameters.scalars import (
    NOT_GIVEN,
    MaybeScalar,
    canonical_json,
    identity,
    is_integer,
    is_number,
)


def keras_tuner_int(
    name: str,
    min_value: Any,
    max_value: Any,
    step: Any = None,
    sampling: str | None = None,
    default: Any = None,
) -> Parameter:
    """Returns what `HyperParameters.Int` declares; its default is `min_value` if not given."""
    scale = _scale(sampling)
    low, high = _whole(min_value), _whole(max_value)
    declared = _range(Int, name, low, high, _whole(step), scale)
    return _with_default(declared, low, high, _whole(default))


def keras_tuner_float(
    name: str,
    min_value: Any,
    max_value: Any,
    step: Any = None,
    sampling: str | None = None,
    default: Any = None,
) -> Parameter:
    """Returns what `HyperParameters.Float` declares; its default is `min_value` if not given."""
    scale = _scale(sampling)
    low, high = plain(min_value), plain(max_value)
    declared = _range(Float, name, low, high, plain(step), scale)
    return _with_default(declared, low, high, plain(default))


def keras_tuner_choice(name: str, values: Any, default: Any = None) -> Choice:
    """Returns what `HyperParameters.Choice` declares.

    Its default, unless one is given, is None if that is among the values and the first of them
    otherwise, as Keras Tuner documents it.
    """
    choice = Choice(name, _distinct(values))
    if default is None:
        return choice.with_default(None) if choice.contains(None) else choice
    meant = value_meant(choice, default)
    return choice.with_default(plain(default) if meant is NOT_GIVEN else meant)


def keras_tuner_boolean(name: str, default: Any = False) -> Boolean:
    """Returns what `HyperParameters.Boolean` declares."""
    given = plain(default)
    return Boolean(name, default=bool(given) if given in (0, 1) else given)


def keras_tuner_fixed(name: str, value: Any) -> Fixed:
    """Returns what `HyperParameters.Fixed` declares."""
    return Fixed(name, plain(value))


def optuna_float(name: str, low: Any, high: Any, step: Any = None, log: bool = False) -> Parameter:
    """Returns what `Trial.suggest_float` declares, with the default of our parameter."""
    if log and step is not None:
        raise _both_step_and_log("Float", name, step)
    scale = "log" if log else "linear"
    return _range(Float, name, plain(low), plain(high), plain(step), scale)


def optuna_int(name: str, low: Any, high: Any, step: Any = 1, log: bool = False) -> Parameter:
    """Returns what `Trial.suggest_int` declares, with the default of our parameter."""
    if log and step != 1:
        raise _both_step_and_log("Int", name, step)
    scale = "log" if log else "linear"
    return _range(Int, name, _whole(low), _whole(high), _whole(step), scale)


def optuna_categorical(name: str, choices: Any) -> Choice:
    """Returns what `Trial.suggest_categorical` declares; its default is the first choice."""
    return Choice(name, _distinct(choices))


def same_domain(one: Parameter, other: Parameter) -> bool:
    """Returns whether two parameters have the same values on the same scale."""
    return one.kind == other.kind and canonical_json(one.domain()) == canonical_json(other.domain())


def value_meant(parameter: Parameter, given: object) -> MaybeScalar:
    """Returns the value of a domain that equals what was written; NOT_GIVEN if none does.

    For example `1` of an Int for `1.0`.
    """
    value = plain(given)
    if parameter.contains(value):
        spelled: MaybeScalar = parameter.canonical(value)
        return spelled
    if isinstance(parameter, Choice | Boolean | Fixed):
        return next((each for each in parameter.values if each == value), NOT_GIVEN)
    whole = _whole(value)
    return whole if is_number(whole) and parameter.contains(whole) else NOT_GIVEN


def plain(value: Any) -> Any:
    """Returns a numpy scalar as Python's own; anything else unchanged."""
    # If there is such a scalar, numpy is loaded; this package need not import it.
    numpy = sys.modules.get("numpy")
    if numpy is not None and (
        isinstance(value, numpy.generic) or (isinstance(value, numpy.ndarray) and value.ndim == 0)
    ):
        return value.item()
    return value


def _whole(value: Any) -> Any:
    """`32.0` as `32`, which Keras Tuner and Optuna take for an int; anything else unchanged."""
    number = plain(value)
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _scale(sampling: str | None) -> Any:
    # Keras Tuner takes None for "linear", and any case. What is no scale, the parameter refuses.
    if sampling is None:
        return "linear"
    return sampling.lower() if isinstance(sampling, str) else sampling


def _distinct(values: Any) -> Any:
    if isinstance(values, str | bytes | dict | set | frozenset) or not isinstance(values, Iterable):
        return values  # Choice says what is wrong with these.
    distinct: dict[tuple[str, object], Any] = {}
    for value in map(plain, values):
        distinct.setdefault(identity(value), value)
    return list(distinct.values())


def _range(
    kind: type[Float] | type[Int], name: str, low: Any, high: Any, step: Any, scale: Any
) -> Parameter:
    """Returns a range whose high is the last value that the step reaches."""
    proper = is_integer if kind is Int else is_number
    if proper(low) and proper(high) and low == high:
        return Fixed(name, low if kind is Int else float(low))
    # Refuses all that is wrong but a step that does not fit.
    whole = kind(name, low, high, scale=scale)
    if step in (None, whole.usual_step):
        return whole
    ratio = scale != "linear"
    if not proper(step) or not (1 if ratio else 0) < step < math.inf:
        return kind(name, low, high, scale="log" if ratio else scale, step=step)
    low, high, step = whole.low, whole.high, step if kind is Int else float(step)
    exact = steps_between(low, high, step, ratio)
    steps, top = round(exact), high
    fits = abs(exact - steps) <= FIT_TOLERANCE
    if kind is Int:
        fits = value_at(low, step, steps, ratio) == high
    # Beyond so many values a Float itself refuses the step.
    elif exact > MOST_VALUES:
        fits = True
    if not fits:
        steps = math.floor(exact)
        top = value_at(low, step, steps, ratio) if steps else low
    if scale == "reverse_log":
        reached = Grid(low, top, step, ratio, steps + 1).values()
        if kind is Int:
            return Choice(name, sorted(low + high - value for value in reached))
        ends = decimal_of(low) + decimal_of(high)
        return Choice(name, sorted(float(ends - decimal_of(value)) for value in reached))
    return Fixed(name, low) if top == low else kind(name, low, top, scale=scale, step=step)


def _with_default(declared: Parameter, low: Any, high: Any, default: Any) -> Parameter:
    """Returns the parameter with Keras Tuner's default: `low`, unless one is given."""
    wanted = low if default is None else default
    if isinstance(declared, Fixed) and default in (None, declared.value):
        return declared
    if not is_number(wanted) or not low <= wanted <= high:
        raise SearchSpaceError(
            f"{declared.subject}: default must be a number from {low!r} to {high!r}, received "
            f"{default!r}: give one in the range, or none."
        )
    if isinstance(declared, Int | Float):
        return declared.with_default(declared.nearest(wanted))
    values: Any = declared.grid_values()
    if isinstance(declared, Fixed):
        return declared
    return declared.with_default(min(values, key=lambda value: abs(value - wanted)))


def _both_step_and_log(kind: str, name: str, step: object) -> SearchSpaceError:
    return SearchSpaceError(
        f"{kind} {name!r}: Optuna takes either step or log, received step={step!r} and log=True: "
        f"leave one of them out."
    )
