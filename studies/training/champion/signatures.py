"""A model's signature for MLflow: types and shapes of inputs and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from studies.data.arrays.structures import named_arrays
from studies.training.building.compared_outputs import named_outputs

if TYPE_CHECKING:
    import keras
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    from studies.data.arrays.preprocessing import Given, Prepared
    from studies.data.arrays.structures import Arrays, Columns
    from studies.data.tables.fitted import FittedTable

_COLUMN_TYPES: Final = {
    "bool": "boolean",
    "boolean": "boolean",
    "float16": "float",
    "float32": "float",
    "float64": "double",
    "int8": "integer",
    "int16": "integer",
    "int32": "integer",
    "int64": "long",
    "uint8": "integer",
    "uint16": "integer",
    "uint32": "long",
}
"""MLflow's types by pandas's, in small letters."""


def signature_of(model: keras.Model, x: Arrays, given: Given) -> ModelSignature:
    """Returns a model's signature in tensors, without outputs if these are unknown.

    `x` has samples after preprocessing, `given` the same before it, which the model does itself if
    it can. Several inputs are named: a functional model takes a dict, even if it was trained
    on a tuple.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import Schema

    named = named_arrays(x, "x")
    specs = [_spec(each, given.prepared.get(name)) for name, each in named.items()]
    names = [None] if isinstance(x, np.ndarray) else _names(model, x)
    inputs = Schema([_named(spec, name) for spec, name in zip(specs, names, strict=True)])
    return ModelSignature(inputs=inputs, outputs=_outputs(model))


def table_signature(signature: ModelSignature, columns: Columns) -> ModelSignature | None:
    """Returns the signature of a model that takes a table; None if MLflow lacks a column's type."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    types = [_COLUMN_TYPES.get(kind.lower()) for _, kind in columns]
    if None in types:
        return None
    specs = [ColSpec(kind, name) for kind, (name, _) in zip(types, columns, strict=True)]
    return ModelSignature(inputs=Schema(specs), outputs=signature.outputs)


def columns_signature(signature: ModelSignature, table: FittedTable) -> ModelSignature:
    """Returns the signature of a model that takes the columns of a table as they are.

    Numbers may be of any type: MLflow refuses whole ones where it expects others, and the reverse.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    specs = [ColSpec(AnyType(), column.name) for column in table.columns]
    return ModelSignature(inputs=Schema(specs), outputs=signature.outputs)


def example_of(model: keras.Model, given: Given) -> Any:
    """Returns samples for `mlflow.models`; None if there are none."""
    x = given.example
    if given.table is not None:
        import pandas as pd

        return None if x is None else pd.DataFrame(x)
    if x is None or isinstance(x, np.ndarray):
        return x
    return dict(zip(_names(model, x), named_arrays(x, "x").values(), strict=True))


def table_of(example: np.ndarray, columns: Columns) -> Any:
    """Returns samples as their original table."""
    import pandas as pd

    table = pd.DataFrame(example, columns=[name for name, _ in columns])
    return table.astype(dict(columns))


def _spec(array: np.ndarray, prepared: Prepared | None) -> TensorSpec:
    from mlflow.types import TensorSpec

    if prepared is not None and prepared.scalings:
        return TensorSpec(np.dtype(prepared.dtype), (-1, *prepared.shape))
    # MLflow knows texts of any length alone.
    dtype = np.dtype(str) if array.dtype.kind == "U" else array.dtype
    return TensorSpec(dtype, (-1, *array.shape[1:]))


def _named(spec: TensorSpec, name: str | None) -> TensorSpec:
    from mlflow.types import TensorSpec

    return spec if name is None else TensorSpec(spec.type, spec.shape, name)


def _names(
    model: keras.Model, x: dict[str, np.ndarray] | tuple[np.ndarray, ...]
) -> list[str | None]:
    if isinstance(x, dict):
        return list(x)
    declared = [tensor.name for tensor in getattr(model, "inputs", None) or ()]
    # A subclass has no names for them.
    return declared if len(set(declared)) == len(x) else [f"input_{i}" for i in range(len(x))]


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
