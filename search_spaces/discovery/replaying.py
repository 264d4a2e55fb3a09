"""Replaying: whether a function would read the same from other hyperparameters."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple

_LEFT: Final = ""
"""In place of a name: a scope was left."""


class Asked(NamedTuple):
    """A question of a function to its `hp`, and the answer.

    Attributes:
        name: The method or attribute, or `_LEFT`.
        call: The arguments of a method; None for an attribute.
        answer: What was returned; None for a scope.
    """

    name: str
    call: tuple[tuple[Any, ...], dict[str, Any]] | None
    answer: Any


class RecordedHyperparameters:
    """An `hp` that records questions and answers.

    A function that depends on its `hp` alone asks the same again as long as it gets the same
    answers. So `answers_alike` says whether it would return the same for another `hp`.
    """

    def __init__(self, hp: Any) -> None:
        self._hp = hp
        self._asked: list[Asked] = []
        self._comparable = True

    @property
    def asked(self) -> tuple[Asked, ...] | None:
        """All questions so far; None if an answer can't be compared with another."""
        return tuple(self._asked) if self._comparable else None

    def __getattr__(self, name: str) -> Any:
        """Returns a method or an attribute of the `hp`."""
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(self._hp, name)
        return self._method(name) if callable(found) else self._noted(name, None, found)

    def __getitem__(self, name: str) -> Any:
        """See `Hyperparameters`."""
        return self._method("__getitem__")(name)

    def __contains__(self, name: object) -> bool:
        """See `Hyperparameters`."""
        return bool(self._method("__contains__")(name))

    def __iter__(self) -> Iterator[str]:
        """See `Hyperparameters`."""
        return iter(self._method("keys")())

    def __len__(self) -> int:
        """See `Hyperparameters`."""
        return len(self._method("keys")())

    def _method(self, name: str) -> Callable[..., Any]:
        def method(*arguments: Any, **keywords: Any) -> Any:
            # What a function does after an error is not recorded.
            comparable, self._comparable = self._comparable, False
            answer = getattr(self._hp, name)(*arguments, **keywords)
            self._comparable = comparable
            call = copy.deepcopy((arguments, keywords))
            if isinstance(answer, AbstractContextManager):
                return self._scope(Asked(name, call, None), answer)
            return self._noted(name, call, answer)

        return method

    @contextlib.contextmanager
    def _scope(self, asked: Asked, scope: AbstractContextManager[Any]) -> Iterator[None]:
        self._asked.append(asked)
        try:
            with scope:
                yield
        finally:
            self._asked.append(Asked(_LEFT, None, None))

    def _noted(self, name: str, call: Any, answer: Any) -> Any:
        self._comparable = self._comparable and _is_plain(answer)
        if self._comparable:
            self._asked.append(Asked(name, call, copy.deepcopy(answer)))
        return answer


def answers_alike(asked: Sequence[Asked], hp: Any) -> bool:
    """Asks another `hp` the same questions, until an answer differs.

    Args:
        asked: Of `RecordedHyperparameters.asked`.
        hp: The `hp` to ask now. Reads and declarations count as if the function itself had asked,
            which would do the same up to the first other answer.

    Returns:
        Whether all answers are the same.
    """
    scopes: list[AbstractContextManager[Any]] = []
    try:
        for name, call, expected in asked:
            if name == _LEFT:
                scopes.pop().__exit__(None, None, None)
                continue
            answer = getattr(hp, name)
            if call is not None:
                arguments, keywords = copy.deepcopy(call)
                answer = answer(*arguments, **keywords)
            if isinstance(answer, AbstractContextManager):
                answer.__enter__()
                scopes.append(answer)
            # Of one type, too: 1 and True are not the same.
            elif (type(answer), repr(answer)) != (type(expected), repr(expected)):
                return False
        return True
    except Exception:
        # The function itself will raise the error.
        return False
    finally:
        for scope in reversed(scopes):
            scope.__exit__(None, None, None)


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_plain(each) for pair in value.items() for each in pair)
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)
