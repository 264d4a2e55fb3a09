"""Hyperparameters: the `hp` that a model builder receives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from search_spaces.errors import HyperparameterError
from search_spaces.inline.inline_declarations import InlineDeclarations, opened_again
from search_spaces.inline.translations import same_domain
from search_spaces.inline.variants import read_as
from search_spaces.parameters.conditions import condition_in_words
from search_spaces.parameters.parameter import Parameter
from search_spaces.parameters.scalars import NOT_GIVEN
from search_spaces.space.search_space import SearchSpace
from search_spaces.suggestions import suggestion


class Hyperparameters(InlineDeclarations):
    """The values of one trial, read by name: `hp["dropout"]`.

    A parameter that is not active reads as its `otherwise`, if it has one. The object records what
    is read, so that unread parameters can be reported.

    A builder written for Keras Tuner or Optuna declares its hyperparameters inline
    (`hp.Float(…)`, `trial.suggest_float(…)`). A declaration returns the trial's value; the domain
    of the space holds, not the declared one. If the trial has no value of that name, because it is
    not active or not in the space, the declaration returns its own default and adds it to `joined`.
    A name that a build declares twice has one value in that build.

    Parameters called "learning_rate when …" are read as "learning_rate": see `variants`.

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
            space: The space that they are from.
            values: The values of the active parameters.
            number: The trial's number, from 0; None where there is none.

        Raises:
            SearchSpaceError: If the values are not in the space.
        """
        self._space, self._values = space, space.resolve(values)
        self._active = frozenset(values)
        # By a name, a builder reads that parameter, or an active variant of it.
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
        """The trial's number, as in Optuna; 0 where there is none."""
        return self._number or 0

    @property
    def params(self) -> dict[str, Any]:
        """The values of the active parameters and of those that joined; Optuna's word."""
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
        """Parameters that the builder declared and the trial has no value of, without condition."""
        return tuple(self._joined.values())

    def copy(self) -> Hyperparameters:
        """Returns a copy: what is declared on it joins only there.

        `keras_tuner.HyperModel(tunable=False)` builds with a copy. Reading is recorded in both.
        """
        values = {name: self._values[name] for name in self._active}
        copied = type(self)(self._space, values, number=self._number)
        copied._read = self._read
        copied._readable = dict(self._readable)
        copied._named = dict(self._named)
        copied._joined = dict(self._joined)
        copied._declared = dict(self._declared)
        copied._out_of_scope = dict(self._out_of_scope)
        copied._user_attrs = dict(self._user_attrs)
        return copied

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
        """Returns the active parameters that a builder reads by a name, mostly one."""
        variants = [each for each in self._values if each != name and read_as(each) == name]
        return [each for each in (name, *variants) if each in self._active]

    def _called(self, name: str) -> str:
        """Returns what a parameter that a builder reads by this name is called in the space."""
        return self._named.get(name, name)

    def _standing(self, name: str) -> tuple[Parameter | None, Any]:
        called = self._called(name)
        if name in self._joined:
            return self._joined[name], self._readable[name]
        if called in self._active:
            return self._space[called], self._values[called]
        known = next((each for each in self._space.names if name in (each, read_as(each))), None)
        if known is not None:
            return self._space[known], NOT_GIVEN
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
            # One that is not active is read by all the names that it may have.
            called = self._named.get(name)
            found = [called] if called else [n for n in self._space.names if read_as(n) == name]
            self._read.update(each for each in [name, *found] if each in self._space)

    def __repr__(self) -> str:
        """Returns the values by name; those of parameters that are not active in brackets."""
        shown = [
            f"{name}={value!r}"
            if self._called(name) in self._active or name in self._joined
            else f"[{name}={value!r}]"
            for name, value in self._readable.items()
        ]
        return f"Hyperparameters({', '.join(shown)})"
