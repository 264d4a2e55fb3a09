"""Facts about a Keras model: its batches, its steps, and its logs as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras


def fixed_batch_size(model: keras.Model) -> int | None:
    """Returns the batch size that a model demands, or None."""
    inputs = getattr(model, "inputs", None)
    return inputs[0].shape[0] if inputs else None


def has_own_steps(model: keras.Model) -> bool:
    """Returns whether a model's class has its own training or validation step."""
    import keras

    return any(
        getattr(type(model), name) is not getattr(base, name)
        for name in ("train_step", "test_step")
        for base in [keras.Sequential if isinstance(model, keras.Sequential) else keras.Model]
    )


def scalars(logs: Mapping[str, Any]) -> dict[str, float]:
    """Returns logs as numbers; a metric with a value per class becomes name_0, name_1 and so on.

    One with a single value, as F1Score of one output, keeps its name.
    """
    numbers: dict[str, float] = {}
    for name, value in logs.items():
        values = np.asarray(value)
        if values.size == 1:
            numbers[name] = float(values.item())
        else:
            numbers.update({f"{name}_{i}": float(v) for i, v in enumerate(values.ravel())})
    return numbers
