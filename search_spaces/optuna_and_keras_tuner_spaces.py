"""Translates a space, and values, for engines of Optuna and Keras Tuner, and values back.

A parameter becomes a parameter of the same kind in the library, if the library has this kind.
Otherwise the parameter's values are encoded as numbers or texts. Some parameters get another name
in the library, which says how the values are encoded:

    parameter                                        in Optuna
    Float, Int: linear, log                          the same, under the same name
    Float: linear with a step that Optuna can keep   FloatDistribution(step=…), the same name
    Float: any other step; Int: log with a step      "x (index)": the index of the value
    Float, Int: reverse_log                          "x (reversed)": low + high - value, log
    Choice of values that differ under Python's ==   the values, under the same name
    any other Choice, such as of 1 and True          their JSON spellings, under the same name
    Boolean                                          False and True, under the same name

    parameter                                        in Keras Tuner
    Float without a step; Int: linear                the same, under the same name
    Int: log or reverse_log, without a step          the same, under the same name
    Float with a step; Int: log with a step          "x (index)": the index of the value
    Choice of strings, of ints, or of floats         the values, under the same name
    any other Choice, such as of None and True       their JSON spellings, under the same name
    Boolean                                          False and True, under the same name

Neither library gets a Fixed. Keras Tuner gets indices, because `hp.Float("x", 0, 0.5, step=0.1)` of
Keras Tuner never yields 0.5. Keras Tuner gets JSON spellings, because all values of its `hp.Choice`
have the same type. Both libraries are imported only when a space is translated, since Keras Tuner
imports TensorFlow.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters import (
    Boolean,
    Choice,
    Fixed,
    Float,
    Int,
    Listed,
    Parameter,
    decimal_of,
)
from search_spaces.space import SearchSpace, of_active

if TYPE_CHECKING:
    from keras_tuner import HyperParameters
    from keras_tuner.engine.hyperparameters import HyperParameter
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial

_ROUNDING: Final = 1e-9
"""How far values that Optuna computes may lie from a grid, as a share of a step. Optuna itself
accepts ten times that distance."""


class _Encoding:
    """The encoding of one parameter: a row of the tables in the module's docstring.

    Attributes:
        name: The parameter's name in the library.
        listed: The values that the library stores for the parameter's values, in the same order.
            None if the library stores numbers in the parameter's range.
    """

    library: ClassVar[str]

    def __init__(self, parameter: Parameter, listed: Sequence[Any] | None, how: str = "") -> None:
        self.parameter: Any = parameter
        self.name, self.listed = parameter.name + how, listed

    def encode(self, value: Any) -> Any:
        """Converts a value of the parameter into the value that the library stores."""
        domain = self.parameter
        if self.listed is None:
            return self._stored(domain.canonical(value))
        if isinstance(domain, Listed):
            return self.listed[domain.index(value)]
        return self.listed[domain.nearest_index(domain.canonical(value))]

    def decode(self, stored: Any) -> Any:
        """Converts a value that the library proposes into the nearest value of the parameter.

        Samplers make rounding errors. On a logarithmic scale, Keras Tuner may propose high + 1 for
        an int.
        """
        if self.listed is None:
            return self.parameter.nearest(stored)
        return self.parameter.grid_values()[self.listed.index(stored)]

    def _stored(self, value: Any) -> Any:
        """Converts a number in the parameter's range into the number that the library stores."""
        return value


_AnyEncoding = TypeVar("_AnyEncoding", bound=_Encoding)


class _EncodedSpace(Generic[_AnyEncoding]):
    """Translates between the values of a search space and the values that a library stores."""

    def __init__(self, space: SearchSpace, encoding_of: Callable[[Parameter], _AnyEncoding]):
        self.space = space
        self._encodings = {
            parameter.name: encoding_of(parameter)
            for parameter in space.parents_first
            if not isinstance(parameter, Fixed)
        }
        for name, encoding in self._encodings.items():
            if encoding.name != name and encoding.name in self._encodings:
                raise SearchSpaceError(
                    f"{encoding.library} gets {name!r} under the name {encoding.name!r}, which is "
                    "also a parameter of the space: give that parameter another name."
                )

    def _encoded(self, values: Mapping[str, Any]) -> dict[_AnyEncoding, Any]:
        """Returns the value that the library stores for each active parameter, parents first."""
        self.space.validate(values)
        return {
            encoding: encoding.encode(values[name])
            for name, encoding in self._encodings.items()
            if name in values
        }

    def _values(self, value_of: Callable[[_AnyEncoding], Any]) -> dict[str, Any]:
        """Returns the values of the active parameters. Calls `value_of` for parents first."""

        def value(parameter: Parameter) -> Any:
            encoding = self._encodings.get(parameter.name)
            return parameter.default if encoding is None else value_of(encoding)

        return of_active(self.space, value)


