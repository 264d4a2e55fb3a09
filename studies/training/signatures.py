"""A model's signature, as MLflow keeps it: types and shapes of what goes in and comes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from studies.training.compared_outputs import named_outputs

if TYPE_CHECKING:
    import keras
    from mlflow.models import ModelSignature
    from mlflow.types import Schema

    from studies.data.structures import Arrays


def signature_of(model: keras.Model, x: Arrays) -> ModelSignature:
    """Returns a model's signature.

    Args:
        model: Built.
        x: Samples as it takes them. Several inputs go by their names: a model of Keras's functional
            API takes them in a dict, whether it was trained on a dict or on a tuple.

    Returns:
        The signature; without outputs where these can't be told.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    if isinstance(x, np.ndarray):
        inputs = Schema([TensorSpec(x.dtype, (-1, *x.shape[1:]))])
    else:
        inputs = Schema(
            [
                TensorSpec(array.dtype, (-1, *array.shape[1:]), name)
                for name, array in _by_name(model, x).items()
            ]
        )
    return ModelSignature(inputs=inputs, outputs=_outputs(model))


def _by_name(model: keras.Model, x: Mapping[str, np.ndarray] | tuple[np.ndarray, ...]) -> Any:
    if isinstance(x, Mapping):
        return x
    declared = [tensor.name for tensor in getattr(model, "inputs", None) or ()]
    # A subclass has no names for them.
    names = declared if len(set(declared)) == len(x) else [f"input_{i}" for i in range(len(x))]
    return dict(zip(names, x, strict=True))


def _outputs(model: keras.Model) -> Schema | None:
    from mlflow.types import Schema, TensorSpec

    several = named_outputs(model)
    if len(several) > 1:
        return Schema(
            [TensorSpec(_type(each.dtype), _shape(each.shape), n) for n, each in several.items()]
        )
    shape = model.output_shape if hasattr(model, "output_shape") else None
    if not isinstance(shape, tuple):
        return None
    dtype = getattr(model, "compute_dtype", "float32")
    return Schema([TensorSpec(_type(dtype), _shape(shape))])


def _shape(shape: tuple[int | None, ...]) -> tuple[int, ...]:
    return (-1, *(-1 if size is None else size for size in shape[1:]))


def _type(name: str) -> np.dtype:
    return np.dtype(name if name in ("float16", "float32", "float64") else "float32")
