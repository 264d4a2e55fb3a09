"""Translates parameters and values between kerastudy, Optuna and Keras Tuner.

Builders declare hyperparameters by methods such as `hp.Float` and `trial.suggest_int`. Functions of
this module take the arguments of these methods and return parameters. They raise SearchSpaceError
for a declaration that can't be searched. They change some declarations:

- `high` becomes the last value that the step reaches, in decimal arithmetic. So
  `hp.Float("x", 0, 0.5, step=0.1)` has the value 0.5, which Keras Tuner misses (issue 1001 of Keras
  Tuner).
- A range with only one value becomes a `Fixed`.
- A value that a choice lists twice counts once. Values keep their types: 1 and True differ.
- A range of Keras Tuner with a step on a reverse_log scale becomes a `Choice`.
- A default between two values of the domain becomes the nearest value.
- numpy's scalars become Python's.

`OptunaSpace` and `KerasTunerSpace` translate a space for engines. A parameter becomes a parameter
of the same kind in the library, if the library has this kind. Otherwise the parameter's values are
encoded as numbers or texts, and the parameter's name in the library may say how:

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
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from search_spaces.argument_checks import is_whole
from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.choices import Boolean, Choice, Fixed, Listed
from search_spaces.parameters.parameter_and_values import (
    NOT_GIVEN,
    MaybeScalar,
    Parameter,
    identity,
    is_number,
    without_numpy,
)
from search_spaces.parameters.ranges import (
    MOST_VALUES,
    Float,
    Int,
    decimal_of,
    leads_to,
    steps_between,
    value_at,
)
from search_spaces.space import SearchSpace, of_active

if TYPE_CHECKING:
    from keras_tuner import HyperParameters
    from keras_tuner.engine.hyperparameters import HyperParameter
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial

Range = type[Float] | type[Int]

_ROUNDING: Final = 1e-9
"""How far values that Optuna computes may lie from a grid, as a share of a step. Optuna itself
accepts ten times that distance."""


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
        return {each.name: each.distribution for each in self._encodings.values()}

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
                    f"{self.RESERVED!r} for itself: give it another name, or use one of Optuna's "
                    "engines, such as optuna:tpe."
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
        """Returns Keras Tuner's values for a trial with these values, by Keras Tuner's names."""
        return {encoding.name: stored for encoding, stored in self._encoded(values).items()}

    def decode(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Converts an oracle's values into values of the space, including the Fixed ones."""
        return self._values(lambda encoding: encoding.decode(stored[encoding.name]))

    def _conditions(self, parameter: Parameter, of_parents: Mapping[str, list[Any]]) -> list[Any]:
        """Returns the conditions of a parameter and its ancestors, except on Fixed parents."""
        conditions: list[Any] = []
        for name, values in parameter.when.items():
            conditions += [each for each in of_parents[name] if each not in conditions]
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
