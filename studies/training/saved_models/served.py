"""The registered model: a trained model with preprocessing as its first layers, and its signature.

Preprocessing becomes layers of Keras's own, so that the model loads without kerastudy. The layers
give the same bits as `studies.data.preprocessing`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from search_spaces.errors import StudyError
from studies.data import date_of_part, entry_name, model_columns, named_arrays
from studies.library_internals.keras_internals import compile_arguments, layers_within
from studies.training.keras_models import has_own_steps, named_outputs, single_output

if TYPE_CHECKING:
    import keras
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    from studies.data import Arrays, Columns, FittedTable, Preparation, Prepared


# Layers on a GPU, and compiled ones, may round differently.
_TOLERANCE = 1e-6
# MLflow's types by pandas's types, in small letters.
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


def served_model(model: keras.Model, x: Arrays, preparation: Preparation) -> keras.Model:
    """Returns a trained model with preprocessing as its first layers.

    `x` has samples after preprocessing, and `preparation` has examples from before it. Without
    preprocessing, returns the trained model itself.

    The new model shares the trained model's layers, and has its class if possible. It is compiled
    in the same way, unless the trained model's own steps are missing. Raises StudyError if the
    first layers give other samples than those that the model was trained on.
    """
    import keras

    if preparation.table is not None:
        assert isinstance(x, np.ndarray), "rows of a table are one array"
        return _on_columns(model, x, preparation, preparation.table)
    prepared = {name: each for name, each in preparation.prepared.items() if each.scalings}
    if not prepared:
        return model
    before = _Before(prepared, {layer.name for layer in layers_within(model)})
    if type(model) is keras.Sequential:
        (tensor,) = model.inputs
        raw = before.input(tensor, "x")
        served = keras.Sequential([raw, *before.layers("x", raw), *model.layers], name=model.name)
    elif getattr(model, "inputs", None):
        served = _around_graph(model, x, before)
    else:
        served = _around_call(model, x, before)
    _check(before, preparation, x)
    own_class = type(served) is type(model)
    if model.compiled and (own_class or not has_own_steps(model)):
        served.compile(**{**compile_arguments(model), "optimizer": model.optimizer})
    return served


class _Before:
    def __init__(self, prepared: Mapping[str, Prepared], taken: set[str]) -> None:
        self._prepared = prepared
        self._taken = taken
        self.raw: dict[str, Any] = {}
        self.scaled: dict[str, Any] = {}

    def input(self, tensor: Any, name: str) -> Any:
        import keras

        prepared = self._prepared.get(name)
        if prepared is None:
            return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name)
        shape = tuple(tensor.shape[1:])
        if len(shape) == len(prepared.shape) or None in shape:
            shape = prepared.shape
        # Keras reads floats as float32. Raw integers get float64, so that large ones, and fractions
        # given for them, keep their values.
        dtype = "float32" if np.dtype(prepared.dtype).kind == "f" else "float64"
        return keras.Input(batch_shape=(tensor.shape[0], *shape), dtype=dtype, name=tensor.name)

    def layers(self, name: str, raw: Any) -> list[keras.layers.Layer]:
        import keras

        if name not in self._prepared:
            return []
        shape = tuple(raw.shape[1:])
        layers: list[keras.layers.Layer] = [
            keras.layers.Rescaling(
                _shaped(each.scale, shape),
                _shaped(each.offset, shape),
                dtype="float64",
                name=_free(_layer_name(f"preprocessing_{raw.name}"), self._taken),
            )
            for each in self._prepared[name].scalings
        ]
        last = _free(_layer_name(f"{raw.name}_scaled"), self._taken)
        layers.append(keras.layers.Identity(dtype="float32", name=last))
        tensor = raw
        for layer in layers:
            tensor = layer(tensor)
        self.raw[name], self.scaled[name] = raw, tensor
        return layers


def _free(like: str, taken: set[str]) -> str:
    """Returns a free name for a layer, made from `like`, and marks it as taken."""
    name, number = like, 1
    while name in taken:
        name, number = f"{like}_{number}", number + 1
    taken.add(name)
    return name


def _shaped(values: np.ndarray, shape: tuple[int, ...]) -> Any:
    return values.reshape(shape) if shape else float(values[0])


def _around_graph(model: keras.Model, x: Arrays, before: _Before) -> keras.Model:
    """Returns a model with the same graph and layers, but other inputs."""
    import keras
    from keras import tree

    names = iter(_names_of_inputs(model, x))
    scaled: dict[int, Any] = {}

    def input_of(tensor: Any) -> Any:
        name = next(names)
        raw = before.input(tensor, name)
        if before.layers(name, raw):
            scaled[id(raw)] = before.scaled[name]
        return raw

    def called(layer: Any, *arguments: Any, **options: Any) -> Any:
        replaced = tree.map_structure(lambda each: scaled.get(id(each), each), (arguments, options))
        return layer(*replaced[0], **replaced[1])

    inputs = tree.map_structure(input_of, model.input)
    compiled, model.compiled = model.compiled, False
    try:
        # Keras would compile the clone of a compiled model from its config.
        served = keras.models.clone_model(model, inputs, lambda layer: layer, called)
    finally:
        model.compiled = compiled
    return served


def _around_call(model: keras.Model, x: Arrays, before: _Before) -> keras.Model:
    """Returns a model that calls the given one, whose graph is unknown."""
    import keras

    keys = ["samples"] if isinstance(x, np.ndarray) else [f"input_{i}" for i in range(len(x))]
    raws: list[Any] = []
    scaled: list[Any] = []
    for (name, array), key in zip(
        named_arrays(x, "x").items(), x if isinstance(x, dict) else keys, strict=True
    ):
        like = keras.KerasTensor((None, *array.shape[1:]), dtype=array.dtype.name, name=key)
        raws.append(before.input(like, name))
        before.layers(name, raws[-1])
        scaled.append(before.scaled.get(name, raws[-1]))
    samples = keras.tree.pack_sequence_as(x, scaled)
    inputs = raws if isinstance(x, tuple) else keras.tree.pack_sequence_as(x, raws)
    return keras.Model(inputs, model(samples), name=f"served_{model.name}")


def _names_of_inputs(model: keras.Model, x: Arrays) -> list[str]:
    """Returns the names by which messages call a model's inputs, in the inputs' order."""
    from keras import tree

    if isinstance(x, np.ndarray):
        return ["x"]
    if isinstance(x, tuple):
        return [entry_name("x", place) for place in range(len(x))]
    if isinstance(model.input, dict):
        return [entry_name("x", str(path[-1])) for path, _ in tree.flatten_with_path(model.input)]
    return [entry_name("x", tensor.name) for tensor in model.inputs]


def _check(before: _Before, preparation: Preparation, x: Arrays) -> None:
    """Raises StudyError if the first layers' output differs from the preprocessed samples."""
    import keras

    if preparation.example is None:
        return
    raw, trained_on = named_arrays(preparation.example, "x"), named_arrays(x, "x")
    for name, tensor in before.raw.items():
        size = len(raw[name])
        if tensor.shape[0] not in (None, size):
            continue
        scaled = keras.Model(tensor, before.scaled[name]).predict(raw[name], size, verbose=0)
        expected = trained_on[name][:size]
        _check_alike(scaled.reshape(expected.shape), expected, name)


