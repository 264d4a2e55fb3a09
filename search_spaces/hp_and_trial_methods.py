"""The `hp` or `trial` of a model builder: it reads hyperparameters, or declares them inline.

Methods such as `hp.Float` work as in `keras_tuner.HyperParameters`
(https://keras.io/keras_tuner/api/hyperparameters/).

Methods such as `trial.suggest_int` work as in `optuna.trial.Trial`
(https://optuna.readthedocs.io/en/stable/reference/generated/optuna.trial.Trial.html).

A builder may declare "learning_rate" with one range for Adam and another for SGD, under conditions.
These declarations become two parameters. Their names in the space and in every record are:

    learning_rate when optimizer is adam
    learning_rate when optimizer is sgd

The builder reads both as "learning_rate". If no condition separates the declarations, they become
one parameter with the values of all declarations.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

from search_spaces import optuna_and_keras_tuner_translation as declarations
from search_spaces.conditions import condition_in_words
from search_spaces.errors import HyperparameterError
from search_spaces.parameters.choices import Fixed
from search_spaces.parameters.parameter_and_values import (
    NOT_GIVEN,
    Parameter,
    Scalar,
    same_domain,
    without_numpy,
)
from search_spaces.parameters.ranges import Float, Int
from search_spaces.space import SearchSpace
from search_spaces.space_changes import unknown_name
from search_spaces.texts import suggestion

_WHEN: Final = " when "
_LONGEST_NAME: Final = 120
"""Longer names are cut. MLflow allows 250 characters."""
_MOST_LISTED: Final = 4
"""A name such as "rate when optimizer is sgd or adam" lists at most this many values."""


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
        parameter = declarations.keras_tuner_range(
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
        parameter = declarations.keras_tuner_range(
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
        parameter = declarations.keras_tuner_choice(self._scoped(name), values, default)
        return self._declare_under(parent_name, parent_values, parameter)

    def Boolean(  # noqa: N802
        self,
        name: str,
        default: bool = False,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """Keras Tuner's Boolean."""
        parameter = declarations.keras_tuner_boolean(self._scoped(name), default)
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
                f"A condition names {name!r}, which was not declared before it: declare the "
                f"parent first. {suggestion(name, [*self._declared, *self._out_of_scope])}"
            )
        if not isinstance(parent_values, list | tuple | set | frozenset):
            parent_values = [parent_values]
        equal = (declarations.equal_value(parent, each) for each in parent_values)
        values = tuple(each for each in equal if each is not NOT_GIVEN)
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
        parameter = declarations.optuna_range(Float, str(name), low, high, step, log)
        return self._declare(parameter)

    def suggest_int(self, name: str, low: int, high: int, step: int = 1, log: bool = False) -> Any:
        """Optuna's suggest_int. As before Optuna 4, step and log may be positional."""
        parameter = declarations.optuna_range(Int, str(name), low, high, step, log)
        return self._declare(parameter)

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """Optuna's suggest_categorical."""
        return self._declare(declarations.categorical(str(name), choices))

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
            "alone, so that it can be reproduced. Leave trial.study out. trial.number, "
            "trial.params and trial.set_user_attr work."
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
                f"{parameter.subject} is declared under a condition on itself: give it another "
                f"name than its parent's."
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


