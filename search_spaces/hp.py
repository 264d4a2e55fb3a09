"""The `hp` that a model builder receives: read by name, or declared inline.

Methods such as `hp.Float` work as in `keras_tuner.HyperParameters`
(https://keras.io/keras_tuner/api/hyperparameters/).

Methods such as `trial.suggest_int` work as in `optuna.trial.Trial`
(https://optuna.readthedocs.io/en/stable/reference/generated/optuna.trial.Trial.html).
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Self

from search_spaces import declarations
from search_spaces.declarations import read_as, same_domain
from search_spaces.errors import HyperparameterError, suggestion
from search_spaces.parameters import ranges as parameters
from search_spaces.parameters.base import Parameter, condition_in_words
from search_spaces.parameters.choices import Fixed
from search_spaces.parameters.values import NOT_GIVEN, Scalar, without_numpy
from search_spaces.space import SearchSpace


def opened_again(value: Any) -> Any:
    """Returns the value. Copies a tuple, list or dict, since a builder may change it."""
    return copy.deepcopy(value) if isinstance(value, list | dict | tuple) else value


class Scope(NamedTuple):
    """An open `hp.conditional_scope`."""

    parent: str
    values: tuple[Scalar, ...]
    """The parent's values under which the scope is active; may be empty."""
    met: bool


