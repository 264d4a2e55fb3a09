"""Int: a whole number from a range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Unpack

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.parameter import Declared
from search_spaces.parameters.ranged import Ranged
from search_spaces.parameters.scalars import is_integer
from search_spaces.parameters.scales import (
    Scale,
    check_scale,
    check_unit,
    middle_of,
    refused_reverse_step,
    unit_to_value,
    value_to_unit,
)

LARGEST_INT: Final = 2**40
"""Bounds lie within plus and minus this (about 1e12): engines compute in doubles, and beyond it,
neighbouring ints have the same logarithm."""


class Int(Ranged):
    """An int from a closed range.

    Attributes:
        low: The lower end, a value of the domain.
        high: The upper end, a value of the domain.
        scale: "linear", "log" or "reverse_log".
        step: 1 for every int; otherwise the difference between neighbours on a linear scale, and
            their ratio on a log scale.

    Example:
        >>> ks.Int("units", 16, 128, scale="log", step=2).grid_values()
        (16, 32, 64, 128)
        >>> ks.Int("layers", 1, 3).default
        2
    """

    kind: ClassVar[str] = "int"
    usual_step: ClassVar[int | None] = 1

    default: int
    low: int
    high: int
    scale: Scale
    step: int
    _count: int

    def __init__(
        self,
        name: str,
        low: int,
        high: int,
        *,
        scale: str = "linear",
        step: int = 1,
        default: int | None = None,
        **declared: Unpack[Declared],
    ) -> None:
        """Declares the parameter.

        Args:
            name: What it is called.
            low: The lower end, included; above 0 if the scale is logarithmic.
            high: The upper end, included.
            scale: "linear"; "log" for what matters by its order of magnitude; "reverse_log", its
                mirror image, for what matters by its distance from the top.
            step: 1 for every int. On a linear scale, the difference between neighbours; on a log
                scale, their ratio: `Int("units", 16, 512, scale="log", step=2)` doubles. It must
                lead from `low` to `high` exactly.
            default: The value to begin with. Left out: the middle of the range in its scale.
            **declared: `role`, `when` and `otherwise`; see `Parameter`.

        Raises:
            SearchSpaceError: If any of them is wrong, saying which, what was received, and what
                to do.
        """
        super().__init__(name, **declared)
        self._set("scale", check_scale(scale, self.subject))
        self._set("low", self._checked_integer("low", low))
        self._set("high", self._checked_integer("high", high))
        self._check_range(low, high)
        self._set("step", self._checked_step(step))
        self._set("_count", self._counted())
        self._finish(self._middle() if default is None else default)

    @property
    def count(self) -> int:
        """How many values the domain has."""
        return self._count

    def reason_outside(self, value: object) -> str | None:
        """Returns why a value is not in the domain; None if it is. No float is, not even `3.0`."""
        if not isinstance(value, int) or not is_integer(value):
            return (
                f"{self.subject} must be an int, received {value!r} of type {type(value).__name__}."
            )
        return self._reason_off(value)

    def nearest(self, value: float) -> int:
        """Returns the value of the domain nearest to a number, an end of it if beyond."""
        return self.value(self.index(min(max(value, self.low), self.high)))

    def value(self, index: int) -> int:
        """Returns the value at an index, from 0 to `count - 1`, ascending."""
        if self._by_ratio:
            return int(self.low * self.step**index)
        return self.low + index * self.step

    def index(self, value: float) -> int:
        """Returns the index of the value nearest to a number from `low` to `high`."""
        if self._by_ratio:
            return round(math.log(value / self.low) / math.log(self.step))
        return round((value - self.low) / self.step)

    def canonical(self, value: Any) -> int:
        """Returns the value as a plain int."""
        self.validate(value)
        return int(value)

    def to_unit(self, value: Any) -> float:
        """Returns the middle of the value's share of the sampling scale, from 0 to 1."""
        self.validate(value)
        if self._by_index:
            return (self.index(value) + 0.5) / self.count
        return value_to_unit(float(value), *self._edges(), self.scale)

    def from_unit(self, unit: float) -> int:
        """Returns the value at a coordinate from 0 to 1 in the sampling scale."""
        checked = check_unit(unit, self.subject)
        if self._by_index:
            return self.value(min(int(checked * self.count), self.count - 1))
        value = unit_to_value(checked, *self._edges(), self.scale)
        return min(max(round(value), self.low), self.high)

    def grid_values(self) -> Sequence[int]:
        """Returns all values, ascending."""
        if self._by_ratio:
            return tuple(self.value(index) for index in range(self.count))
        return range(self.low, self.high + 1, self.step)

    @property
    def _by_ratio(self) -> bool:
        return self.scale == "log" and self.step > 1

    @property
    def _by_index(self) -> bool:
        """Whether all values have the same share of the sampling scale."""
        return self.scale == "linear" or self._by_ratio

    def _edges(self) -> tuple[float, float]:
        # Half an int beyond each end, so that the ends have as much of the scale as they should:
        # the convention of Optuna's IntDistribution(log=True).
        return self.low - 0.5, self.high + 0.5

    def _checked_integer(self, which: str, value: object) -> int:
        if not isinstance(value, int) or not is_integer(value):
            raise SearchSpaceError(
                f"{self.subject}: {which} must be an int, received {value!r} of type "
                f"{type(value).__name__}: write it without a point, or declare a Float."
            )
        if abs(value) > LARGEST_INT:
            raise SearchSpaceError(
                f"{self.subject}: {which} must be from {-LARGEST_INT} to {LARGEST_INT}, received "
                f"{value!r}: search its exponent, or a Float, instead."
            )
        return int(value)

    def _checked_step(self, given: object) -> int:
        step = self._checked_integer("step", given)
        if step <= 0:
            raise SearchSpaceError(
                f"{self.subject}: step must be 1 or more, received {given!r}: 1 takes every int."
            )
        if self.scale == "reverse_log" and step != 1:
            raise refused_reverse_step(self.subject, given)
        return step

    def _counted(self) -> int:
        """Returns how many values there are, once the step is known to fit."""
        if not self._by_ratio:
            steps, rest = divmod(self.high - self.low, self.step)
            if rest:
                # Of the two highs that fit, the nearer; the lower one only if it is above low.
                lower = steps > 0 and rest * 2 <= self.step
                self._refuse_step(self.high - rest + (0 if lower else self.step))
            return steps + 1
        value, steps = self.low, 0
        while value < self.high:
            value, steps = value * self.step, steps + 1
        if value != self.high:
            below = value // self.step
            lower = steps > 1 and self.high - below <= value - self.high
            self._refuse_step(below if lower else value)
        return steps + 1

    def _refuse_step(self, fitting: int) -> None:
        raise SearchSpaceError(
            f"{self.subject}: step={self.step!r} does not lead from low={self.low!r} to "
            f"high={self.high!r}. The nearest high that fits is {fitting!r}."
        )

    def _middle(self) -> int:
        if self._by_index:
            return self.from_unit(0.5)
        # Of the range itself, without the halves beyond its ends: 64 for 16 to 256.
        return round(middle_of(self.low, self.high, self.scale))
