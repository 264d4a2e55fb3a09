"""What a builder written for Keras Tuner or Optuna calls: `hp.Float(…)`, `trial.suggest_int(…)`.

Signatures and meanings are those of `keras_tuner.HyperParameters`
(https://keras.io/keras_tuner/api/hyperparameters/) and of `optuna.trial.Trial`
(https://optuna.readthedocs.io/en/stable/reference/generated/optuna.trial.Trial.html).
"""

from __future__ import annotations

import abc
import contextlib
import copy
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from search_spaces.errors import HyperparameterError
from search_spaces.inline import translations
from search_spaces.parameters.parameter import Parameter
from search_spaces.parameters.scalars import NOT_GIVEN, Scalar
from search_spaces.suggestions import suggestion


def opened_again(value: Any) -> Any:
    """Returns a copy of a list or dict, which a builder may change; other values as they are."""
    return copy.deepcopy(value) if isinstance(value, list | dict | tuple) else value


class ReadableValues(abc.ABC):
    """A mapping of names to values that grows as a builder declares hyperparameters."""

    def __init__(self, readable: dict[str, Any]) -> None:
        """Takes the values.

        Args:
            readable: The values that can be read without a declaration, by name; it grows.
        """
        self._readable = readable
        self._name_scopes: list[str] = []

    @abc.abstractmethod
    def _unreadable(self, name: str) -> HyperparameterError:
        """Returns the error for reading a name that has no value."""

    def _note_read(self, names: Iterable[str]) -> None:  # noqa: B027
        """Notes names that are read."""

    def __getitem__(self, name: str) -> Any:
        """Returns the value of a parameter; its `otherwise` if it is not active.

        Raises:
            HyperparameterError: If there is no such parameter, or if it is not active and has no
                `otherwise`.
        """
        name = self._scoped(name)
        # To ask is to read: the builder uses the value if there is one.
        self._note_read([name])
        if name not in self._readable:
            raise self._unreadable(name)
        return opened_again(self._readable[name])

    def get(self, name: str, default: Any = None) -> Any:
        """Returns the value of a parameter, or a default where `hp[name]` would raise.

        Args:
            name: The name of a parameter.
            default: What to return if it is not active and has no `otherwise`, or if the space has
                no such parameter: a builder may serve several spaces.

        Returns:
            The value, or the default.
        """
        name = self._scoped(name)
        self._note_read([name])
        return opened_again(self._readable.get(name, default))

    @property
    def values(self) -> dict[str, Any]:
        """All values that can be read, as a new dict in declared order.

        An attribute, not a method, as in Keras Tuner. All of them count as read.
        """
        self._note_read(self._readable)
        return {name: opened_again(value) for name, value in self._readable.items()}

    def keys(self) -> tuple[str, ...]:
        """Returns the names that can be read, as declared; for `dict(hp)` and `f(**hp)`."""
        return tuple(self._readable)

    def __contains__(self, name: object) -> bool:
        """Returns whether `hp[name]` has a value."""
        return self._scoped(name) in self._readable

    def __iter__(self) -> Iterator[str]:
        """Returns the names that can be read, as declared."""
        return iter(self._readable)

    def __len__(self) -> int:
        """Returns how many names can be read."""
        return len(self._readable)

    @contextlib.contextmanager
    def name_scope(self, name: str) -> Iterator[None]:
        """Opens a scope that puts this name and a slash before names of Keras Tuner's methods."""
        self._name_scopes.append(str(name))
        try:
            yield
        finally:
            self._name_scopes.pop()

    def _scoped(self, name: object) -> str:
        return "/".join([*self._name_scopes, str(name)])


class Scope(NamedTuple):
    """An open conditional scope.

    Attributes:
        parent: The name of the parent.
        values: The values of its domain under which the scope is active; maybe none.
        met: Whether the parent has one of them.
    """

    parent: str
    values: tuple[Scalar, ...]
    met: bool