def _check_alike(scaled: np.ndarray, expected: np.ndarray, name: str) -> None:
    if not np.allclose(scaled, expected, _TOLERANCE, _TOLERANCE):
        raise StudyError(
            f"The layers of the registered model that preprocess {name} differ from what the model "
            f"was trained on, by up to {np.abs(scaled - expected).max():.2g}."
        )


def _on_columns(
    model: keras.Model, x: np.ndarray, preparation: Preparation, table: FittedTable
) -> keras.Model:
    import keras

    names_taken = {layer.name for layer in layers_within(model)}
    inputs = {
        column.name: keras.Input(
            (1,),
            dtype="string" if column.kind == "category" else "float32",
            name=_free(column.name.replace("/", "_"), names_taken),
        )
        for column in table.columns
    }
    row = _row(inputs, table, names_taken)
    with warnings.catch_warnings():
        # Keras warns if a key is not its input's name. Not every column's name can be an input's
        # name.
        warnings.filterwarnings("ignore", message="When providing `inputs` as a dict")
        if preparation.example is not None:
            layers = keras.Model(inputs, row)
            columns = model_columns(layers, preparation.example)
            scaled = layers.predict(columns, len(x), verbose=0)
            _check_alike(scaled, x[: len(scaled)], "the columns of the table")
        served = keras.Model(inputs, _of_row(model, row), name=f"{model.name}_on_columns")
    if model.compiled and not has_own_steps(model):
        served.compile(**{**compile_arguments(model), "optimizer": model.optimizer})
    return served


def _of_row(model: keras.Model, row: Any) -> Any:
    """Returns a model's output for a row.

    Calls the model's layers if possible, as the model itself would be saved with its optimizer.
    """
    import keras

    if type(model) is keras.Sequential:
        for layer in model.layers:
            row = layer(row)
        return row
    if getattr(model, "inputs", None):
        return keras.Model(model.input, model.output, name=model.name)(row)
    return model(row)


