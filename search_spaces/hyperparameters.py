"""Hyperparameters: the `hp` that a model builder receives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from search_spaces.conditions import condition_in_words
from search_spaces.errors import SearchSpaceError, suggestion
from search_spaces.space import SearchSpace


class HyperparameterError(SearchSpaceError, KeyError):
    """A builder asked for a hyperparameter that has no value.

    It is a KeyError too, as for any mapping, but reads as its message and nothing else.
    """

    def __str__(self) -> str:
        """The message; KeyError alone would quote it."""
        return str(self.args[0]) if self.args else ""


class Hyperparameters:
    """The values of one trial, read by name: `hp["dropout"]`.

    A parameter that is not active reads as its `otherwise`, if it has one. Reading is recorded, so
    that a parameter which a builder never reads can be reported.
    """

    def __init__(self, space: SearchSpace, values: Mapping[str, Any]) -> None:
        """Takes the values of a trial.

        Args:
            space: The space that they are from.
            values: The values of the active parameters.

        Raises:
            SearchSpaceError: If the values are not in the space.
        """
        self._space = space
        self._active = frozenset(values)
        self._resolved = space.resolve(values)
        self._read: set[str] = set()

    @property
    def space(self) -> SearchSpace:
        """The space that the values are from."""
        return self._space

    @property
    def values(self) -> dict[str, Any]:
        """All values that can be read, as a new dict in declared order.

        An attribute, not a method, as in Keras Tuner. All of them count as read.
        """
        self._read.update(self._resolved)
        return dict(self._resolved)

    @property
    def read(self) -> frozenset[str]:
        """The names of the parameters that were read so far."""
        return frozenset(self._read)

    def __getitem__(self, name: str) -> Any:
        """The value of a parameter; its `otherwise` if it is not active.

        Raises:
            HyperparameterError: If there is no such parameter, or if it is not active and has no
                `otherwise`.
        """
        if name in self._resolved:
            self._read.add(name)
            return self._resolved[name]
        if name in self._space:
            # Asking is reading: the builder does use it, when there is something to use.
            self._read.add(name)
            raise HyperparameterError(
                f"{name!r} is not active in this trial: {condition_in_words(self._space[name])}. "
                f"Read it only then, declare what it is otherwise with otherwise=…, or use "
                f"hp.get({name!r}), which returns None."
            )
        raise HyperparameterError(
            f"{name!r} is not in the search space. {suggestion(name, self._space.names)}"
        )

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a parameter, or a default where `hp[name]` would raise.

        Args:
            name: The name of a parameter.
            default: What to return if it is not active and has no `otherwise`, or if the space has
                no such parameter: a builder may serve several spaces.

        Returns:
            The value, or the default.
        """
        if name in self._space:
            self._read.add(name)
        return self._resolved.get(name, default)

    def keys(self) -> tuple[str, ...]:
        """The names that can be read, as declared; with it, `dict(hp)` and `f(**hp)` work."""
        return tuple(self._resolved)

    def __contains__(self, name: object) -> bool:
        """Whether `hp[name]` has a value."""
        return name in self._resolved

    def __iter__(self) -> Iterator[str]:
        """The names that can be read, as declared."""
        return iter(self._resolved)

    def __len__(self) -> int:
        """How many names can be read."""
        return len(self._resolved)

    def __repr__(self) -> str:
        """The values by name; those of parameters that are not active in brackets."""
        shown = [
            f"{name}={value!r}" if name in self._active else f"[{name}={value!r}]"
            for name, value in self._resolved.items()
        ]
        return f"Hyperparameters({', '.join(shown)})"