class OptunaEncoding(_Encoding):
    """The encoding of one parameter for Optuna."""

    library = "Optuna"

    def __init__(self, parameter: Parameter) -> None:
        listed: Sequence[Any] | None = None
        how = ""
        if isinstance(parameter, Listed):
            # Optuna compares choices by ==, as a set does. By ==, 1, 1.0 and True are equal. If two
            # choices are equal, Optuna gets the choices' spellings in JSON, which differ.
            distinct = len(set(parameter.values)) == parameter.count
            listed = parameter.values if distinct else [*map(json.dumps, parameter.values)]
        elif not _optuna_keeps_steps(parameter):
            listed, how = range(parameter.count or 0), " (index)"
        self._reversed = listed is None and getattr(parameter, "scale", "") == "reverse_log"
        super().__init__(parameter, listed, " (reversed)" if self._reversed else how)

    @functools.cached_property
    def distribution(self) -> BaseDistribution:
        """The distribution that Optuna draws from."""
        from optuna import distributions

        domain = self.parameter
        if isinstance(domain, Listed):
            return distributions.CategoricalDistribution(self.listed or ())
        if self.listed is not None:
            return distributions.IntDistribution(0, len(self.listed) - 1)
        kind: Callable[..., BaseDistribution] = distributions.FloatDistribution
        if isinstance(domain, Int):
            kind = distributions.IntDistribution
        return kind(domain.low, domain.high, log=domain.scale != "linear", step=domain.step)

    def suggest(self, trial: BaseTrial) -> Any:
        """Returns the value that an Optuna trial suggests, perhaps with a rounding error."""
        distribution: Any = self.distribution
        if isinstance(self.parameter, Listed):
            return trial.suggest_categorical(self.name, distribution.choices)
        is_int = self.listed is not None or isinstance(self.parameter, Int)
        suggest: Any = trial.suggest_int if is_int else trial.suggest_float
        low, high = distribution.low, distribution.high
        return suggest(self.name, low, high, log=distribution.log, step=distribution.step)

    def _stored(self, value: Any) -> Any:
        domain = self.parameter
        if self._reversed:
            value = domain.low + domain.high - value
        elif isinstance(domain, Float) and domain.step is not None:
            # Optuna's samplers store low + index * step, such as 0.30000000000000004.
            value = domain.low + domain.nearest_index(value) * domain.step
        return min(max(value, domain.low), domain.high)

    def decode(self, stored: Any) -> Any:
        """Converts a value that Optuna proposes into the nearest value of the parameter."""
        domain = self.parameter
        return super().decode(domain.low + domain.high - stored if self._reversed else stored)


def _optuna_keeps_steps(parameter: Parameter) -> bool:
    """Returns whether an Optuna distribution can represent a parameter's steps.

    A step can't be a ratio in Optuna. If linear steps do not end at `high` exactly, Optuna lowers
    `high`. Optuna also refuses values that differ from the grid by more than 1e-8 of a step, for
    example by a rounding error.
    """
    if isinstance(parameter, Int):
        return parameter.scale != "log" or parameter.step == 1
    if not isinstance(parameter, Float) or parameter.step is None:
        return True
    distance = decimal_of(parameter.high) - decimal_of(parameter.low)
    if parameter.scale == "log" or distance % decimal_of(parameter.step):
        return False
    largest = max(abs(parameter.low), abs(parameter.high))
    rounding = math.ulp(largest) / parameter.step + math.ulp(parameter.count or 0)
    return rounding < _ROUNDING