class Hyperparameters(InlineDeclarations):
    """The values of one trial. A builder reads them by name: `hp["dropout"]`.

    For a parameter that is not active, `hp[name]` returns `otherwise`, if the parameter has one.
    `read` has the names that a builder has read.

    A builder written for Keras Tuner or Optuna declares its hyperparameters inline
    (`hp.Float(…)`, `trial.suggest_float(…)`). A declaration returns the trial's value, even if that
    value lies outside the declared range. If the trial has no value of that name, the declaration
    returns the declared default, and the parameter is added to `defaulted`.

    If a space has "learning_rate when optimizer is adam" and "learning_rate when optimizer is sgd",
    `hp["learning_rate"]` is the value of the active one.

    Example:
        >>> hp = ks.Hyperparameters(ks.SearchSpace(ks.dropout()), {"dropout": 0.2})
        >>> hp["dropout"], hp.get("units"), sorted(hp.read)
        (0.2, None, ['dropout'])
    """

    def __init__(
        self, space: SearchSpace, values: Mapping[str, Any], *, number: int | None = None
    ) -> None:
        """Takes the values of a trial.

        Args:
            space: The space that the values are from.
            values: The values of the active parameters.
            number: The trial's number, from 0. None if there is none.

        Raises:
            SearchSpaceError: If the values are not in the space.
        """
        self._space, self._values = space, space.resolve(values)
        self._active = frozenset(values)
        # A parameter that the builder reads as "rate" may have the name
        # "rate when optimizer is sgd" in the space.
        self._in_space: dict[str, str] = {}
        for name in self._values:
            if self._in_space.get(read_as(name)) not in self._active:
                self._in_space[read_as(name)] = name
        super().__init__(
            {read: space[name].opened(self._values[name]) for read, name in self._in_space.items()}
        )
        self._number = number
        self._read: set[str] = set()
        self._defaulted: dict[str, Parameter] = {}

    @property
    def number(self) -> int:
        """The trial's number, as in Optuna. 0 if there is none."""
        return self._number or 0

    @property
    def params(self) -> dict[str, Any]:
        """The values of all active parameters and of the parameters in `defaulted`, by name."""
        self._read.update(self._active)
        return {n: copied(value) for n, value in self._readable.items() if self._is_active(n)}

    def _is_active(self, name: str) -> bool:
        return self._name_in_space(name) in self._active or name in self._defaulted

    @property
    def read(self) -> frozenset[str]:
        """The names of the space's parameters that the builder has read so far."""
        return frozenset(self._read)

    @property
    def defaulted(self) -> tuple[Parameter, ...]:
        """The parameters that the builder declared and for which the trial has no value."""
        return tuple(self._defaulted.values())

    def _value_of(self, parameter: Parameter) -> Any:
        name = parameter.name
        # The active parameters that are read by this name, usually one. If there are several, a
        # parameter with the declared domain comes first, then the parameter of exactly this name.
        active = [n for n in self._values if n in self._active and name in (n, read_as(n))]
        active.sort(key=lambda n: n != name)
        if active:
            same = [n for n in active if same_domain(self._space[n], parameter)]
            self._in_space[name] = chosen = [*same, *active][0]
            self._readable[name] = self._space[chosen].opened(self._values[chosen])
        elif name not in self._defaulted:
            self._defaulted[name] = parameter
            self._in_space.pop(name, None)
            self._readable[name] = parameter.opened(parameter.default)
        self._note_read([name])
        return copied(self._readable[name])

    def _name_in_space(self, name: str) -> str:
        """Returns the space's name for the parameter that a builder reads as `name`."""
        return self._in_space.get(name, name)

    def _parent(self, name: str) -> tuple[Parameter | None, Any]:
        own = self._name_in_space(name)
        if name in self._defaulted:
            return self._defaulted[name], self._readable[name]
        if own in self._active:
            return self._space[own], self._values[own]
        variant = next((each for each in self._space.names if name in (each, read_as(each))), None)
        if variant is not None:
            return self._space[variant], NOT_GIVEN
        return self._out_of_scope.get(name), NOT_GIVEN

    def _unreadable(self, name: str) -> HyperparameterError:
        conditions = [
            condition_in_words(each)
            for each in self._space
            if name in (each.name, read_as(each.name))
        ]
        if conditions:
            return HyperparameterError(
                f"{name!r} is not active in this trial: {'; '.join(conditions)}. "
                f"Read it only then, declare its value for other trials by otherwise=…, or "
                f"use hp.get({name!r}), which returns None."
            )
        names = [*self._space.names, *self._defaulted]
        return HyperparameterError(unknown_name(name, names))

    def _note_read(self, names: Iterable[str]) -> None:
        for name in names:
            # "rate" may have the variants "rate when optimizer is sgd" and "rate when optimizer is
            # adam". If no variant is active, all count as read.
            own = self._in_space.get(name)
            variants = [own] if own else [n for n in self._space.names if read_as(n) == name]
            self._read.update(each for each in [name, *variants] if each in self._space)

    def __repr__(self) -> str:
        """Returns the values by name, with the values of inactive parameters in brackets."""
        shown = [
            f"{name}={value!r}" if self._is_active(name) else f"[{name}={value!r}]"
            for name, value in self._readable.items()
        ]
        return f"Hyperparameters({', '.join(shown)})"


def read_as(name: str) -> str:
    """Returns the name by which a builder reads a parameter: the name without " when …"."""
    return name.partition(_WHEN)[0]


def variant_name(name: str, condition: Mapping[str, Sequence[Scalar]], taken: set[str]) -> str:
    """Returns a name such as "learning_rate when optimizer is sgd" that is not in `taken`."""
    words = " and ".join(f"{read_as(p)} is {_in_words(v)}" for p, v in condition.items())
    base = f"{name}{_WHEN}{words}".replace("=", ":")
    if len(base) > _LONGEST_NAME:
        base = base[: _LONGEST_NAME - 1].rstrip() + "…"
    unique, count = base, 1
    while unique in taken:
        count += 1
        unique = f"{base} ({count})"
    return unique


def _in_words(values: Sequence[Scalar]) -> str:
    if len(values) > _MOST_LISTED:
        return f"{values[0]} or {len(values) - 1} others"
    return " or ".join(str(value) for value in values)
