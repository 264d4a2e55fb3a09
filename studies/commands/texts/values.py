"""Values in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from studies.lines import printable


def shown(value: object) -> str:
    """Returns a value as a person reads it."""
    return f"{value:.6g}" if isinstance(value, float) else printable(str(value))


def spelled(values: Mapping[str, Any]) -> str:
    """Returns hyperparameters with their values."""
    return ", ".join(f"{printable(name)} = {shown(value)}" for name, value in values.items())


def states(counts: Mapping[str, int]) -> str:
    """Returns the number of trials by state; empty if there are none."""
    return ", ".join(f"{n} {name}" for name, n in counts.items() if n and name != "total")
