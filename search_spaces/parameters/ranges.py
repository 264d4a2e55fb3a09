"""Float and Int: a number from a closed range on a scale, perhaps in steps.

The scales are those of Keras Tuner (https://keras.io/keras_tuner/api/hyperparameters/):

- `linear`: for values whose differences matter, such as a number of layers.
- `log`: for values whose order of magnitude matters, such as a learning rate.
- `reverse_log`: for values whose distance from the upper end matters, such as a momentum. On this
  scale, `low + high - value` is searched on a log scale. For a momentum from 0.01 to 0.99, this is
  `1 - momentum`.
"""

from __future__ import annotations

import abc
import decimal
import functools
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, ClassVar, Final, Literal, TypeAlias, TypeVar

import attrs

from search_spaces.argument_checks import choice, finite_number, whole_number
from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.parameter_and_values import (
    NOT_GIVEN,
    Parameter,
    attrs_parameter,
    checked,
)

Scale: TypeAlias = Literal["linear", "log", "reverse_log"]

SCALES: Final[tuple[Scale, ...]] = ("linear", "log", "reverse_log")

LARGEST_INT: Final = 2**40
"""The largest bound of an Int, about 1e12. Up to this bound, the logarithms of neighbouring ints
differ in double precision."""

MOST_VALUES: Final = 1_000_000
"""The most values of a Float with a step. A Float with more values may as well be continuous."""

FIT_TOLERANCE: Final = 1e-9
"""How far from `high` the last step may end, as a share of a step. Steps such as 1/3 are not exact
floats, so they miss `high` by a rounding error."""

_DEFAULT_DIGITS: Final = 6
# Decimals are computed in this context, because a user may have changed the precision of the
# thread's own context.
_EXACT: Final = decimal.Context(prec=28)

Number = TypeVar("Number", int, float)


def unit_to_value(unit: float, low: float, high: float, scale: Scale) -> float:
    """Returns the value at a coordinate from 0 to 1."""
    # The ends of the range are exact, without rounding errors.
    if unit <= 0.0:
        return low
    if unit >= 1.0:
        return high
    if scale == "linear":
        value = low * (1.0 - unit) + high * unit
    elif scale == "log":
        value = _exponential(unit, low, high)
    else:
        value = low + high - _exponential(1.0 - unit, low, high)
    return min(max(value, low), high)


def middle_of(low: float, high: float, scale: Scale) -> float:
    """Returns the middle of a range in its scale, to the same bit on every machine.

    The middle becomes a default, on which the space's digest depends. Unlike logarithms, square
    roots have the same last bit on every machine.
    """
    if scale == "linear":
        return low * 0.5 + high * 0.5
    geometric = math.sqrt(low) * math.sqrt(high)
    return geometric if scale == "log" else low + high - geometric


def value_to_unit(value: float, low: float, high: float, scale: Scale) -> float:
    """Returns the coordinate of a value, as the inverse of `unit_to_value`."""
    if scale == "linear":
        unit = (value - low) / (high - low)
    elif scale == "log":
        unit = _logarithmic(value, low, high)
    else:
        unit = 1.0 - _logarithmic(low + high - value, low, high)
    return min(max(unit, 0.0), 1.0)


def _exponential(unit: float, low: float, high: float) -> float:
    return math.exp(math.log(low) * (1.0 - unit) + math.log(high) * unit)


def _logarithmic(value: float, low: float, high: float) -> float:
    return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))


def decimal_of(number: float) -> Decimal:
    """Returns the decimal number that Python prints for a number: exactly a tenth for `0.1`."""
    return Decimal(repr(number))


def steps_between(low: float, high: float, step: float, ratio: bool) -> float:
    """Returns the number of steps from low to high. It is a fraction if no step ends at high.

    Differences are computed in decimals: exactly five steps of 0.1 lead from 0 to 0.5.
    """
    if ratio:
        return math.log(high / low) / math.log(step)
    distance = _EXACT.subtract(decimal_of(high), decimal_of(low))
    return float(_EXACT.divide(distance, decimal_of(step)))


