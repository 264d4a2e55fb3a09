"""Makes the registered model: the trained model with preprocessing as its first layers.

Preprocessing becomes Keras layers, so that the model loads without kerastudy. The layers
give the same bits as `studies.data.preprocessing`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.errors import StudyError
from studies.data import entry_name, model_columns, named_arrays
from studies.library_internals.keras_internals import compile_arguments, layers_within
from studies.training.model_variables_and_properties import has_own_steps

if TYPE_CHECKING:
    import keras

    from studies.data import Arrays, FittedTable, Preparation, Prepared


# On a GPU, or if TensorFlow compiles the layers, they may round differently than the preprocessing.
_TOLERANCE = 1e-6


def served_model(model: keras.Model, x: Arrays, preparation: Preparation) -> keras.Model:
    """Returns a trained model with preprocessing as its first layers.

    `x` has samples after preprocessing, and `preparation` has examples from before preprocessing.
    Without preprocessing, the result is the trained model itself.

    The new model shares the trained model's layers, and has the same class if possible. It is
    compiled in the same way, unless it lacks a `train_step` or `test_step` of the trained model's
    class. Raises StudyError if the first layers give other samples than preprocessing did.
    """
    import keras

    if preparation.table is not None:
        assert isinstance(x, np.ndarray), "rows of a table are one array"
        served = _on_columns(model, x, preparation, preparation.table)
    else:
        if not preparation.prepared:
            return model
        first = _FirstLayers(preparation.prepared, {layer.name for layer in layers_within(model)})
        if type(model) is keras.Sequential:
            raw, layers = first.add(model.inputs[0], "x")
            served = keras.Sequential([raw, *layers, *model.layers], name=model.name)
        elif getattr(model, "inputs", None):
            served = _around_graph(model, x, first)
        else:
            served = _around_call(model, x, first)
        _check(first, preparation, x)
    own_class = type(served) is type(model)
    if model.compiled and (own_class or not has_own_steps(model)):
        served.compile(**{**compile_arguments(model), "optimizer": model.optimizer})
    return served


class _FirstLayers:
    """Makes the inputs and the first layers of a model that takes samples before preprocessing."""

    def __init__(self, prepared: Mapping[str, Prepared], names: set[str]) -> None:
        self._prepared = prepared
        self._names = names
        # The new inputs, and the outputs of the first layers, by the name of the array.
        self.raw: dict[str, Any] = {}
        self.scaled: dict[str, Any] = {}

    def add(self, tensor: Any, name: str) -> tuple[Any, list[keras.layers.Layer]]:
        """Makes a new input in place of `tensor`, which is an input of the trained model.

        Returns the new input, and the layers that turn its samples into samples of `tensor`.
        """
        import keras

        prepared = self._prepared.get(name)
        if prepared is None:
            return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name), []
        shape = tuple(tensor.shape[1:])
        if len(shape) == len(prepared.shape) or None in shape:
            shape = prepared.shape
        # Keras reads floats as float32. An input for raw integers takes float64, so that large
        # integers keep their values. Fractions that a user passes in place of integers keep theirs,
        # too.
        dtype = "float32" if np.dtype(prepared.dtype).kind == "f" else "float64"
        raw = keras.Input(batch_shape=(tensor.shape[0], *shape), dtype=dtype, name=tensor.name)
        rescaling = keras.layers.Rescaling(
            _shaped(prepared.scale, shape),
            _shaped(prepared.offset, shape),
            dtype="float64",
            name=_new_name(_layer_name(f"preprocessing_{raw.name}"), self._names),
        )
        last = _new_name(_layer_name(f"{raw.name}_scaled"), self._names)
        rounding = keras.layers.Identity(dtype="float32", name=last)
        self.raw[name], self.scaled[name] = raw, rounding(rescaling(raw))
        return raw, [rescaling, rounding]


def _new_name(wish: str, names: set[str]) -> str:
    """Returns a layer's name that is not in `names`, and adds it to them."""
    name, number = wish, 1
    while name in names:
        name, number = f"{wish}_{number}", number + 1
    names.add(name)
    return name


def _shaped(values: np.ndarray, shape: tuple[int, ...]) -> Any:
    return values.reshape(shape) if shape else float(values[0])


def _around_graph(model: keras.Model, x: Arrays, first: _FirstLayers) -> keras.Model:
    """Returns a model with the same graph and layers, but other inputs."""
    import keras
    from keras import tree

    names = iter(_names_of_inputs(model, x))
    scaled: dict[int, Any] = {}

    def input_of(tensor: Any) -> Any:
        name = next(names)
        raw, layers = first.add(tensor, name)
        if layers:
            scaled[id(raw)] = first.scaled[name]
        return raw

    def called(layer: Any, *arguments: Any, **options: Any) -> Any:
        replaced = tree.map_structure(lambda t: scaled.get(id(t), t), (arguments, options))
        return layer(*replaced[0], **replaced[1])

    inputs = tree.map_structure(input_of, model.input)
    compiled, model.compiled = model.compiled, False
    try:
        # If the model were compiled, Keras would also compile the clone, from the model's config.
        served = keras.models.clone_model(model, inputs, lambda layer: layer, called)
    finally:
        model.compiled = compiled
    return served


