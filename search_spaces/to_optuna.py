"""A search space in Optuna's terms: asking a trial for values, and reading values back.

Optuna knows floats (linear, logarithmic, in linear steps), ints (linear, logarithmic, in linear
steps) and categories. A parameter that it knows keeps its name there. Others are encoded, under a
name that says how, so that a dashboard does not mislead:

    parameter                                        in Optuna
    Float, Int: linear, log                          the same, under the same name
    Float: linear with a step that Optuna can keep   FloatDistribution(step=…), the same name
    Float: any other step; Int: log with a step      "x (index)": the index of the value
    Float, Int: reverse_log                          "x (reversed)": low + high - value, log
    Choice of values that differ under Python's ==   the values, under the same name
    any other Choice, such as of 1 and True          their JSON spellings, under the same name
    Boolean                                          False and True, under the same name
    Fixed                                            nothing

Optuna is imported only when a distribution is made.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from search_spaces.encoded_space import EncodedSpace
from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.choices import Fixed, Listed
from search_spaces.parameters.parameter import Parameter
from search_spaces.parameters.ranges import Float, Int, decimal_of
from search_spaces.parameters.scalars import NOT_GIVEN, is_number
from search_spaces.space import SearchSpace

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial


_ROUNDING: Final = 1e-9
"""How far beyond its range, relative to it, a stored float may be: what samplers' exponentials and
multiplications leave. Optuna takes a value that is 1e-8 of a step off: ten times this."""

_STEP_TOLERANCE: Final = 1e-6
"""How far off its grid, in steps, a stored float may be."""


class OptunaEncoding:
    """How Optuna gets one parameter: a row of the table above."""

    def __init__(self, parameter: Parameter) -> None:
        self.parameter: Any = parameter
        self._by_index = _by_index(parameter)
        self._reversed = isinstance(parameter, Float | Int) and parameter.scale == "reverse_log"
        how = " (index)" if self._by_index else " (reversed)" if self._reversed else ""
        self.name = parameter.name + how
        self._stored: Sequence[Any] = ()
        if isinstance(parameter, Listed):
            # Optuna looks choices up with ==, for which 1, 1.0 and True are equal. So does a set.
            distinct = len(set(parameter.values)) == parameter.count
            self._stored = parameter.values if distinct else [*map(json.dumps, parameter.values)]

    @functools.cached_property
    def distribution(self) -> BaseDistribution:
        """What Optuna draws from."""
        from optuna import distributions

        known = self.parameter
        if isinstance(known, Listed):
            return distributions.CategoricalDistribution(self._stored)
        if self._by_index:
            return distributions.IntDistribution(0, known.count - 1)
        if isinstance(known, Int):
            make: Any = distributions.IntDistribution
        else:
            make = distributions.FloatDistribution
        distribution: BaseDistribution = make(
            known.low, known.high, log=known.scale != "linear", step=known.step
        )
        return distribution

    def suggest(self, trial: BaseTrial) -> Any:
        """Returns what a trial suggests, as Optuna stores it; perhaps a rounding error off."""
        drawn: Any = self.distribution
        if isinstance(self.parameter, Listed):
            return trial.suggest_categorical(self.name, drawn.choices)
        ints = self._by_index or isinstance(self.parameter, Int)
        suggest: Any = trial.suggest_int if ints else trial.suggest_float
        return suggest(self.name, drawn.low, drawn.high, log=drawn.log, step=drawn.step)

    def encode(self, value: Any) -> Any:
        """Returns what Optuna stores for a value of the domain."""
        known = self.parameter
        if isinstance(known, Listed):
            return self._stored[known.index(value)]
        if self._by_index:
            return known.grid.nearest_index(value)
        stored = known.canonical(value)
        if self._reversed:
            stored = known.low + known.high - stored
        elif isinstance(known, Float) and known.grid is not None:
            # Every sampler stores low + index * step, clipped, which may be 0.30000000000000004.
            stored = known.low + known.grid.nearest_index(value) * known.grid.step
        return min(max(stored, known.low), known.high)

    def decode(self, stored: Any) -> Any:
        """Returns the value of the domain for what Optuna stored."""
        value = self._value_of(stored)
        if value is NOT_GIVEN:
            count, known = self.parameter.count, self.parameter
            wanted = f"an int from 0 to {count - 1}" if self._by_index else f"of {known!r}"
            raise SearchSpaceError(
                f"{known.subject}: Optuna's {self.name!r} must be {wanted}, received {stored!r}: "
                f"the trial is of another space."
            )
        return value

    def _value_of(self, stored: Any) -> Any:
        """Returns the value that is stored so; NOT_GIVEN if none is."""
        known = self.parameter
        if isinstance(known, Listed):
            pairs = zip(self._stored, known.values, strict=True)
            return next((value for mine, value in pairs if mine == stored), NOT_GIVEN)
        if not is_number(stored) or not math.isfinite(stored):
            return NOT_GIVEN
        # Storages keep ints as floats.
        if self._by_index:
            proper = stored == int(stored) and 0 <= stored < known.count
            return known.grid.value(int(stored)) if proper else NOT_GIVEN
        low, high = known.low, known.high
        slack = off = 0.0
        if isinstance(known, Float):
            slack = _ROUNDING * (low if known.scale == "log" else max(abs(low), abs(high)))
            off = math.inf if known.step is None else known.step * _STEP_TOLERANCE
        if not low - slack <= stored <= high + slack:
            return NOT_GIVEN
        meant = low + high - stored if self._reversed else stored
        value = known.nearest(meant)
        return value if abs(value - meant) <= off else NOT_GIVEN


def _by_index(parameter: Parameter) -> bool:
    """Returns whether Optuna can't keep a parameter's steps and values.

    It has none by ratio. In linear steps, it moves a high that the step does not meet exactly in
    decimals, and refuses a value that is more than 1e-8 of a step off in binary, which happens with
    large numbers in small steps.
    """
    if isinstance(parameter, Int):
        return parameter.scale == "log" and parameter.step > 1
    if not isinstance(parameter, Float) or parameter.grid is None or parameter.step is None:
        return False
    distance = decimal_of(parameter.high) - decimal_of(parameter.low)
    if parameter.scale == "log" or distance % decimal_of(parameter.step):
        return True
    largest = max(abs(parameter.low), abs(parameter.high))
    off = math.ulp(largest) / parameter.step + math.ulp(parameter.grid.count)
    return off >= _ROUNDING


class OptunaSpace(EncodedSpace[OptunaEncoding]):
    """Translates between the values of a search space and what Optuna stores of a trial."""

    library = "Optuna"

    def __init__(self, space: SearchSpace) -> None:
        super().__init__(
            space, lambda each: None if isinstance(each, Fixed) else OptunaEncoding(each)
        )

    @property
    def names(self) -> dict[str, str]:
        """The name of every parameter that varies, by its name in Optuna."""
        return dict(self._stored_names)

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The distribution of every parameter that varies, by its name in Optuna."""
        return {each.name: each.distribution for each in self._encodings.values()}

    def suggest(self, trial: BaseTrial) -> dict[str, Any]:
        """Returns the values that a trial of Optuna suggests, as `decode` does."""
        return self._walk(lambda encoding: encoding.decode(encoding.suggest(trial)))

    def encode(
        self, values: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
        """Returns the params and distributions that Optuna stores of a trial with these values.

        They are what `suggest` stored when it returned these values; only the last digits of a
        reverse_log Float may differ.
        """
        active = self._active(values)
        params = {each.name: each.encode(values[each.parameter.name]) for each in active}
        return params, {each.name: each.distribution for each in active}