def leads_to(low: float, high: float, step: float, ratio: bool) -> bool:
    """Returns whether a whole number of steps leads from low to high.

    With a float as the step, the last step may miss high by `FIT_TOLERANCE` of a step.
    """
    exact = steps_between(low, high, step, ratio)
    if isinstance(step, int):
        return value_at(low, step, round(exact), ratio) == high
    return abs(exact - round(exact)) <= FIT_TOLERANCE


def value_at(low: Number, step: Number, index: int, ratio: bool) -> Number:
    """Returns the value that is `index` steps above low."""
    if isinstance(low, int):
        return low * step**index if ratio else low + step * index
    if ratio:
        exact = _EXACT.multiply(decimal_of(low), _EXACT.power(decimal_of(step), index))
        # A float keeps 15 decimal digits exactly, so further digits are dropped.
        return float(f"{exact:.15g}")
    return float(_EXACT.fma(index, decimal_of(step), decimal_of(low))) + 0.0


def _scale(scale: object, parameter: Parameter, field: object) -> Scale:
    return choice(f"{parameter.subject}: scale", scale, SCALES, SearchSpaceError)


def _number(value: object, parameter: Parameter, field: attrs.Attribute[Any]) -> float:
    number = finite_number(f"{parameter.subject}: {field.name}", value, SearchSpaceError)
    # Adding zero turns minus zero into zero, which prints differently.
    return float(number) + 0.0


def _number_or_none(value: Any, parameter: Parameter, field: attrs.Attribute[Any]) -> float | None:
    return None if value is None else _number(value, parameter, field)


def _integer(value: object, parameter: Parameter, field: attrs.Attribute[Any]) -> int:
    setting = f"{parameter.subject}: {field.name}"
    return whole_number(setting, value, SearchSpaceError, least=-LARGEST_INT, most=LARGEST_INT)