def _row(inputs: Mapping[str, Any], table: FittedTable, taken: set[str]) -> Any:
    """Returns the row that layers make of columns, equal to that of `FittedTable.apply`."""
    import keras
    from keras import ops

    pieces = []
    if table.numbers:
        numbers = ops.concatenate([inputs[column.name] for column in table.numbers], axis=1)
        scaled = keras.layers.Rescaling(
            # These are arrays, as Keras reads lists as float32.
            np.array([column.scale for column in table.numbers]),
            np.array([column.offset for column in table.numbers]),
            dtype="float64",
            name=_free("standardized", taken),
        )(numbers)
        missing = ops.isnan(numbers)
        fill = np.array([[column.fill for column in table.numbers]], np.float32)
        pieces.append(ops.where(missing, fill, ops.cast(scaled, "float32")))
        gaps = [place for place, column in enumerate(table.numbers) if column.gaps]
        if gaps:
            pieces.append(ops.cast(ops.take(missing, np.array(gaps), axis=1), "float32"))
    for column in table.categories:
        # This stands for texts that are not in the vocabulary. It comes first, and is left out
        # below.
        unknown = "[UNK]"
        while unknown in column.vocabulary:
            unknown = f"[{unknown}]"
        look_up = keras.layers.StringLookup(
            vocabulary=list(column.vocabulary),
            mask_token=None,
            oov_token=unknown,
            output_mode="one_hot",
            name=_free(_layer_name(f"one_hot_{column.name}"), taken),
        )
        pieces.append(ops.cast(look_up(inputs[column.name])[:, 1:], "float32"))
    return ops.concatenate(pieces, axis=1) if len(pieces) > 1 else pieces[0]


def signature_of(model: keras.Model, x: Arrays, preparation: Preparation) -> ModelSignature:
    """Returns a model's signature in tensors. Unknown outputs are left out.

    `x` has samples after preprocessing, and the model takes samples before it. Several inputs are
    named, as a Functional model takes a dict even if it was trained on a tuple.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import Schema

    named = named_arrays(x, "x")
    names = [None] if isinstance(x, np.ndarray) else _names(model, x)
    specs = [
        _spec(array, preparation.prepared.get(key), name)
        for (key, array), name in zip(named.items(), names, strict=True)
    ]
    inputs = Schema(specs)
    return ModelSignature(inputs=inputs, outputs=_outputs(model))


def table_signature(signature: ModelSignature, columns: Columns) -> ModelSignature | None:
    """Returns the signature of a model that takes a table, or None if MLflow lacks a type."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    types = [_COLUMN_TYPES.get(kind.lower()) for _, kind in columns]
    if None in types:
        return None
    specs = [ColSpec(kind, name) for kind, (name, _) in zip(types, columns, strict=True)]
    return ModelSignature(inputs=Schema(specs), outputs=signature.outputs)


def columns_signature(signature: ModelSignature, table: FittedTable) -> ModelSignature:
    """Returns the signature of a model with an input for each column of a table.

    Each column may have any type. Otherwise MLflow would refuse whole numbers where it expects
    floats, and floats where it expects whole numbers.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    # A column such as "sold (month)" may be there, or the column of dates that it is made of.
    made = {column.name: date_of_part(column.name) for column in table.columns}
    names = dict.fromkeys([*made, *filter(None, made.values())])
    specs = [ColSpec(AnyType(), name, required=not made.get(name, name)) for name in names]
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
    """Returns samples as the table that they come from."""
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
    from mlflow.types import Schema, TensorSpec

    several = named_outputs(model)
    if len(several) > 1:
        return Schema(
            [TensorSpec(_type(each.dtype), _shape(each.shape), n) for n, each in several.items()]
        )
    shape = model.output_shape if hasattr(model, "output_shape") else None
    if not isinstance(shape, tuple):
        return None
    output = single_output(model)
    dtype = getattr(model, "compute_dtype", "float32") if output is None else output.dtype
    return Schema([TensorSpec(_type(dtype), _shape(shape))])


def _shape(shape: tuple[int | None, ...]) -> tuple[int, ...]:
    return (-1, *(-1 if size is None else size for size in shape[1:]))


def _type(name: str) -> np.dtype:
    """Returns NumPy's type by Keras's name, or float32 if NumPy has none, as for bfloat16."""
    return np.dtype(name if name in _OUTPUT_TYPES else "float32")


def _layer_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)