class OptunaSpace(_EncodedSpace[OptunaEncoding]):
    """Translates between the values of a search space and the values that Optuna stores."""

    def __init__(self, space: SearchSpace) -> None:
        super().__init__(space, OptunaEncoding)

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The distributions of the parameters that vary, by their names in Optuna."""
        return {encoding.name: encoding.distribution for encoding in self._encodings.values()}

    def suggest(self, trial: BaseTrial) -> dict[str, Any]:
        """Returns the values that an Optuna trial suggests, converted into values of the space."""
        return self._values(lambda encoding: encoding.decode(encoding.suggest(trial)))

    def encode(
        self, values: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
        """Returns the params and distributions that Optuna stores for a trial with these values.

        The last digits of a reverse_log Float may differ from the digits that Optuna stores when
        `suggest` is called.
        """
        encoded = self._encoded(values)
        params = {encoding.name: stored for encoding, stored in encoded.items()}
        return params, {encoding.name: encoding.distribution for encoding in encoded}


class KerasTunerEncoding(_Encoding):
    """The encoding of one parameter for Keras Tuner."""

    library = "Keras Tuner"

    def __init__(self, parameter: Parameter) -> None:
        listed: Sequence[Any] | None = None
        how = ""
        if isinstance(parameter, Choice):
            types = {type(value) for value in parameter.values}
            plain = len(types) == 1 and types <= {str, int, float}
            listed = parameter.values if plain else [*map(json.dumps, parameter.values)]
        elif isinstance(parameter, Boolean):
            listed = parameter.values
        elif (isinstance(parameter, Float) and parameter.step is not None) or (
            isinstance(parameter, Int) and parameter.scale != "linear" and parameter.step > 1
        ):
            listed, how = range(parameter.count or 0), " (index)"
        super().__init__(parameter, listed, how)

    def hyperparameter(self, conditions: list[Any]) -> HyperParameter:
        """Returns the parameter as a hyperparameter of Keras Tuner with these conditions."""
        from keras_tuner.engine import hyperparameters as kinds

        domain = self.parameter
        default = self.encode(domain.default)
        common = {"name": self.name, "conditions": conditions, "default": default}
        if isinstance(domain, Boolean):
            return kinds.Boolean(**common)
        if isinstance(domain, Choice):
            return kinds.Choice(values=list(self.listed or ()), **common)
        if self.listed is not None:
            return kinds.Int(min_value=0, max_value=len(self.listed) - 1, **common)
        kind: Callable[..., HyperParameter] = kinds.Int if isinstance(domain, Int) else kinds.Float
        # Keras Tuner misses some values of a Float with a step, and of an Int whose step is a
        # ratio. Such parameters became indices above, so only a linear Int has a step here.
        step = domain.step if isinstance(domain, Int) and domain.scale == "linear" else None
        return kind(
            min_value=domain.low, max_value=domain.high, step=step, sampling=domain.scale, **common
        )


class KerasTunerSpace(_EncodedSpace[KerasTunerEncoding]):
    """Translates between the values of a search space and the values of Keras Tuner's oracles."""

    RESERVED: ClassVar[str] = "tuner/"
    """The prefix of the names that Keras Tuner's Hyperband adds to the values of a trial."""

    def __init__(self, space: SearchSpace) -> None:
        """Chooses an encoding for each parameter."""
        for name in space.names:
            if name.startswith(self.RESERVED) and not isinstance(space[name], Fixed):
                raise SearchSpaceError(
                    f"{name!r} can't be given to Keras Tuner, which keeps names that begin with "
                    f"{self.RESERVED!r} for itself",
                    hint="Give it another name, or use an engine of Optuna, such as optuna:tpe.",
                )
        super().__init__(space, KerasTunerEncoding)

    def hyperparameters(self) -> HyperParameters:
        """Returns Keras Tuner's hyperparameters, parents first, without the Fixed ones.

        A hyperparameter has the conditions of all ancestors, as in nested `conditional_scope`s.
        """
        import keras_tuner

        declared = keras_tuner.HyperParameters()
        conditions: dict[str, list[Any]] = {}
        for parameter in self.space.parents_first:
            conditions[parameter.name] = self._conditions(parameter, conditions)
            encoding = self._encodings.get(parameter.name)
            if encoding is not None:
                # Nested `conditional_scope`s don't work for two independent parents: Keras Tuner
                # looks for the second parent under the condition on the first.
                declared.merge([encoding.hyperparameter(conditions[parameter.name])])
        return declared

    def encode(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Converts a trial's values into Keras Tuner's values, under Keras Tuner's names."""
        return {encoding.name: stored for encoding, stored in self._encoded(values).items()}

    def decode(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Converts an oracle's values into values of the space, including the Fixed ones."""
        return self._values(lambda encoding: encoding.decode(stored[encoding.name]))

    def _conditions(self, parameter: Parameter, of_parents: Mapping[str, list[Any]]) -> list[Any]:
        """Returns the conditions of a parameter and its ancestors.

        Leaves out conditions on Fixed parents.
        """
        conditions: list[Any] = []
        for name, values in parameter.when.items():
            conditions += [c for c in of_parents[name] if c not in conditions]
            encoding = self._encodings.get(name)
            if encoding is not None:
                stored = [encoding.encode(value) for value in values]
                conditions.append(_condition(encoding.name, stored))
        return conditions


def _condition(parent: str, values: list[Any]) -> Any:
    """Returns Keras Tuner's condition on a parent.

    The class of conditions is private in Keras Tuner, so a `conditional_scope` makes the condition.
    """
    import keras_tuner

    scratch = keras_tuner.HyperParameters()
    scratch.Fixed(parent, values[0])
    with scratch.conditional_scope(parent, values):
        scratch.Boolean(f"under {parent}")
    return scratch.space[-1].conditions[-1]
