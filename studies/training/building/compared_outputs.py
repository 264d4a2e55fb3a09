"""Pairs the outputs of a model with their targets and losses.

As Keras pairs them (`CompileLoss` in keras/src/trainers/compile_utils.py); unclear cases are left
out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

    from studies.data.arrays.structures import Arrays


@dataclass(frozen=True)
class Compared:
    """A symbolic output of rank 1 or more, its targets of shape (n, ...), and its loss."""

    # " of the output 'name'", or nothing if there is only one.
    name: str
    output: Any
    targets: np.ndarray
    loss: Any


def compared_outputs(model: keras.Model, y: Arrays) -> list[Compared]:
    """Returns the outputs of a Sequential or Functional model with their targets and losses."""
    loss = model.loss
    if isinstance(y, np.ndarray):
        output = single_output(model)
        if isinstance(loss, list | tuple | dict) and len(loss) == 1:
            # One output may be given its loss in a list, or by the output's name.
            loss = next(iter(loss.values() if isinstance(loss, dict) else loss))
        return [] if output is None else [Compared("", output, y, loss)]
    outputs = named_outputs(model)
    # Targets in a tuple are those of the outputs in their order.
    targets = dict(zip(outputs, y, strict=False)) if isinstance(y, tuple) else y
    if len(targets) != len(y) or set(targets) != set(outputs):
        return []
    if isinstance(loss, list | tuple):
        loss = dict(zip(outputs, loss, strict=False)) if len(loss) == len(outputs) else None
    by_name = loss if isinstance(loss, Mapping) else dict.fromkeys(outputs, loss)
    return [
        Compared(f" of the output {name!r}", output, targets[name], by_name.get(name))
        for name, output in outputs.items()
    ]


def single_output(model: keras.Model) -> Any:
    """Returns the symbolic output of a Sequential or Functional model, if it has just one."""
    output = _declared_output(model)
    if isinstance(output, list | tuple) and len(output) == 1:
        output = output[0]
    return output if _is_comparable(output) else None


def named_outputs(model: keras.Model) -> dict[str, Any]:
    """Returns the symbolic outputs of a model by the names of targets and losses.

    Outputs in a dict have its keys, in their order; others have the names of their layers, as in
    Keras. Empty if a model's outputs can't be named so.
    """
    output = _declared_output(model)
    if isinstance(output, list | tuple):
        names = list(getattr(model, "output_names", ()))
        output = dict(zip(names, output, strict=False)) if len(set(names)) == len(output) else {}
    elif type(output) is dict:
        output = dict(sorted(output.items()))
    if type(output) is not dict or not all(map(_is_comparable, output.values())):
        return {}
    return output


def _declared_output(model: keras.Model) -> Any:
    import keras

    # A Sequential has `outputs` once it is built. A Functional's `output` keeps its structure.
    sequential = isinstance(model, keras.Sequential)
    return getattr(model, "outputs" if sequential else "output", None)


def _is_comparable(output: Any) -> bool:
    import keras

    return isinstance(output, keras.KerasTensor) and len(output.shape) > 0