def _around_call(model: keras.Model, x: Arrays, first: _FirstLayers) -> keras.Model:
    """Returns a new model that calls `model`, a subclass of `keras.Model` without a graph."""
    import keras

    keys = ["samples"] if isinstance(x, np.ndarray) else [f"input_{i}" for i in range(len(x))]
    raws: list[Any] = []
    scaled: list[Any] = []
    for (name, array), key in zip(
        named_arrays(x, "x").items(), x if isinstance(x, dict) else keys, strict=True
    ):
        tensor = keras.KerasTensor((None, *array.shape[1:]), dtype=array.dtype.name, name=key)
        raws.append(first.add(tensor, name)[0])
        scaled.append(first.scaled.get(name, raws[-1]))
    samples = keras.tree.pack_sequence_as(x, scaled)
    inputs = raws if isinstance(x, tuple) else keras.tree.pack_sequence_as(x, raws)
    return keras.Model(inputs, model(samples), name=f"served_{model.name}")


def _names_of_inputs(model: keras.Model, x: Arrays) -> list[str]:
    """Returns the names of the arrays in `x`, as in `named_arrays`, in the order of the inputs."""
    from keras import tree

    if isinstance(x, np.ndarray):
        return ["x"]
    if isinstance(x, tuple):
        return [entry_name("x", place) for place in range(len(x))]
    if isinstance(model.input, dict):
        return [entry_name("x", str(path[-1])) for path, _ in tree.flatten_with_path(model.input)]
    return [entry_name("x", tensor.name) for tensor in model.inputs]


def _check(first: _FirstLayers, preparation: Preparation, x: Arrays) -> None:
    """Raises StudyError if the first layers' output differs from the preprocessed samples."""
    import keras

    if preparation.example is None:
        return
    raw, trained_on = named_arrays(preparation.example, "x"), named_arrays(x, "x")
    for name, tensor in first.raw.items():
        size = len(raw[name])
        if tensor.shape[0] not in (None, size):
            continue
        scaled = keras.Model(tensor, first.scaled[name]).predict(raw[name], size, verbose=0)
        expected = trained_on[name][:size]
        _check_alike(scaled.reshape(expected.shape), expected, name)


def _check_alike(scaled: np.ndarray, expected: np.ndarray, name: str) -> None:
    if not np.allclose(scaled, expected, _TOLERANCE, _TOLERANCE):
        raise StudyError(
            f"The layers of the registered model that preprocess {name} give other values than "
            f"the model was trained on: they differ by up to {np.abs(scaled - expected).max():.2g}."
        )


def _on_columns(
    model: keras.Model, x: np.ndarray, preparation: Preparation, table: FittedTable
) -> keras.Model:
    import keras

    names = {layer.name for layer in layers_within(model)}
    inputs = {
        column.name: keras.Input(
            (1,),
            dtype="string" if column.kind == "category" else "float32",
            name=_new_name(column.name.replace("/", "_"), names),
        )
        for column in table.columns
    }
    row = _row(inputs, table, names)
    with warnings.catch_warnings():
        # Keras warns if a key differs from the input's name. Some names of columns can't be names
        # of inputs.
        warnings.filterwarnings("ignore", message="When providing `inputs` as a dict")
        if preparation.example is not None:
            layers = keras.Model(inputs, row)
            columns = model_columns(layers, preparation.example)
            scaled = layers.predict(columns, len(x), verbose=0)
            _check_alike(scaled, x[: len(scaled)], "the columns of the table")
        return keras.Model(inputs, _of_row(model, row), name=f"{model.name}_on_columns")


def _of_row(model: keras.Model, row: Any) -> Any:
    """Returns a model's output for a row.

    Calls the model's layers one by one if possible. If the model itself were called, it would be a
    layer of the new model, and its optimizer would be saved too.
    """
    import keras

    if type(model) is keras.Sequential:
        for layer in model.layers:
            row = layer(row)
        return row
    if getattr(model, "inputs", None):
        return keras.Model(model.input, model.output, name=model.name)(row)
    return model(row)


def _row(inputs: Mapping[str, Any], table: FittedTable, names: set[str]) -> Any:
    """Returns the output of layers that make a row of columns, as `FittedTable.apply` does."""
    import keras
    from keras import ops

    pieces = []
    if table.numbers:
        numbers = ops.concatenate([inputs[column.name] for column in table.numbers], axis=1)
        scaled = keras.layers.Rescaling(
            # Pass arrays, as Keras reads lists as float32.
            np.array([column.scale for column in table.numbers]),
            np.array([column.offset for column in table.numbers]),
            dtype="float64",
            name=_new_name("standardized", names),
        )(numbers)
        missing = ops.isnan(numbers)
        fill = np.array([[column.fill for column in table.numbers]], np.float32)
        pieces.append(ops.where(missing, fill, ops.cast(scaled, "float32")))
        gaps = [place for place, column in enumerate(table.numbers) if column.gaps]
        if gaps:
            pieces.append(ops.cast(ops.take(missing, np.array(gaps), axis=1), "float32"))
    for column in table.categories:
        # StringLookup puts texts that are not in the vocabulary into a first column, which is left
        # out below. This column needs a name, and the name must not be in the vocabulary.
        unknown = "[UNK]"
        while unknown in column.vocabulary:
            unknown = f"[{unknown}]"
        look_up = keras.layers.StringLookup(
            vocabulary=list(column.vocabulary),
            mask_token=None,
            oov_token=unknown,
            output_mode="one_hot",
            name=_new_name(_layer_name(f"one_hot_{column.name}"), names),
        )
        pieces.append(ops.cast(look_up(inputs[column.name])[:, 1:], "float32"))
    return ops.concatenate(pieces, axis=1) if len(pieces) > 1 else pieces[0]


def _layer_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)
