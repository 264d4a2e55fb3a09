"""Float: a number from a range, continuous or in steps."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Final, Unpack

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.grids import Grid, LinearGrid, LogGrid
from search_spaces.parameters.parameter import Declared
from search_spaces.parameters.ranged import Ranged
from search_spaces.parameters.scalars import is_number
from search_spaces.parameters.scales import (
    Scale,
    check_scale,
    check_unit,
    middle_of,
    refused_reverse_step,
    unit_to_value,
    value_to_unit,
)

_DEFAULT_DIGITS: Final = 6


class Float(Ranged):
    """A float from a closed range.

    Attributes:
        low: The lower end, a value of the domain.
        high: The upper end, a value of the domain.
        scale: "linear", "log" or "reverse_log".
        step: What leads from one value to the next, or None if the range is continuous.
        grid: The values that the step allows, or None.

    Example:
        >>> ks.Float("rate", 0.0, 0.5, step=0.1).grid_values()
        (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
        >>> ks.Float("learning_rate", 1e-4, 1e-2, scale="log").default
        0.001
        >>> ks.Float("rate", 0.0, 0.5).contains(0.7)
        False
    """

    kind: ClassVar[str] = "float"

    default: float
    low: float
    high: float
    scale: Scale
    step: float | None
    grid: Grid | None

    def __init__(
        self,
        name: str,
        low: float,
        high: float,
        *,
        scale: str = "linear",
        step: float | None = None,
        default: float | None = None,
        **declared: Unpack[Declared],
    ) -> None:
        """Declares the parameter.

        Args:
            name: What it is called.
            low: The lower end, included; above 0 if the scale is logarithmic.
            high: The upper end, included.
            scale: "linear"; "log" for what matters by its order of magnitude; "reverse_log", its
                mirror image, for what matters by its distance from the top.
            step: On a linear scale, the difference between neighbours; on a log scale their
                ratio, above 1 (Keras Tuner's convention,
                https://keras.io/keras_tuner/api/hyperparameters/). It must lead from `low` to
                `high` exactly, in decimal arithmetic: `Float("x", 0, 0.5, step=0.1)` has the six
                values 0.0, 0.1, 0.2, 0.3, 0.4, 0.5.
            default: The value to begin with. Left out: the middle of the range in its scale, to
                six digits; with a step, the grid value there (the upper one of two).
            **declared: `role`, `when` and `otherwise`; see `Parameter`.

        Raises:
            SearchSpaceError: If any of them is wrong, saying which, what was received, and what
                to do.
        """
        super().__init__(name, **declared)
        self._set("scale", check_scale(scale, self.subject))
        self._set("low", self._checked_number("low", low))
        self._set("high", self._checked_number("high", high))
        self._check_range(low, high)
        if not math.isfinite(self.high - self.low) or not math.isfinite(self.high + self.low):
            raise SearchSpaceError(
                f"{self.subject}: the range from low={low!r} to high={high!r} is wider than a "
                f"float can measure: narrow it."
            )
        self._set("step", None if step is None else self._checked_step(step))
        self._set("grid", self._made_grid())
        self._finish(self._middle() if default is None else default)

    @property
    def count(self) -> int | None:
        """How many values the step allows; None if there is no step."""
        return None if self.grid is None else self.grid.count

    def reason_outside(self, value: object) -> str | None:
        """Returns why a value is not in the domain; None if it is. `1` counts as `1.0`."""
        if not isinstance(value, int | float) or not is_number(value):
            return (
                f"{self.subject} must be a number, received {value!r} of type "
                f"{type(value).__name__}."
            )
        return self._reason_off(value)

    def nearest(self, value: float) -> float:
        """Returns the value of the domain nearest to a number, an end of it if beyond."""
        clipped = min(max(float(value), self.low), self.high)
        return clipped if self.grid is None else self.grid.value(self.grid.nearest_index(clipped))

    def canonical(self, value: Any) -> float:
        """Returns the value as a float."""
        self.validate(value)
        # Adding zero turns minus zero, which would print differently, into zero.
        return float(value) + 0.0

    def identity(self, value: Any) -> tuple[str, object]:
        """Returns a key that is the same for `1` and `1.0`."""
        return "float", float(value)

    def to_unit(self, value: Any) -> float:
        """Returns the coordinate of a value in the sampling scale, from 0 to 1."""
        self.validate(value)
        if self.grid is not None:
            return (self.grid.nearest_index(value) + 0.5) / self.grid.count
        return value_to_unit(float(value), self.low, self.high, self.scale)

    def from_unit(self, unit: float) -> float:
        """Returns the value at a coordinate from 0 to 1 in the sampling scale."""
        checked = check_unit(unit, self.subject)
        if self.grid is not None:
            return self.grid.value(min(int(checked * self.grid.count), self.grid.count - 1))
        return unit_to_value(checked, self.low, self.high, self.scale)

    def grid_values(self) -> tuple[float, ...] | None:
        """Returns the values that the step allows, ascending; None if there is no step."""
        return None if self.grid is None else self.grid.values()

    def _checked_number(self, which: str, value: object) -> float:
        if not isinstance(value, int | float) or not is_number(value):
            raise SearchSpaceError(
                f"{self.subject}: {which} must be a number, received {value!r} of type "
                f"{type(value).__name__}."
            )
        try:
            number = float(value) + 0.0
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise SearchSpaceError(
                f"{self.subject}: {which} must be finite, received {value!r}: give a range that "
                f"can be searched."
            )
        return number

    def _checked_step(self, given: object) -> float:
        step = self._checked_number("step", given)
        if self.scale == "reverse_log":
            raise refused_reverse_step(self.subject, given)
        if self.scale == "log" and step <= 1.0:
            raise SearchSpaceError(
                f"{self.subject}: on a log scale step is the ratio of neighbours and must be above "
                f"1, received {given!r}: 2 doubles, 10 goes through the powers of ten."
            )
        if step <= 0.0:
            raise SearchSpaceError(f"{self.subject}: step must be above 0, received {given!r}.")
        return step

    def _made_grid(self) -> Grid | None:
        if self.step is None:
            return None
        kind = LogGrid if self.scale == "log" else LinearGrid
        return kind(self.low, self.high, self.step, self.subject)

    def _middle(self) -> float:
        if self.grid is not None:
            return self.from_unit(0.5)
        middle = middle_of(self.low, self.high, self.scale)
        rounded = float(f"{middle:.{_DEFAULT_DIGITS}g}")
        return rounded if self.low <= rounded <= self.high else self.low
