"""Predicts which trials the same program trains."""

from __future__ import annotations

from collections.abc import Hashable

from search_spaces.ready_made import INITIALIZERS
from tracking.records import TrialSpec


def kind_of(spec: TrialSpec) -> Hashable:
    """Returns a key that trials share if the same program is likely to train them.

    Floats, epochs and initial weights are no part of a program. All else may be; the batch size is.
    """
    return spec.batch_size, frozenset(
        (name, value)
        for name, value in spec.values.items()
        if name != "epochs" and not isinstance(value, float) and value not in INITIALIZERS
    )
