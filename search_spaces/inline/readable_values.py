"""Values read by name: the methods of every `hp`."""

from __future__ import annotations

import abc
import contextlib
import copy
from collections.abc import Iterable, Iterator
from typing import Any

from search_spaces.errors import HyperparameterError


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