class InlineDeclarations:
    """The methods of every `hp`. A builder reads values, or declares parameters and gets values.

    A subclass provides the values. As in Keras Tuner, a declaration returns None if its parent has
    none of the `parent_values`.
    """

    def __init__(self, readable: dict[str, Any]) -> None:
        """Takes the values that can be read without a declaration. Declarations add to the dict."""
        self._readable = readable
        self._declared: dict[str, Parameter] = {}
        self._out_of_scope: dict[str, Parameter] = {}
        self._scopes: list[Scope] = []
        self._name_scopes: list[str] = []
        self._user_attrs: dict[str, Any] = {}

    def _value_of(self, parameter: Parameter) -> Any:
        """Returns the value of a parameter that a builder declares, and makes it readable."""
        raise NotImplementedError

    def _standing(self, name: str) -> tuple[Parameter | None, Any]:
        """Returns a condition's parent and its value, or NOT_GIVEN if the parent is inactive."""
        raise NotImplementedError

    def _unreadable(self, name: str) -> HyperparameterError:
        """Returns the error for reading a name that has no value."""
        raise NotImplementedError

    def _note_read(self, names: Iterable[str]) -> None:
        """Notes names that are read."""

    # Reading -------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        """Returns the value of a parameter, or its `otherwise` if it is not active.

        Raises:
            HyperparameterError: If there is no such parameter, or if it is not active and has no
                `otherwise`.
        """
        name = self._scoped(name)
        # The name counts as read even if it has no value: in other trials it may have one.
        self._note_read([name])
        if name not in self._readable:
            raise self._unreadable(name)
        return opened_again(self._readable[name])

    def get(self, name: str, default: Any = None) -> Any:
        """Returns the value of a parameter, or a default where `hp[name]` would raise.

        Args:
            name: The name of a parameter.
            default: What to return if the space has no such parameter, or if the parameter is not
                active and has no `otherwise`.

        Returns:
            The value, or the default.
        """
        name = self._scoped(name)
        self._note_read([name])
        return opened_again(self._readable.get(name, default))

    @property
    def values(self) -> dict[str, Any]:
        """All values that can be read, as a new dict in declared order.

        This is an attribute, not a method, as in Keras Tuner. All values count as read.
        """
        self._note_read(self._readable)
        return {name: opened_again(value) for name, value in self._readable.items()}

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
        """Returns a copy. A name that is read on the copy counts as read on this object, too.

        `keras_tuner.HyperModel(tunable=False)` builds with a copy.
        """
        copied = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, dict):
                setattr(copied, name, dict(value))
        copied._scopes, copied._name_scopes = [], []
        return copied

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
            parameters.Int, self._scoped(name), min_value, max_value, step, sampling, default
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
            parameters.Float, self._scoped(name), min_value, max_value, step, sampling, default
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
        """Opens a scope. Its declarations are active only if the parent has one of the values.

        As in Keras Tuner, the code in the scope always runs. Its declarations return None if the
        scope is not active.

        Args:
            parent_name: The name of a hyperparameter that was declared before.
            parent_values: A value, or several in a list, tuple or set.

        Raises:
            HyperparameterError: If there is no such parent.
        """
        name = self._scoped(parent_name)
        parent, value = self._standing(name)
        if parent is None:
            raise HyperparameterError(
                f"A condition names {name!r}, which was not declared before it: declare the "
                f"parent first. {suggestion(name, [*self._declared, *self._out_of_scope])}"
            )
        several = isinstance(parent_values, list | tuple | set | frozenset)
        meant = [
            declarations.value_meant(parent, each)
            for each in (parent_values if several else [parent_values])
        ]
        values = tuple(each for each in meant if each is not NOT_GIVEN)
        identities = [parent.identity(each) for each in values]
        met = value is not NOT_GIVEN and parent.identity(value) in identities
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
        kind = parameters.Float
        return self._declare(declarations.optuna_range(kind, str(name), low, high, step, log))

    def suggest_int(self, name: str, low: int, high: int, step: int = 1, log: bool = False) -> Any:
        """Optuna's suggest_int. As before Optuna 4, step and log may be positional."""
        kind = parameters.Int
        return self._declare(declarations.optuna_range(kind, str(name), low, high, step, log))

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
        """Sets an attribute that `user_attrs` returns during the same build."""
        self._user_attrs[key] = value

    def set_system_attr(self, key: str, value: Any) -> None:
        """Does nothing, since system attributes are not for builders."""

    @property
    def user_attrs(self) -> dict[str, Any]:
        """The attributes that `set_user_attr` has set, as a new dict."""
        return dict(self._user_attrs)

    @property
    def study(self) -> Any:
        """Raises HyperparameterError, since a builder has no access to the study."""
        raise HyperparameterError(
            "trial.study can't be used here: a trial depends on its own hyperparameters and seed "
            "alone, so that it can be reproduced. Leave it out; trial.number, trial.params and "
            "trial.set_user_attr work."
        )

    def report(self, value: float, step: int) -> None:
        """Does nothing. Metrics are reported while the model is trained, not where it is built."""

    def should_prune(self) -> bool:
        """Returns False. Trials are pruned while the model is trained, not where it is built."""
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
    """The values of one trial, read by name: `hp["dropout"]`.

    A parameter that is not active reads as its `otherwise`, if it has one. The names that a builder
    reads are recorded in `read`.

    A builder written for Keras Tuner or Optuna declares its hyperparameters inline
    (`hp.Float(…)`, `trial.suggest_float(…)`). A declaration returns the trial's value, whatever
    range it declares. If the trial has no value of that name, the declaration returns its own
    default, and the parameter is added to `joined`.

    A space may have "learning_rate when optimizer is adam" and "learning_rate when optimizer is
    sgd". A builder reads the active one as `hp["learning_rate"]`.

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
        # The builder's name "rate" may mean "rate when optimizer is sgd" in the space.
        self._named: dict[str, str] = {}
        for name in self._values:
            visible = name if name in space and read_as(name) == name else read_as(name)
            if self._named.get(visible) not in self._active:
                self._named[visible] = name
        super().__init__(
            {seen: space[name].opened(self._values[name]) for seen, name in self._named.items()}
        )
        self._number = number
        self._read: set[str] = set()
        self._joined: dict[str, Parameter] = {}

    @property
    def space(self) -> SearchSpace:
        """The space that the values are from."""
        return self._space

    @property
    def number(self) -> int:
        """The trial's number, as in Optuna. 0 if there is none."""
        return self._number or 0

    @property
    def params(self) -> dict[str, Any]:
        """The values of the active parameters and of the `joined` ones, as in Optuna."""
        self._read.update(self._active)
        return {
            name: opened_again(value)
            for name, value in self._readable.items()
            if self._called(name) in self._active or name in self._joined
        }

    @property
    def read(self) -> frozenset[str]:
        """The names of the space's parameters that were read so far."""
        return frozenset(self._read)

    @property
    def joined(self) -> tuple[Parameter, ...]:
        """The parameters that the builder declared and the trial has no value for."""
        return tuple(self._joined.values())

    def _value_of(self, parameter: Parameter) -> Any:
        name = parameter.name
        possible = self._possible(name)
        if possible:
            meant = [each for each in possible if same_domain(self._space[each], parameter)]
            self._named[name] = chosen = [*meant, *possible][0]
            self._readable[name] = self._space[chosen].opened(self._values[chosen])
        elif name not in self._joined:
            self._joined[name] = parameter
            self._named.pop(name, None)
            self._readable[name] = parameter.opened(parameter.default)
        self._note_read([name])
        return opened_again(self._readable[name])

    def _possible(self, name: str) -> list[str]:
        """Returns the active parameters that a builder reads by a name. Mostly there is one."""
        variants = [each for each in self._values if each != name and read_as(each) == name]
        return [each for each in (name, *variants) if each in self._active]

    def _called(self, name: str) -> str:
        """Translates a name that a builder reads into the parameter's name in the space."""
        return self._named.get(name, name)

    def _standing(self, name: str) -> tuple[Parameter | None, Any]:
        called = self._called(name)
        if name in self._joined:
            return self._joined[name], self._readable[name]
        if called in self._active:
            return self._space[called], self._values[called]
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
                f"Read it only then, declare what it is otherwise with otherwise=…, or use "
                f"hp.get({name!r}), which returns None."
            )
        known = [*self._space.names, *self._joined]
        return HyperparameterError(
            f"{name!r} is not in the search space. {suggestion(name, known)}"
        )

    def _note_read(self, names: Iterable[str]) -> None:
        for name in names:
            # If no variant of the name is active, all its variants count as read.
            called = self._named.get(name)
            known = [called] if called else [n for n in self._space.names if read_as(n) == name]
            self._read.update(each for each in [name, *known] if each in self._space)

    def __repr__(self) -> str:
        """Returns the values by name, with the values of inactive parameters in brackets."""
        shown = [
            f"{name}={value!r}"
            if self._called(name) in self._active or name in self._joined
            else f"[{name}={value!r}]"
            for name, value in self._readable.items()
        ]
        return f"Hyperparameters({', '.join(shown)})"
