"""Encodings of parameters for Optuna: a class for each row of the table in `optuna_space`.

Optuna is imported only when a distribution is made.
"""

from __future__ import annotations

import abc
import json
import math
from typing import TYPE_CHECKING, Any, Final

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.kinds import Boolean, Choice, Float, Int, Parameter
from search_spaces.parameters.ranged import decimal_of
from search_spaces.parameters.scalars import Scalar, identity, is_number

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial

_ROUNDING: Final = 1e-9
"""How far beyond its range, or off its grid in steps, a stored number may be: what samplers'
exponentials and multiplications leave. Optuna itself takes a value 1e-8 of a step off."""


class OptunaEncoding(abc.ABC):
    """How Optuna gets one parameter; see `Encoding`."""

    parameter: Parameter
    name: str

    @abc.abstractmethod
    def distribution(self) -> BaseDistribution:
        """Returns what Optuna draws from."""

    @abc.abstractmethod
    def suggest(self, trial: BaseTrial) -> Any:
        """Returns what a trial suggests, as Optuna stores it."""

    @abc.abstractmethod
    def encode(self, value: Any) -> Any:
        """See `Encoding`."""

    @abc.abstractmethod
    def decode(self, stored: Any) -> Any:
        """See `Encoding`."""

    def _foreign(self, stored: object, wanted: str) -> SearchSpaceError:
        return SearchSpaceError(
            f"{self.parameter.subject}: Optuna's {self.name!r} must be {wanted}, received "
            f"{stored!r}: the trial is of another space."
        )


class ListedEncoding(OptunaEncoding):
    """Choice and Boolean: the values themselves, or their JSON where `==` confuses them."""

    def __init__(self, parameter: Choice | Boolean) -> None:
        self.parameter = parameter
        self.name = parameter.name
        self._values = parameter.values
        # Optuna looks choices up with ==, for which 1, 1.0 and True are equal. So does a set.
        distinct = len(set(self._values)) == len(self._values)
        self._stored: tuple[Scalar, ...] = (
            self._values if distinct else tuple(json.dumps(value) for value in self._values)
        )

    def distribution(self) -> BaseDistribution:
        """Returns a CategoricalDistribution."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self._stored)

    def suggest(self, trial: BaseTrial) -> Any:
        """Returns one of the values, or its JSON."""
        return trial.suggest_categorical(self.name, self._stored)

    def encode(self, value: Any) -> Any:
        """Returns the value, or its JSON."""
        identities = [identity(each) for each in self._values]
        return self._stored[identities.index(identity(value))]

    def decode(self, stored: Any) -> Any:
        """Returns the value, of the type that was declared."""
        for mine, value in zip(self._stored, self._values, strict=True):
            if mine == stored:
                return value
        raise self._foreign(stored, f"one of {list(self._stored)!r}")


class FloatEncoding(OptunaEncoding):
    """Float: linear or logarithmic, or in steps that Optuna keeps."""

    def __init__(self, parameter: Float, suffix: str = "") -> None:
        self.parameter: Float = parameter
        self.name = parameter.name + suffix
        self._log = parameter.scale != "linear"

    def distribution(self) -> BaseDistribution:
        """Returns a FloatDistribution."""
        from optuna.distributions import FloatDistribution

        known = self.parameter
        return FloatDistribution(known.low, known.high, log=self._log, step=known.step)

    def suggest(self, trial: BaseTrial) -> float:
        """Returns a number that may be a rounding error off the domain."""
        known = self.parameter
        return trial.suggest_float(self.name, known.low, known.high, log=self._log, step=known.step)

    def encode(self, value: Any) -> float:
        """Returns the value; on a grid, as Optuna's samplers compute it."""
        known = self.parameter
        if known.grid is None or known.step is None:
            return float(value)
        # Every sampler stores low + index * step, clipped, which may be 0.30000000000000004.
        stored = known.low + known.grid.nearest_index(value) * known.step
        return min(max(stored, known.low), known.high)

    def decode(self, stored: Any) -> float:
        """Returns the value, back on the domain if rounding led off it."""
        known = self.parameter
        slack = _ROUNDING * max(abs(known.low), abs(known.high))
        if known.scale == "log":
            slack = _ROUNDING * known.low
        if is_number(stored) and known.low - slack <= stored <= known.high + slack:
            value: float = known.nearest(stored)
            if known.step is None or abs(value - stored) <= known.step * 1e-6:
                return value
        raise self._foreign(stored, f"of {known!r}")