class InlineDeclarations(ReadableValues):
    """The methods by which a builder declares a hyperparameter and receives its value at once.

    A subclass says what the values are. Under a Keras Tuner scope that is not active, or with
    `parent_name` and `parent_values` that are not met, every declaration returns None.
    """

    def __init__(self, readable: dict[str, Any]) -> None:
        """Begins a build.

        Args:
            readable: The values that can be read without a declaration, by name; it grows.
        """
        super().__init__(readable)
        self._declared: dict[str, Parameter] = {}
        self._out_of_scope: dict[str, Parameter] = {}
        self._scopes: list[Scope] = []
        self._user_attrs: dict[str, Any] = {}

    @abc.abstractmethod
    def _value_of(self, parameter: Parameter) -> Any:
        """Returns the value of a parameter that a builder declares, and makes it readable."""

    @abc.abstractmethod
    def _standing(self, name: str) -> tuple[Parameter | None, Any]:
        """Returns the parent of a condition and its value; NOT_GIVEN if it is inactive."""

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
        with self._maybe_conditional(parent_name, parent_values):
            return self._declare(
                translations.keras_tuner_int(
                    self._scoped(name), min_value, max_value, step, sampling, default
                )
            )

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
        with self._maybe_conditional(parent_name, parent_values):
            return self._declare(
                translations.keras_tuner_float(
                    self._scoped(name), min_value, max_value, step, sampling, default
                )
            )

    def Choice(  # noqa: N802
        self,
        name: str,
        values: Any,
        ordered: bool | None = None,
        default: Any = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """Keras Tuner's Choice; `ordered` is taken and makes no difference here."""
        with self._maybe_conditional(parent_name, parent_values):
            return self._declare(
                translations.keras_tuner_choice(self._scoped(name), values, default)
            )

    def Boolean(  # noqa: N802
        self,
        name: str,
        default: bool = False,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """Keras Tuner's Boolean."""
        with self._maybe_conditional(parent_name, parent_values):
            return self._declare(translations.keras_tuner_boolean(self._scoped(name), default))

    def Fixed(  # noqa: N802
        self, name: str, value: Any, parent_name: str | None = None, parent_values: Any = None
    ) -> Any:
        """Keras Tuner's Fixed: a value that is recorded and does not vary."""
        with self._maybe_conditional(parent_name, parent_values):
            return self._declare(translations.keras_tuner_fixed(self._scoped(name), value))

    @contextlib.contextmanager
    def conditional_scope(self, parent_name: str, parent_values: Any) -> Iterator[None]:
        """Opens a scope: what is declared in it is active only if the parent has one of the values.

        The code within runs in any case, as in Keras Tuner; declarations then return None.

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
            translations.value_meant(parent, each)
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
        return self._declare(translations.optuna_float(str(name), low, high, step, log))

    def suggest_int(self, name: str, low: int, high: int, step: int = 1, log: bool = False) -> Any:
        """Optuna's suggest_int; before Optuna 4, step and log could be given by position."""
        return self._declare(translations.optuna_int(str(name), low, high, step, log))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """Optuna's suggest_categorical."""
        return self._declare(translations.optuna_categorical(str(name), choices))

    def suggest_uniform(self, name: str, low: float, high: float) -> Any:
        """Optuna's suggest_float, its name before Optuna 3."""
        return self.suggest_float(name, low, high)

    def suggest_loguniform(self, name: str, low: float, high: float) -> Any:
        """Optuna's older word for suggest_float with log=True."""
        return self.suggest_float(name, low, high, log=True)

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> Any:
        """Optuna's older word for suggest_float with a step."""
        return self.suggest_float(name, low, high, step=q)

    def set_user_attr(self, key: str, value: Any) -> None:
        """Sets an attribute, which `user_attrs` has in the same build."""
        self._user_attrs[key] = value

    def set_system_attr(self, key: str, value: Any) -> None:
        """Does nothing: Optuna's own notes are not for builders. Optuna 5 dropped it."""

    @property
    def user_attrs(self) -> dict[str, Any]:
        """The attributes that `set_user_attr` has set, as a new dict."""
        return dict(self._user_attrs)

    @property
    def study(self) -> Any:
        """Optuna's study of a trial. There is none here: raises HyperparameterError."""
        raise HyperparameterError(
            "trial.study can't be used here: a trial depends on its own hyperparameters and seed "
            "alone, so that it can be reproduced. Leave it out; trial.number, trial.params and "
            "trial.set_user_attr work."
        )

    def report(self, value: float, step: int) -> None:
        """Does nothing: metrics are reported while the model is trained, not where it is built."""

    def should_prune(self) -> bool:
        """False: trials are pruned while the model is trained, not where it is built."""
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
        before = self._declared.setdefault(name, parameter)
        if not translations.same_domain(before, parameter):
            self._declared_again(before, parameter)
        return self._value_of(parameter)

    def _declared_again(self, before: Parameter, now: Parameter) -> None:
        """Handles a name that one build declares twice, with different domains.

        As in Keras Tuner, the name has one value in a build.
        """

    @contextlib.contextmanager
    def _maybe_conditional(self, parent_name: str | None, parent_values: Any) -> Iterator[None]:
        if not parent_name:
            yield
            return
        with self.conditional_scope(parent_name, parent_values):
            yield
