"""Pairs what a model predicts with its targets, output by output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from studies.training.building.target_checks import named_outputs

if TYPE_CHECKING:
    import keras

ONLY = ""
"""The name of the output of a model that has just one."""


def paired_outputs(
    model: keras.Model, y: Any, made: Any
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns targets and predictions by the name of their output.

    Args:
        model: The model.
        y: Its targets: an array, or several by name or in the order of the outputs.
        made: What it predicts, likewise.

    Returns:
        `ONLY` for a single output. Empty if targets and outputs don't belong together.
    """
    if isinstance(y, np.ndarray) and isinstance(made, np.ndarray):
        return {ONLY: (y, made)}
    names = list(named_outputs(model))
    targets, predicted = _by_name(names, y), _by_name(names, made)
    if not targets or targets.keys() != predicted.keys():
        return {}
    return {name: (targets[name], predicted[name]) for name in targets}


def loss_of(model: keras.Model, output: str) -> Any:
    """Returns the loss of an output, as the model was compiled with it; None if it has none."""
    loss = getattr(model, "loss", None)
    if output == ONLY or not isinstance(loss, Mapping | list | tuple):
        return loss
    return _by_name(list(named_outputs(model)), loss).get(output)


def _by_name(names: Sequence[str], each: Any) -> Mapping[str, Any]:
    if isinstance(each, Mapping):
        return each
    if isinstance(each, list | tuple) and len(each) == len(names):
        return dict(zip(names, each, strict=True))
    return {}
