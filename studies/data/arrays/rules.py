"""The rule by which targets were made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from search_spaces.errors import DataError


def by_rule(rule: Callable[[Any], Any], x: Any) -> np.ndarray:
    """Returns the targets of samples by a rule, a number each.

    Raises:
        DataError: The rule fails, or does not return a number for each sample.
    """
    try:
        made = np.asarray(rule(x), dtype=np.float64)
    except Exception as error:
        raise DataError(f"rule failed on the samples: {type(error).__name__}: {error}") from error
    if not isinstance(x, np.ndarray) or made.size != len(x):
        raise DataError(
            "rule must take all samples, as one array, and return a number for each. "
            f"Received: an array of shape {made.shape}."
        )
    return made.reshape(-1)
