"""Marks the tests that only `pytest -m ""` runs, as they show more of the same."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def one_thread() -> None:
    """Gives TensorFlow one thread, before anything uses it with more.

    A process can't change the number later, and a resumed study needs the number that it had.
    """
    from studies.training import configure_tensorflow

    configure_tensorflow(1)


def exhaustive_but(everyday: Collection[Any], values: Iterable[Any]) -> list[Any]:
    """Returns values for `parametrize`. Tests with values beyond `everyday` are exhaustive."""
    values = list(values)
    assert all(value in values for value in everyday), "everyday values are among the values"
    return [
        value
        if value in everyday
        else pytest.param(
            *(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.exhaustive
        )
        for value in values
    ]