@attrs_parameter
class Ranged(Parameter):
    """The base of Float and Int: a number from a closed range."""

    usual_step: ClassVar[int | None] = None
    _accepted: ClassVar[tuple[Any, str]] = (int | float, "a number")

    low: Any = attrs.field()
    high: Any = attrs.field()
    scale: Scale = attrs.field(default="linear", kw_only=True, converter=checked(_scale))
    step: Any = attrs.field(default=None, kw_only=True)
    default: Any = attrs.field(
        default=None, kw_only=True, converter=attrs.converters.default_if_none(NOT_GIVEN)
    )

    def __attrs_post_init__(self) -> None:
        """Checks the range and the step; raises SearchSpaceError if they are wrong."""
        self._check_range()
        if self.step is not None:
            self._check_step(self.step)
        super().__attrs_post_init__()

    @functools.cached_property
    def count(self) -> int | None:
        """How many values the domain has. None if the range is continuous."""
        if self.step is None:
            return None
        return round(steps_between(self.low, self.high, self.step, self._by_ratio)) + 1

    def nearest(self, value: float) -> Any:
        """Returns the domain's value nearest to a number, which may lie outside the range."""
        clipped = min(max(value, self.low), self.high)
        return float(clipped) if self.step is None else self._value(self.nearest_index(clipped))

    def nearest_index(self, value: float) -> int:
        """Returns the index of the grid value that is the fewest steps away from a number."""
        if self._by_ratio:
            steps = math.log(value / self.low) / math.log(self.step) if value > 0 else 0.0
        else:
            steps = (value - self.low) / self.step
        return min(max(round(steps), 0), (self.count or 1) - 1)

    def _value(self, index: int) -> Any:
        # The last step may miss `high` by a rounding error within `FIT_TOLERANCE`, so the last
        # value is not computed.
        if index + 1 == self.count:
            return self.high
        return self.low if index == 0 else value_at(self.low, self.step, index, self._by_ratio)

    def to_unit(self, value: Any) -> float:
        """Returns the coordinate of a value in the sampling scale, from 0 to 1."""
        self.validate(value)
        if self._even and self.count:
            return (self.nearest_index(value) + 0.5) / self.count
        return value_to_unit(float(value), *self._edges(), self.scale)

    def from_unit(self, unit: float) -> Any:
        """Returns the value at a coordinate from 0 to 1 in the sampling scale."""
        unit = self._checked_unit(unit)
        if self._even and self.count:
            return self._value(min(int(unit * self.count), self.count - 1))
        value = unit_to_value(unit, *self._edges(), self.scale)
        return self.nearest(value if self.step is None else round(value))

    def grid_values(self) -> Sequence[Any] | None:
        """Returns all values in ascending order. None if the range is continuous."""
        if self.count is None:
            return None
        if isinstance(self.low, int) and not self._by_ratio:
            return range(self.low, self.high + 1, self.step)
        return tuple(map(self._value, range(self.count)))

    def domain(self) -> dict[str, Any]:
        """Returns the range, scale and step."""
        return {"low": self.low, "high": self.high, "scale": self.scale, "step": self.step}

    @property
    def _by_ratio(self) -> bool:
        return self.scale == "log" and self.step not in (None, self.usual_step)

    @property
    def _even(self) -> bool:
        """Whether all values have equal shares of the sampling scale."""
        return self.step is not None and (self.scale == "linear" or self._by_ratio)

    @abc.abstractmethod
    def _edges(self) -> tuple[float, float]:
        """Returns the ends of the sampling scale. For an Int, they are 0.5 beyond the range."""

    def _expected(self, value: Any) -> tuple[str, str] | None:
        accepted, in_words = self._accepted
        if not isinstance(value, accepted) or isinstance(value, bool):
            return in_words, ""
        if not self.low <= value <= self.high:
            return f"from {self.low!r} to {self.high!r}", ""
        nearest = self.nearest(value)
        if nearest == value:
            return None
        steps = "times" if self.scale == "log" else "in steps of"
        grid = f"{self.low!r} to {self.high!r} {steps} {self.step!r}"
        return f"a value of its grid ({grid})", f"The nearest is {nearest!r}."

    def _check_range(self) -> None:
        low, high = self.low, self.high
        if low == high:
            hint = f"It never varies: declare it as Fixed({self.name!r}, {low!r})."
            raise self.wrong("high", "above low", high, hint)
        if low > high:
            raise self.wrong("low", f"below high, which is {high!r}", low, "Exchange them.")
        if self.scale != "linear" and low <= 0:
            hint = (
                "Raise it, or take scale='linear'. For a penalty that may be off, take l2(), "
                "which adds a switch."
            )
            raise self.wrong("low", f"above 0 on a {self.scale} scale", low, hint)
        if not math.isfinite(high - low) or not math.isfinite(high + low):
            expected = f"so near to low, which is {low!r}, that a float can hold their difference"
            raise self.wrong("high", expected, high, "Narrow the range.")

    def _check_step(self, step: float) -> None:
        by_ratio, low, high = self._by_ratio, self.low, self.high
        expected, hint = "", "Take a larger step, or none."
        if self.scale == "reverse_log" and step != self.usual_step:
            expected = "left out on a reverse_log scale, which has neither differences nor ratios"
            hint = "To have some of the values, list them in a Choice."
        elif by_ratio and step <= 1:
            expected = "above 1 on a log scale, as the ratio of neighbours"
            hint = "For example, 2 doubles each value, and 10 goes through the powers of ten."
        elif step <= 0:
            expected = "above 0"
        elif isinstance(step, float) and steps_between(low, high, step, by_ratio) > MOST_VALUES:
            expected = f"so large that there are at most {MOST_VALUES:,} values"
        if expected:
            raise self.wrong("step", expected, step, hint)
        last = max(1, round(steps_between(low, high, step, by_ratio)))
        if not leads_to(low, high, step, by_ratio):
            hint = f"The nearest high that fits is {value_at(low, self.step, last, by_ratio)!r}."
            raise self.wrong("step", f"one that leads from {low!r} to {high!r}", step, hint)
        second = value_at(low, self.step, 1, by_ratio)
        if not (second > low and value_at(low, self.step, last - 1, by_ratio) < high):
            expected = "so large that it is not lost in the rounding of numbers as large as these"
            raise self.wrong("step", expected, step, hint)

    def _arguments(self) -> list[str]:
        arguments = [repr(self.low), repr(self.high)]
        if self.scale != "linear":
            arguments.append(f"scale={self.scale!r}")
        if self.step != self.usual_step:
            arguments.append(f"step={self.step!r}")
        return arguments


