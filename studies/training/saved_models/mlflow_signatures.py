"""The signature and the input example of a registered model, for MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from studies.data import date_of_part, named_arrays
from studies.training.keras_models import named_outputs, single_output

if TYPE_CHECKING:
    import keras
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    from studies.data import Arrays, Columns, FittedTable, Preparation, Prepared


# MLflow's types by pandas's types, in lower case.
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
_OUTPUT_TYPES: Final = {*_COLUMN_TYPES, "uint64"} - {"boolean"}


def signature_of(model: keras.Model, x: Arrays, preparation: Preparation) -> ModelSignature:
    """Returns the signature of a model that takes tensors.

    `x` has samples after preprocessing, but the model takes samples from before preprocessing.
    Several inputs are named, as a Functional model takes a dict even if it was trained on a tuple.
    If the shapes of the outputs are unknown, the signature has no outputs.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import Schema

    named = named_arrays(x, "x")
    names = [None] if isinstance(x, np.ndarray) else _names(model, x)
    specs = [
        _spec(array, preparation.prepared.get(key), name)
        for (key, array), name in zip(named.items(), names, strict=True)
    ]
    return ModelSignature(inputs=Schema(specs), outputs=_outputs(model))


def table_signature(signature: ModelSignature, columns: Columns) -> ModelSignature | None:
    """Returns the signature of a model that takes a table.

    Returns None if MLflow has no type for one of the columns.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    types = [_COLUMN_TYPES.get(kind.lower()) for _, kind in columns]
    if None in types:
        return None
    specs = [ColSpec(kind, name) for kind, (name, _) in zip(types, columns, strict=True)]
    return ModelSignature(inputs=Schema(specs), outputs=signature.outputs)


def columns_signature(signature: ModelSignature, table: FittedTable) -> ModelSignature:
    """Returns the signature of a model with an input for each column of a table.

    The type of each column is `AnyType`. With other types, MLflow would refuse whole numbers where
    it expects floats, and floats where it expects whole numbers.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    # A column such as "sold (month)" was made from a column of dates, "sold". Users may give either
    # column, so neither is required.
    dates = {column.name: date_of_part(column.name) for column in table.columns}
    names = dict.fromkeys([*dates, *filter(None, dates.values())])
    specs = [ColSpec(AnyType(), name, required=not dates.get(name, name)) for name in names]
    return ModelSignature(inputs=Schema(specs), outputs=signature.outputs)


def example_of(model: keras.Model, preparation: Preparation) -> Any:
    """Returns a model's input example for MLflow, or None if there are no samples."""
    x = preparation.example
    if preparation.table is not None:
        import pandas as pd

        return None if x is None else pd.DataFrame(x)
    if x is None or isinstance(x, np.ndarray):
        return x
    return dict(zip(_names(model, x), named_arrays(x, "x").values(), strict=True))


def table_of(example: np.ndarray, columns: Columns) -> Any:
    """Returns samples as a table, with the columns' original names and types."""
    import pandas as pd

    table = pd.DataFrame(example, columns=[name for name, _ in columns])
    return table.astype(dict(columns))


def _spec(array: np.ndarray, prepared: Prepared | None, name: str | None) -> TensorSpec:
    from mlflow.types import TensorSpec

    if prepared is not None and prepared.scalings:
        return TensorSpec(np.dtype(prepared.dtype), (-1, *prepared.shape), name)
    # MLflow has no type for texts of a fixed length.
    dtype = np.dtype(str) if array.dtype.kind == "U" else array.dtype
    return TensorSpec(dtype, (-1, *array.shape[1:]), name)


def _names(
    model: keras.Model, x: dict[str, np.ndarray] | tuple[np.ndarray, ...]
) -> list[str | None]:
    if isinstance(x, dict):
        return list(x)
    declared = [tensor.name for tensor in getattr(model, "inputs", None) or ()]
    # A subclass of `keras.Model` has no names of inputs.
    return declared if len(set(declared)) == len(x) else [f"input_{i}" for i in range(len(x))]


def _outputs(model: keras.Model) -> Schema | None:
    from mlflow.types import Schema

    several = named_outputs(model)
    if len(several) > 1:
        return Schema([_output_spec(o.dtype, o.shape, name) for name, o in several.items()])
    shape = getattr(model, "output_shape", None)
    if not isinstance(shape, tuple):
        return None
    output = single_output(model)
    dtype = getattr(model, "compute_dtype", "float32") if output is None else output.dtype
    return Schema([_output_spec(dtype, shape)])


def _output_spec(dtype: str, shape: tuple[int | None, ...], name: str | None = None) -> TensorSpec:
    from mlflow.types import TensorSpec

    # NumPy and MLflow lack some of Keras's types, such as bfloat16.
    kind = np.dtype(dtype if dtype in _OUTPUT_TYPES else "float32")
    return TensorSpec(kind, (-1, *(-1 if size is None else size for size in shape[1:])), name)
