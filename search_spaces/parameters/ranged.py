"""What Float and Int share: a closed range on a scale, perhaps in steps."""

from __future__ import annotations

import abc
from typing import Any, ClassVar

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.parameter import Parameter
from search_spaces.parameters.scales import Scale


class Ranged(Parameter):
    """A number from a closed range; see `Float` and `Int`."""

    low: Any
    high: Any
    scale: Scale
    step: Any

    usual_step: ClassVar[int | None] = None

    @abc.abstractmethod
    def nearest(self, value: float) -> Any:
        """Returns the value of the domain nearest to a number, an end of it if beyond."""

    @abc.abstractmethod
    def _middle(self) -> Any:
        """Returns the default where none is given."""

    def domain(self) -> dict[str, Any]:
        """Range, scale and step."""
        return {"low": self.low, "high": self.high, "scale": self.scale, "step": self.step}

    def _reason_off(self, value: float) -> str | None:
        """Returns why a number of the right type is not in the domain; None if it is."""
        if not self.low <= value <= self.high:
            return f"{self.subject} must be from {self.low!r} to {self.high!r}, received {value!r}."
        nearest = self.nearest(value)
        if nearest == value:
            return None
        how = "times" if self.scale == "log" else "in steps of"
        return (
            f"{self.subject} must be a value of its grid ({self.low!r} to {self.high!r} {how} "
            f"{self.step!r}), received {value!r}: the nearest is {nearest!r}."
        )

    def _check_range(self, low: object, high: object) -> None:
        """Checks that low is below high, and above 0 on a log scale; quotes both as given.

        Raises:
            SearchSpaceError: If it is not.
        """
        if self.low == self.high:
            raise SearchSpaceError(
                f"{self.subject}: low and high are equal, received low={low!r}, high={high!r}: a "
                f"value that never varies is declared as Fixed({self.name!r}, {low!r})."
            )
        if self.low > self.high:
            raise SearchSpaceError(
                f"{self.subject}: low must be below high, received low={low!r}, high={high!r}: "
                f"exchange them."
            )
        if self.scale != "linear" and self.low <= 0:
            raise SearchSpaceError(
                f"{self.subject}: on a {self.scale} scale low must be above 0, received "
                f"low={low!r}: raise it, or take scale='linear'. A regularization that may be off "
                f"has a switch of its own, as l2() makes."
            )

    def _arguments(self) -> list[str]:
        arguments = [repr(self.low), repr(self.high)]
        if self.scale != "linear":
            arguments.append(f"scale={self.scale!r}")
        if self.step != self.usual_step:
            arguments.append(f"step={self.step!r}")
        if self.default != self._middle():
            arguments.append(f"default={self.default!r}")
        return arguments