class ReversedFloatEncoding(FloatEncoding):
    """Float on a reverse_log scale: its mirror image, which is logarithmic."""

    def __init__(self, parameter: Float) -> None:
        super().__init__(parameter, " (reversed)")

    def encode(self, value: Any) -> float:
        """Returns the mirror image."""
        low, high = self.parameter.low, self.parameter.high
        return min(max(low + high - float(value), low), high)

    def decode(self, stored: Any) -> float:
        """Returns the mirror image of the mirror image."""
        low, high = self.parameter.low, self.parameter.high
        if is_number(stored) and low * (1 - _ROUNDING) <= stored <= high * (1 + _ROUNDING):
            return float(self.parameter.nearest(low + high - stored))
        raise self._foreign(stored, f"from {low!r} to {high!r}")


class IntEncoding(OptunaEncoding):
    """Int: linear, in steps, or logarithmic without."""

    def __init__(self, parameter: Int, suffix: str = "") -> None:
        self.parameter: Float | Int = parameter
        self.name = parameter.name + suffix
        self._low, self._high, self._step = parameter.low, parameter.high, parameter.step
        self._log = parameter.scale != "linear"

    def distribution(self) -> BaseDistribution:
        """Returns an IntDistribution."""
        from optuna.distributions import IntDistribution

        return IntDistribution(self._low, self._high, log=self._log, step=self._step)

    def suggest(self, trial: BaseTrial) -> int:
        """Returns an int from the range."""
        return trial.suggest_int(self.name, self._low, self._high, log=self._log, step=self._step)

    def encode(self, value: Any) -> int:
        """Returns the value."""
        return int(value)

    def decode(self, stored: Any) -> Any:
        """Returns the value; storages keep numbers as floats."""
        if is_number(stored) and math.isfinite(stored) and stored == int(stored):
            whole = int(stored)
            if self._low <= whole <= self._high and (whole - self._low) % self._step == 0:
                return whole
        raise self._foreign(stored, f"an int from {self._low} to {self._high}")


class ReversedIntEncoding(IntEncoding):
    """Int on a reverse_log scale: its mirror image, which is logarithmic."""

    def __init__(self, parameter: Int) -> None:
        super().__init__(parameter, " (reversed)")

    def encode(self, value: Any) -> int:
        """Returns the mirror image."""
        return self._low + self._high - int(value)

    def decode(self, stored: Any) -> int:
        """Returns the mirror image of the mirror image."""
        return self._low + self._high - int(super().decode(stored))


class IndexEncoding(IntEncoding):
    """Values of a grid by their index: for steps that Optuna has no distribution for."""

    def __init__(self, parameter: Float | Int) -> None:
        self.parameter, self.name = parameter, f"{parameter.name} (index)"
        self._low, self._high, self._step = 0, (parameter.count or 1) - 1, 1
        self._log = False

    def encode(self, value: Any) -> int:
        """Returns the index of the value."""
        assert self.parameter.grid is not None, "it has a step"
        return self.parameter.grid.nearest_index(value)

    def decode(self, stored: Any) -> Any:
        """Returns the value of the index."""
        assert self.parameter.grid is not None, "it has a step"
        return self.parameter.grid.value(super().decode(stored))


def encoding_of(parameter: Parameter) -> OptunaEncoding | None:
    """Returns the encoding of a parameter for Optuna."""
    if isinstance(parameter, Choice | Boolean):
        return ListedEncoding(parameter)
    if isinstance(parameter, Float):
        if parameter.scale == "reverse_log":
            return ReversedFloatEncoding(parameter)
        if parameter.grid is None or _keeps(parameter):
            return FloatEncoding(parameter)
        return IndexEncoding(parameter)
    if isinstance(parameter, Int):
        if parameter.scale == "reverse_log":
            return ReversedIntEncoding(parameter)
        if parameter.scale == "log" and parameter.step > 1:
            return IndexEncoding(parameter)
        return IntEncoding(parameter)
    return None


def _keeps(parameter: Float) -> bool:
    """Returns whether Optuna's FloatDistribution keeps a Float's step and its values.

    It moves a high that the step does not meet exactly in decimals, and refuses a value that is
    more than 1e-8 of a step off in binary, which happens with large numbers in small steps.
    """
    if parameter.scale != "linear" or parameter.step is None or parameter.count is None:
        return False
    distance = decimal_of(parameter.high) - decimal_of(parameter.low)
    if distance % decimal_of(parameter.step):
        return False
    largest = max(abs(parameter.low), abs(parameter.high))
    off = math.ulp(largest) / parameter.step + math.ulp(parameter.count)
    return off < _ROUNDING
