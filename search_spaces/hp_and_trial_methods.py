"""The `hp` or `trial` of a model builder: it reads hyperparameters, or declares them inline.

Methods such as `hp.Float` work as in `keras_tuner.HyperParameters`
(https://keras.io/keras_tuner/api/hyperparameters/).

Methods such as `trial.suggest_int` work as in `optuna.trial.Trial`
(https://optuna.readthedocs.io/en/stable/reference/generated/optuna.trial.Trial.html).

A declaration becomes a parameter. A declaration that can't be searched raises SearchSpaceError.
Some declarations change:

- `high` becomes the last value that the step reaches, in decimal arithmetic. So
  `hp.Float("x", 0, 0.5, step=0.1)` has the value 0.5, which Keras Tuner misses (issue 1001 of Keras
  Tuner).
- A range with only one value becomes a `Fixed`.
- A value that a choice lists twice counts once. Values keep their types: 1 and True differ.
- A range of Keras Tuner with a step on a reverse_log scale becomes a `Choice`.
- A default between two values of the domain becomes the nearest value.
- numpy's scalars become Python's.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Self

from search_spaces.argument_checks import is_whole
from search_spaces.errors import HyperparameterError, SearchSpaceError
from search_spaces.parameters import (
    MOST_VALUES,
    NOT_GIVEN,
    Boolean,
    Choice,
    Fixed,
    Float,
    Int,
    Listed,
    MaybeScalar,
    Parameter,
    Scalar,
    decimal_of,
    identity,
    is_number,
    leads_to,
    steps_between,
    value_at,
    without_numpy,
)
from search_spaces.texts import suggestion

Range = type[Float] | type[Int]


def copied(value: Any) -> Any:
    """Returns a deep copy of a tuple, list or dict, because a builder may change what it gets.

    Returns other values as they are.
    """
    return copy.deepcopy(value) if isinstance(value, list | dict | tuple) else value


class Scope(NamedTuple):
    """An open `hp.conditional_scope`."""

    parent: str
    values: tuple[Scalar, ...]
    """The values of the parent with which the scope is active. The tuple may be empty."""
    met: bool


class InlineDeclarations:
    """The methods of every `hp`. A subclass decides which values the parameters have.

    As in Keras Tuner, a declaration with `parent_name` and `parent_values` returns None if the
    parent has none of these values.
    """

    def __init__(self, readable: dict[str, Any]) -> None:
        """Takes a dict of the values that a builder can read. Declarations add values to it."""
        self._readable = readable
        self._declared: dict[str, Parameter] = {}
        self._out_of_scope: dict[str, Parameter] = {}
        self._scopes: list[Scope] = []
        self._name_scopes: list[str] = []
        self._user_attrs: dict[str, Any] = {}

    def _value_of(self, parameter: Parameter) -> Any:
        """Returns the value of a parameter that a builder declares. Adds it to `_readable`."""
        raise NotImplementedError

    def _parent(self, name: str) -> tuple[Parameter | None, Any]:
        """Returns the parent that a condition names, and the parent's current value.

        The value is NOT_GIVEN if the parent is not active. The parent is None if the name is
        unknown.
        """
        raise NotImplementedError

    def _unreadable(self, name: str) -> HyperparameterError:
        """Returns the error for reading a name that has no value."""
        raise NotImplementedError

    def _note_read(self, names: Iterable[str]) -> None:
        """Records that a builder reads these names."""

    # Reading -------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        """Returns the value of a parameter, or its `otherwise` if the parameter is not active.

        Raises:
            HyperparameterError: If there is no such parameter, or if the parameter is not active
                and has no `otherwise`.
        """
        name = self._scoped(name)
        # The name counts as read even if it has no value: in other trials it may have one.
        self._note_read([name])
        if name not in self._readable:
            raise self._unreadable(name)
        return copied(self._readable[name])

    def get(self, name: str, default: Any = None) -> Any:
        """Returns the value of a parameter, or a default if `hp[name]` would raise an error.

        Args:
            name: The name of a parameter.
            default: The result if the space has no such parameter, or if the parameter is not
                active and has no `otherwise`.
        """
        name = self._scoped(name)
        self._note_read([name])
        return copied(self._readable.get(name, default))

    @property
    def values(self) -> dict[str, Any]:
        """All values that can be read, as a new dict in declared order. All names count as read.

        This is an attribute and not a method, as in Keras Tuner.
        """
        self._note_read(self._readable)
        return {name: copied(value) for name, value in self._readable.items()}

    def keys(self) -> tuple[str, ...]:
        """Returns the names that can be read. `dict(hp)` and `f(**hp)` need this method."""
        return tuple(self._readable)

    def __contains__(self, name: object) -> bool:
        """Returns whether `hp[name]` has a value."""
        return self._scoped(name) in self._readable

    def __iter__(self) -> Iterator[str]:
        """Iterates over the names that can be read."""
        return iter(self._readable)

    def __len__(self) -> int:
        """Returns how many names can be read."""
        return len(self._readable)

    def copy(self) -> Self:
        """Returns a copy, e.g. for `keras_tuner.HyperModel(tunable=False)`.

        Declarations on the copy do not change this object. Names that are read on the copy count
        as read on this object, too.
        """
        new = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, dict):
                setattr(new, name, dict(value))
        new._scopes, new._name_scopes = [], []
        return new

    @contextlib.contextmanager
    def name_scope(self, name: str) -> Iterator[None]:
        """Opens a scope in which `hp.Float("rate", …)` and `hp["rate"]` mean "name/rate"."""
        self._name_scopes.append(str(name))
        try:
            yield
        finally:
            self._name_scopes.pop()

    def _scoped(self, name: object) -> str:
        return "/".join([*self._name_scopes, str(name)])

    # Keras Tuner ---------------------------------------------------------------------------

    def Int(  # noqa: N802
        self,
        name: str,
        min_value: int,
        max_value: int,
        step: int | None = None,
        sampling: str | None = "linear",
        default: int | None = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """Keras Tuner's Int: a whole number from a range, both ends included."""
        parameter = keras_tuner_range(
            Int, self._scoped(name), min_value, max_value, step, sampling, default
        )
        return self._declare_under(parent_name, parent_values, parameter)

    def Float(  # noqa: N802
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: str | None = "linear",
        default: float | None = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """Keras Tuner's Float: a number from a range, both ends included."""
        parameter = keras_tuner_range(
            Float, self._scoped(name), min_value, max_value, step, sampling, default
        )
        return self._declare_under(parent_name, parent_values, parameter)

    def Choice(  # noqa: N802
        self,
        name: str,
        values: Any,
        ordered: bool | None = None,
        default: Any = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """Keras Tuner's Choice. `ordered` is ignored."""
        parameter = keras_tuner_choice(self._scoped(name), values, default)
        return self._declare_under(parent_name, parent_values, parameter)

    def Boolean(  # noqa: N802
        self,
        name: str,
        default: bool = False,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """Keras Tuner's Boolean."""
        parameter = keras_tuner_boolean(self._scoped(name), default)
        return self._declare_under(parent_name, parent_values, parameter)

    def Fixed(  # noqa: N802
        self, name: str, value: Any, parent_name: str | None = None, parent_values: Any = None
    ) -> Any:
        """Keras Tuner's Fixed: a value that is recorded and does not vary."""
        parameter = Fixed(self._scoped(name), without_numpy(value))
        return self._declare_under(parent_name, parent_values, parameter)

    @contextlib.contextmanager
    def conditional_scope(self, parent_name: str, parent_values: Any) -> Iterator[None]:
        """Opens a scope whose declarations are active only if the parent has one of the values.

        As in Keras Tuner, the code in the scope always runs. If the scope is not active, its
        declarations return None.

        Args:
            parent_name: The name of a hyperparameter that was declared before.
            parent_values: A value, or several in a list, tuple or set.

        Raises:
            HyperparameterError: If there is no such parent.
        """
        name = self._scoped(parent_name)
        parent, value = self._parent(name)
        if parent is None:
            raise HyperparameterError(
                f"A condition names {name!r}, which must be declared before the condition",
                hint=suggestion(name, [*self._declared, *self._out_of_scope]),
            )
        if not isinstance(parent_values, list | tuple | set | frozenset):
            parent_values = [parent_values]
        equal = (equal_value(parent, value) for value in parent_values)
        values = tuple(value for value in equal if value is not NOT_GIVEN)
        met = value is not NOT_GIVEN and parent.identity(value) in map(parent.identity, values)
        self._scopes.append(Scope(name, values, met))
        try:
            yield
        finally:
            self._scopes.pop()

    # Optuna --------------------------------------------------------------------------------

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> Any:
        """Optuna's suggest_float."""
        parameter = optuna_range(Float, str(name), low, high, step, log)
        return self._declare(parameter)

    def suggest_int(self, name: str, low: int, high: int, step: int = 1, log: bool = False) -> Any:
        """Optuna's suggest_int. As in Optuna 3, step and log may be positional arguments."""
        parameter = optuna_range(Int, str(name), low, high, step, log)
        return self._declare(parameter)

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """Optuna's suggest_categorical."""
        return self._declare(categorical(str(name), choices))

    def suggest_uniform(self, name: str, low: float, high: float) -> Any:
        """Optuna's older name for suggest_float."""
        return self.suggest_float(name, low, high)

    def suggest_loguniform(self, name: str, low: float, high: float) -> Any:
        """Optuna's older name for suggest_float with log=True."""
        return self.suggest_float(name, low, high, log=True)

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> Any:
        """Optuna's older name for suggest_float with a step."""
        return self.suggest_float(name, low, high, step=q)

    def set_user_attr(self, key: str, value: Any) -> None:
        """Sets an attribute in `user_attrs`. The attribute lasts until the end of the build."""
        self._user_attrs[key] = value

    def set_system_attr(self, key: str, value: Any) -> None:
        """Does nothing, since system attributes are not for builders."""

    @property
    def user_attrs(self) -> dict[str, Any]:
        """The attributes that `set_user_attr` has set, as a new dict."""
        return dict(self._user_attrs)

    @property
    def study(self) -> Any:
        """Raises HyperparameterError: a builder has no access to the study."""
        raise HyperparameterError(
            "trial.study can't be used here: a trial depends on its own hyperparameters and seed "
            "alone, so that it can be reproduced",
            hint="Leave trial.study out. trial.number, trial.params and trial.set_user_attr work.",
        )

    def report(self, value: float, step: int) -> None:
        """Does nothing, since the study reports the metrics of each epoch itself."""

    def should_prune(self) -> bool:
        """Returns False, since the study prunes trials itself, after an epoch."""
        return False

    # ---------------------------------------------------------------------------------------

    def _declare(self, parameter: Parameter) -> Any:
        name = parameter.name
        if any(scope.parent == name for scope in self._scopes):
            raise HyperparameterError(
                f"{parameter.subject} is declared under a condition on itself",
                hint="Give it another name than its parent's.",
            )
        if not all(scope.met for scope in self._scopes):
            self._out_of_scope.setdefault(name, parameter)
            return None
        self._declared.setdefault(name, parameter)
        return self._value_of(parameter)

    def _declare_under(self, parent_name: str | None, values: Any, parameter: Parameter) -> Any:
        if not parent_name:
            return self._declare(parameter)
        with self.conditional_scope(parent_name, values):
            return self._declare(parameter)


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

    A choice without a default begins with None if None is one of its values, else with the first
    value. Keras Tuner's documentation promises the same.
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
        raise SearchSpaceError(f"{name!r}: Optuna takes either step or log", hint="Leave one out.")
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
        return next((listed for listed in parameter.values if listed == value), NOT_GIVEN)
    whole = _whole(value)
    return whole if is_number(whole) and parameter.contains(whole) else NOT_GIVEN


def _whole(value: Any) -> Any:
    """Returns `32` for `32.0`, as Optuna and Keras Tuner do in an int's range.

    Returns other values as they are.
    """
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
    # If an argument other than the step is wrong, this line raises the error.
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
