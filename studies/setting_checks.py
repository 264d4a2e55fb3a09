"""Checks of a study's numbers, and of the values of its first trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from studies.errors import StudyError


def check_count(name: str, value: object) -> None:
    """Checks a whole number of at least 1.

    Raises:
        StudyError: If it is not.
    """
    if not is_count(value):
        raise StudyError(f"{name} must be a whole number of at least 1. Received: {value!r}.")


def check_seconds(name: str, value: object) -> None:
    """Checks a time in seconds.

    Raises:
        StudyError: If it is not a number above 0.
    """
    if not _is_number(value) or not value > 0:  # type: ignore[operator]
        raise StudyError(f"{name} must be a number of seconds above 0. Received: {value!r}.")


def check_target(value: object) -> None:
    """Checks a value of the objective.

    Raises:
        StudyError: If it is not a finite number.
    """
    if not _is_number(value):
        raise StudyError(f"target must be a finite number. Received: {value!r}.")


def check_initial(initial: object) -> tuple[dict[str, Any], ...]:
    """Returns the values of a study's first trials.

    Raises:
        StudyError: If it is no list of values by name.
    """
    if not isinstance(initial, Sequence) or not all(isinstance(v, Mapping) for v in initial):
        raise StudyError(
            "initial must be a list of values by name, such as [{'learning_rate': 0.01}]. "
            f"Received: {initial!r:.200}"
        )
    return tuple(dict(values) for values in initial)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_count(value: object) -> bool:
    """Returns whether a value is a whole number of at least 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
