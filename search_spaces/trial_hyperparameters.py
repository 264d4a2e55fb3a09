"""The `hp` of a trial: the values of the hyperparameters that a builder reads or declares.

A builder may declare "learning_rate" with one range for Adam and another for SGD, under conditions.
These declarations become two parameters. Their names in the space and in every record are:

    learning_rate when optimizer is adam
    learning_rate when optimizer is sgd

The builder reads both as "learning_rate". If no condition separates the declarations, they become
one parameter with the values of all declarations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from search_spaces.conditions import condition_in_words
from search_spaces.errors import HyperparameterError
from search_spaces.hp_and_trial_methods import InlineDeclarations, copied
from search_spaces.parameters import (
    NOT_GIVEN,
    Parameter,
    Scalar,
    same_domain,
)
from search_spaces.space import SearchSpace
from search_spaces.space_changes import unknown_name

_WHEN: Final = " when "
_LONGEST_NAME: Final = 120
"""Longer names are cut. MLflow allows 250 characters."""
_MOST_LISTED: Final = 4
"""A name such as "rate when optimizer is sgd or adam" lists at most this many values."""


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
        variant = next((full for full in self._space.names if name in (full, read_as(full))), None)
        if variant is not None:
            return self._space[variant], NOT_GIVEN
        return self._out_of_scope.get(name), NOT_GIVEN

    def _unreadable(self, name: str) -> HyperparameterError:
        conditions = [
            condition_in_words(parameter)
            for parameter in self._space
            if name in (parameter.name, read_as(parameter.name))
        ]
        if conditions:
            return HyperparameterError(
                f"{name!r} is not active in this trial: {'; '.join(conditions)}",
                hint="Read it only then, declare its value for other trials by otherwise=…, or "
                f"use hp.get({name!r}), which returns None.",
            )
        names = [*self._space.names, *self._defaulted]
        return unknown_name(name, names).of_kind(HyperparameterError)

    def _note_read(self, names: Iterable[str]) -> None:
        for name in names:
            # "rate" may have the variants "rate when optimizer is sgd" and "rate when optimizer is
            # adam". If no variant is active, all count as read.
            own = self._in_space.get(name)
            variants = [own] if own else [n for n in self._space.names if read_as(n) == name]
            self._read.update(full for full in [name, *variants] if full in self._space)

    def __repr__(self) -> str:
        """Returns the values by name, with the values of inactive parameters in brackets."""
        items = [
            f"{name}={value!r}" if self._is_active(name) else f"[{name}={value!r}]"
            for name, value in self._readable.items()
        ]
        return f"Hyperparameters({', '.join(items)})"


def read_as(name: str) -> str:
    """Returns the name by which a builder reads a parameter: the name without " when …"."""
    return name.partition(_WHEN)[0]


def variant_name(
    name: str, condition: Mapping[str, Sequence[Scalar]], other_names: set[str]
) -> str:
    """Returns a name such as "learning_rate when optimizer is sgd" that is not in `other_names`."""
    words = " and ".join(f"{read_as(p)} is {_in_words(v)}" for p, v in condition.items())
    base = f"{name}{_WHEN}{words}".replace("=", ":")
    if len(base) > _LONGEST_NAME:
        base = base[: _LONGEST_NAME - 1].rstrip() + "…"
    unique, count = base, 1
    while unique in other_names:
        count += 1
        unique = f"{base} ({count})"
    return unique


def _in_words(values: Sequence[Scalar]) -> str:
    if len(values) > _MOST_LISTED:
        return f"{values[0]} or {len(values) - 1} others"
    return " or ".join(str(value) for value in values)