@attrs_parameter
class Float(Ranged):
    """A float from a closed range.

    Args:
        name: The parameter's name.
        low: The lower end, included. Above 0 if the scale is logarithmic.
        high: The upper end, included.
        scale: "linear"; "log", if the order of magnitude matters; or "reverse_log", if the distance
            from the upper end matters.
        step: The difference between neighbouring values. On a log scale, it is the ratio of
            neighbouring values, above 1, as in Keras Tuner
            (https://keras.io/keras_tuner/api/hyperparameters/). Steps must lead from `low` to
            `high` exactly, in decimal arithmetic: `Float("x", 0, 0.5, step=0.1)` has the six
            values 0.0, 0.1, 0.2, 0.3, 0.4, 0.5. If the step is None, the range is continuous.
        default: The value to begin with. If left out, the middle of the range in its scale, rounded
            to six digits. With a step, it is the middle value of the grid, or the upper one of two
            middle values.
        role: See `Parameter`, also for `when` and `otherwise`.

    Raises:
        SearchSpaceError: If an argument is wrong.

    Example:
        >>> ks.Float("rate", 0.0, 0.5, step=0.1).grid_values()
        (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
        >>> ks.Float("learning_rate", 1e-4, 1e-2, scale="log").default
        0.001
        >>> ks.Float("rate", 0.0, 0.5).contains(0.7)
        False
    """

    kind: ClassVar[str] = "float"

    low: float = attrs.field(converter=checked(_number))
    high: float = attrs.field(converter=checked(_number))
    step: float | None = attrs.field(default=None, kw_only=True, converter=checked(_number_or_none))

    @property
    def types(self) -> frozenset[type]:
        """The type of all values: float."""
        return frozenset({float})

    def canonical(self, value: Any) -> float:
        """Returns the value as a float."""
        self.validate(value)
        return float(value) + 0.0

    def identity(self, value: Any) -> tuple[str, object]:
        """Returns a key that is the same for `1` and `1.0`."""
        return "float", float(value)

    def _edges(self) -> tuple[float, float]:
        return self.low, self.high

    def _usual_default(self) -> float:
        if self.step is not None:
            return float(self.from_unit(0.5))
        middle = middle_of(self.low, self.high, self.scale)
        rounded = float(f"{middle:.{_DEFAULT_DIGITS}g}")
        return rounded if self.low <= rounded <= self.high else self.low


@attrs_parameter
class Int(Ranged):
    """An int from a closed range.

    Args:
        name: The parameter's name.
        low: The lower end, included. Above 0 if the scale is logarithmic.
        high: The upper end, included.
        scale: "linear"; "log", if the order of magnitude matters; or "reverse_log", if the distance
            from the upper end matters.
        step: With 1, the range has every int. A larger step is the difference between neighbouring
            values. On a log scale, it is their ratio: `Int("units", 16, 512, scale="log", step=2)`
            has the values 16, 32, 64 and so on. Steps must lead from `low` to `high` exactly.
        default: The value to begin with. If left out, the middle of the range in its scale.
        role: See `Parameter`, also for `when` and `otherwise`.

    Raises:
        SearchSpaceError: If an argument is wrong.

    Example:
        >>> ks.Int("units", 16, 128, scale="log", step=2).grid_values()
        (16, 32, 64, 128)
        >>> ks.Int("layers", 1, 3).default
        2
    """

    kind: ClassVar[str] = "int"
    usual_step: ClassVar[int | None] = 1
    # Floats such as 3.0 are refused.
    _accepted: ClassVar[tuple[Any, str]] = (int, "an int")

    low: int = attrs.field(converter=checked(_integer))
    high: int = attrs.field(converter=checked(_integer))
    step: int = attrs.field(default=1, kw_only=True, converter=checked(_integer))

    @property
    def types(self) -> frozenset[type]:
        """The type of all values: int."""
        return frozenset({int})

    def canonical(self, value: Any) -> int:
        """Returns the value as a plain int."""
        self.validate(value)
        return int(value)

    def _edges(self) -> tuple[float, float]:
        # With half an int beyond each end, the end values get full shares of the scale, as in
        # Optuna's IntDistribution(log=True).
        return self.low - 0.5, self.high + 0.5

    def _usual_default(self) -> int:
        if self._even:
            return int(self.from_unit(0.5))
        # The middle is that of `low` and `high`, not of `_edges()`: for 16 to 256, it is 64.
        return round(middle_of(self.low, self.high, self.scale))
