"""Replaying: whether a function would read the same from other hyperparameters."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, NamedTuple

Kind = Literal["call", "attribute", "enter", "leave"]


class Asked(NamedTuple):
    """A question of a function to its `hp`, and the answer."""

    kind: Kind
    name: str = ""
    arguments: tuple[Any, ...] = ()
    keywords: tuple[tuple[str, Any], ...] = ()
    answer: Any = None


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
        if callable(found):
            return functools.partial(self._call, name)
        return self._noted(Asked("attribute", name), found)

    def __getitem__(self, name: str) -> Any:
        """See `Hyperparameters`."""
        return self._call("__getitem__", name)

    def __contains__(self, name: object) -> bool:
        """See `Hyperparameters`."""
        return bool(self._call("__contains__", name))

    def __iter__(self) -> Iterator[str]:
        """See `Hyperparameters`."""
        return iter(self._call("keys"))

    def __len__(self) -> int:
        """See `Hyperparameters`."""
        return len(self._call("keys"))

    def _call(self, name: str, *arguments: Any, **keywords: Any) -> Any:
        # What a function does after an error is not recorded.
        comparable, self._comparable = self._comparable, False
        answer = getattr(self._hp, name)(*arguments, **keywords)
        self._comparable = comparable
        kind: Kind = "enter" if isinstance(answer, AbstractContextManager) else "call"
        kept = copy.deepcopy((arguments, tuple(keywords.items())))
        asked = Asked(kind, name, *kept)
        return self._scope(asked, answer) if kind == "enter" else self._noted(asked, answer)

    @contextlib.contextmanager
    def _scope(self, asked: Asked, scope: AbstractContextManager[Any]) -> Iterator[None]:
        self._asked.append(asked)
        try:
            with scope:
                yield
        finally:
            self._asked.append(Asked("leave"))

    def _noted(self, asked: Asked, answer: Any) -> Any:
        if _is_plain(answer):
            self._asked.append(asked._replace(answer=copy.deepcopy(answer)))
        else:
            self._comparable = False
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
    scopes: list[contextlib.ExitStack] = []
    try:
        return all(_answers(each, hp, scopes) for each in asked)
    except Exception:
        # The function itself will raise the error.
        return False
    finally:
        for scope in reversed(scopes):
            scope.close()


def _answers(asked: Asked, hp: Any, scopes: list[contextlib.ExitStack]) -> bool:
    if asked.kind == "leave":
        scopes.pop().close()
        return True
    found = getattr(hp, asked.name)
    if asked.kind == "attribute":
        return _same(found, asked.answer)
    answer = found(*copy.deepcopy(asked.arguments), **copy.deepcopy(dict(asked.keywords)))
    if asked.kind == "call":
        return _same(answer, asked.answer)
    scopes.append(contextlib.ExitStack())
    scopes[-1].enter_context(answer)
    return True


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_plain(each) for pair in value.items() for each in pair)
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _same(one: Any, other: Any) -> bool:
    """Returns whether two answers are equal, and of one type: 1 and True are not the same."""
    return type(one) is type(other) and repr(one) == repr(other)
