"""Grids: the values that a step allows, as a person would write them.

In floating-point arithmetic, the fourth value from 0 in steps of 0.1 is 0.30000000000000004, and no
step reaches 0.5 (keras-tuner issue 1001). Decimal arithmetic on the shortest spelling of each
number gives 0.3 and reaches the end.
"""

from __future__ import annotations

import abc
import decimal
import math
from decimal import Decimal
from typing import Final

from search_spaces.errors import SearchSpaceError

MOST_VALUES: Final = 1_000_000
"""Larger grids are refused: they are continuous ranges in all but name."""

FIT_TOLERANCE: Final = Decimal("1e-9")
"""How far off its end, in steps, a grid may land: room for a step such as 1/3 or 10**0.5."""

# A context of our own: the caller's may have another precision or traps.
_CONTEXT: Final = decimal.Context(
    prec=60, Emax=999999, Emin=-999999, traps=[decimal.InvalidOperation]
)
# Powers of a step are rounded to what a float holds of any decimal literal.
_LITERAL: Final = decimal.Context(prec=15, Emax=999999, Emin=-999999)


def decimal_of(number: float) -> Decimal:
    """Returns the number as its shortest spelling says: `0.1` is a tenth."""
    return Decimal(repr(number))


class Grid(abc.ABC):
    """Finitely many values of a float range, the ends among them.

    Attributes:
        low: The first value.
        high: The last value.
        step: What leads from one value to the next.
        count: How many values there are, at least 2.
    """

    def __init__(self, low: float, high: float, step: float, subject: str) -> None:
        """Works out the grid.

        Raises:
            SearchSpaceError: If the step does not lead from `low` to `high`, or has too many
                values on its way.
        """
        self.low, self.high, self.step = low, high, step
        exact = self._exact_steps()
        if exact > MOST_VALUES:
            raise SearchSpaceError(
                f"{subject}: step={step!r} makes more than {MOST_VALUES:,} values between "
                f"{low!r} and {high!r}: take a larger step, or none."
            )
        steps = max(1, int(exact.to_integral_value()))
        if abs(_CONTEXT.subtract(exact, Decimal(steps))) > FIT_TOLERANCE:
            raise SearchSpaceError(
                f"{subject}: step={step!r} does not lead from low={low!r} to high={high!r}. "
                f"The nearest high that fits is {self._at(steps)!r}."
            )
        self.count = steps + 1
        if not self.value(1) > low or not self.value(steps - 1) < high:
            raise SearchSpaceError(
                f"{subject}: step={step!r} is lost in the rounding of numbers as large as "
                f"{low!r} and {high!r}: take a larger step, or none."
            )

    @abc.abstractmethod
    def _exact_steps(self) -> Decimal:
        """Returns how many steps, and what part of one, lead from low to high."""

    @abc.abstractmethod
    def _at(self, index: int) -> float:
        """Returns where that many steps lead from low."""

    @abc.abstractmethod
    def _steps_to(self, value: float) -> float:
        """Returns about how many steps lead from low to the value."""

    def value(self, index: int) -> float:
        """Returns the value at an index, from 0 to `count - 1`."""
        # The end is the number that was declared, also where the step only fits within tolerance.
        return self.high if index == self.count - 1 else self._at(index)

    def values(self) -> tuple[float, ...]:
        """Returns all values, ascending."""
        return tuple(self.value(index) for index in range(self.count))

    def nearest_index(self, value: float) -> int:
        """Returns the index of the grid value nearest to a number, in steps."""
        return min(max(round(self._steps_to(value)), 0), self.count - 1)


class LinearGrid(Grid):
    """low, low + step, low + 2 * step, …, high."""

    def _exact_steps(self) -> Decimal:
        distance = _CONTEXT.subtract(decimal_of(self.high), decimal_of(self.low))
        return _CONTEXT.divide(distance, decimal_of(self.step))

    def _at(self, index: int) -> float:
        distance = _CONTEXT.multiply(Decimal(index), decimal_of(self.step))
        return float(_CONTEXT.add(decimal_of(self.low), distance)) + 0.0

    def _steps_to(self, value: float) -> float:
        return (value - self.low) / self.step


class LogGrid(Grid):
    """low, low * step, low * step**2, …, high: Keras Tuner's meaning of a step on a log scale."""

    def _exact_steps(self) -> Decimal:
        ratio = _CONTEXT.divide(decimal_of(self.high), decimal_of(self.low))
        return _CONTEXT.divide(_CONTEXT.ln(ratio), _CONTEXT.ln(decimal_of(self.step)))

    def _at(self, index: int) -> float:
        # The first value is returned as declared: it may have more digits than a literal keeps.
        if index == 0:
            return self.low
        factor = _CONTEXT.power(decimal_of(self.step), Decimal(index))
        return float(_LITERAL.plus(_CONTEXT.multiply(decimal_of(self.low), factor)))

    def _steps_to(self, value: float) -> float:
        if value <= 0.0:
            return 0.0
        return (math.log(value) - math.log(self.low)) / math.log(self.step)
