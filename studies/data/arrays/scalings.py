"""Scalings: preprocessing that a Keras layer can repeat, to the same bits.

The registered model takes samples before preprocessing, so the preprocessing becomes layers of it.
A layer gets floats as float32 from Keras. So float32 is scaled here too, and both compute ``x *
scale + offset`` in float64, then round to float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Scaling:
    """A factor and an addend for each feature: float64, of shape (features,)."""

    scale: np.ndarray
    offset: np.ndarray

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Returns scaled rows: float64 of shape (n, features), as are those given."""
        scaled: np.ndarray = rows * self.scale + self.offset
        return scaled


def as_read(rows: np.ndarray) -> np.ndarray:
    """Returns numbers as Keras passes them to a layer that computes in float64."""
    read = rows.astype(np.float32) if rows.dtype.kind == "f" else rows
    return read.astype(np.float64)


def can_be_scalings(transformer: Any) -> bool:
    """Returns whether a transformer, fitted or not, only scales."""
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

    # Exactly: a subclass may do anything.
    if type(transformer) is Pipeline:
        steps = [step for _, step in transformer.steps]
        doing = [step for step in steps if step not in (None, "passthrough")]
        return bool(doing) and all(map(can_be_scalings, doing))
    if type(transformer) is MinMaxScaler:
        return not transformer.clip
    return type(transformer) in (StandardScaler, RobustScaler, MaxAbsScaler)


def scalings_of(transformer: Any) -> tuple[Scaling, ...]:
    """Returns the scalings of a fitted transformer that `can_be_scalings`, in their order."""
    from sklearn.pipeline import Pipeline

    if type(transformer) is Pipeline:
        steps: Sequence[Any] = [step for _, step in transformer.steps]
        found = [scalings_of(each) for each in steps if each not in (None, "passthrough")]
        return tuple(scaling for each in found for scaling in each)
    features = int(transformer.n_features_in_)
    scale, offset = np.ones(features), np.zeros(features)
    if hasattr(transformer, "min_"):
        # MinMaxScaler has them as they are used.
        scale, offset = transformer.scale_, transformer.min_
    else:
        if getattr(transformer, "scale_", None) is not None:
            scale = 1 / np.asarray(transformer.scale_, np.float64)
        centre = _centre(transformer)
        if centre is not None:
            offset = -np.asarray(centre, np.float64) * scale
    return (Scaling(np.asarray(scale, np.float64), np.asarray(offset, np.float64)),)


def _centre(transformer: Any) -> Any:
    if getattr(transformer, "with_mean", False):
        return transformer.mean_
    return transformer.center_ if getattr(transformer, "with_centering", False) else None
