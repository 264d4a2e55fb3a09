"""What the suite runs each time, and what is left for `pytest -m ""`: more of the same."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable
from typing import Any

import pytest


def one_thread() -> None:
    """Gives TensorFlow the threads of a trial before anything uses it with others.

    A study resumes with the threads that it has, and a process can't change its own.
    """
    from studies.training import configure_tensorflow

    configure_tensorflow(1)


def exhaustive_but(kept: Collection[Any], values: Iterable[Any]) -> list[Any]:
    """Values for `parametrize`: those that are kept run each time, the others are exhaustive."""
    values = list(values)
    assert all(value in values for value in kept), "what is kept is among the values"
    return [
        value
        if value in kept
        else pytest.param(
            *(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.exhaustive
        )
        for value in values
    ]


def exhaustive(test: Callable[..., None]) -> Callable[..., None]:
    """Returns a test of a conformance class, for a class that leaves it to another one's run."""

    @functools.wraps(test)
    def left(*arguments: Any, **named: Any) -> None:
        test(*arguments, **named)

    return pytest.mark.exhaustive(left)
