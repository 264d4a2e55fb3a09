"""Saves a trained model for MLflow, with preprocessing as its first layers.

Preprocessing becomes Keras layers, so that the model loads without kerastudy. The layers give the
same bits as `studies.data.preprocessing`. The saved model has a signature, an input example and the
user's code.
"""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from search_spaces import SearchSpace
from search_spaces.errors import StudyError
from studies.data import date_of_part, entry_name, is_text, model_columns, named_arrays
from studies.error_texts import first_paragraph
from studies.library_internals import compile_arguments, layers_within
from studies.training.building_models import rebuilt, rebuilt_objective
from studies.training.model_variables_and_properties import (
    has_own_steps,
    named_outputs,
    scalars,
    single_output,
)
from studies.training.saved_models import mlflow_loader
from studies.training.saved_models.pickled_custom_objects import own_code
from studies.training.scoring.evaluation_and_validation_predictions import (
    evaluated,
    validation_predictions,
)
from tracking.records import (
    ALL_FOLDS,
    MODEL_SUMMARY,
    TrialSpec,
    predictions_beside,
    to_json,
)

if TYPE_CHECKING:
    import keras
    from mlflow.types import Schema, TensorSpec

    from studies.data import Arrays, FittedTable, LoadedData, Preparation, Prepared
    from studies.definition import StudyDefinition


# The number of characters in a line of a model's summary.
_LINE = 76
_REQUIREMENTS = ("keras", "tensorflow", "numpy", "cloudpickle")
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


def save_champion(
    study: StudyDefinition,
    space: SearchSpace,
    splits: LoadedData | None,
    spec: TrialSpec,
    checkpoint: Path,
    folder: Path,
) -> dict[str, float]:
    """Rebuilds a trial's model with its best weights, and saves it into a new folder for MLflow.

    Also saves the predictions of the validation data into the file `predictions_beside(folder)`.
    Returns the validation metrics by their names in the training's logs (``val_loss``, …). An
    uncompiled model has no metrics. A study with an objective function has no `splits`, so there
    are no metrics and no predictions of its model.
    """
    metrics: dict[str, float] = {}
    try:
        if splits is None:
            model, splits = rebuilt_objective(study, space, spec, checkpoint)
        else:
            model = rebuilt(study, space, splits, spec, checkpoint)
            # A model trained on all folds has no validation data.
            if spec.fold != ALL_FOLDS:
                if model.compiled:
                    metrics = scalars(evaluated(model, splits, spec.batch_size))
                _save_predictions(model, splits, spec, predictions_beside(folder))
        save_for_mlflow(model, splits, folder)
    except StudyError:
        raise
    except Exception as error:
        raise StudyError(
            f"The model of trial {spec.number} could not be saved as a model of MLflow: "
            f"{first_paragraph(error)}. Its weights are in {str(checkpoint)!r}."
        ) from error
    return {f"val_{name}": value for name, value in metrics.items()}


def _save_predictions(model: keras.Model, splits: LoadedData, spec: TrialSpec, path: Path) -> None:
    try:
        predictions = validation_predictions(model, splits, spec)
    except Exception:
        # A model that `model.predict` can't call is saved without predictions.
        return
    if predictions is not None:
        path.write_text(to_json(predictions), encoding="utf-8")


def save_for_mlflow(model: keras.Model, splits: LoadedData, folder: Path) -> None:
    """Saves a trained model into a new folder for MLflow.

    The saved model takes samples before preprocessing, and contains the code of the user's layers
    and losses. Raises StudyError if Keras layers can't repeat the preprocessing.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow.keras
    from mlflow.models import Model, ModelSignature

    x, preparation = splits.train.at_hand.x, splits.preparation
    served = served_model(model, x, preparation)
    columns, outputs = _columns(x, preparation), _outputs(served)
    tensors = ModelSignature(inputs=_tensors(served, x, preparation), outputs=outputs)
    saved = Model()
    folder.mkdir()
    mlflow.keras.save_model(
        served,
        str(folder),
        mlflow_model=saved,
        # `save_model` takes only signatures of tensors.
        signature=tensors,
        input_example=_example(served, preparation, as_table=columns is not None),
        # Without this list, MLflow would search for the needed packages for 13 to 32 s.
        pip_requirements=[f"{name}=={version(name)}" for name in _REQUIREMENTS],
        metadata=preparation.describe(),
    )
    lines: list[str] = []
    # A model of a user's class may have no summary.
    with contextlib.suppress(Exception):
        model.summary(line_length=_LINE, print_fn=lines.append)
    (folder / MODEL_SUMMARY).write_text("\n".join(lines), encoding="utf-8")
    code = own_code(served)
    texts = any(is_text(array) for array in named_arrays(x, "x").values())
    if columns is not None or texts or any(code):
        if columns is not None:
            saved.signature = ModelSignature(inputs=columns, outputs=outputs)
        mlflow_loader.put_into(
            saved,
            folder,
            code.pickled,
            missing=code.missing,
            compiles=not code.missing_compiled,
            reading={} if preparation.table is None else preparation.table.reading,
        )
        saved.save(str(folder / "MLmodel"))


def _columns(x: Arrays, preparation: Preparation) -> Schema | None:
    """Returns the columns of the table that a model takes, or None for a model that takes tensors.

    Also returns None if MLflow has no type for one of the columns.
    """
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    if preparation.table is not None:
        # A column such as "sold (month)" was made from a column of dates, "sold". Users may give
        # either column, so neither is required.
        dates = {column.name: date_of_part(column.name) for column in preparation.table.columns}
        names = dict.fromkeys([*dates, *filter(None, dates.values())])
        # With other types than `AnyType`, MLflow would refuse whole numbers where it expects
        # floats, and floats where it expects whole numbers.
        return Schema(
            [ColSpec(AnyType(), name, required=not dates.get(name, name)) for name in names]
        )
    columns = preparation.columns.get("x", ()) if isinstance(x, np.ndarray) else ()
    types = [_COLUMN_TYPES.get(kind.lower()) for _, kind in columns]
    if not types or None in types:
        return None
    return Schema([ColSpec(kind, name) for kind, (name, _) in zip(types, columns, strict=True)])


def _tensors(model: keras.Model, x: Arrays, preparation: Preparation) -> Schema:
    """Returns the tensors that a model takes.

    `x` has samples after preprocessing, but the model takes samples from before preprocessing.
    Several inputs are named, as a Functional model takes a dict even if it was trained on a tuple.
    """
    from mlflow.types import Schema

    named = named_arrays(x, "x")
    names = [None] if isinstance(x, np.ndarray) else _names(model, x)
    return Schema(
        [
            _spec(array, preparation.prepared.get(key), name)
            for (key, array), name in zip(named.items(), names, strict=True)
        ]
    )


def _example(model: keras.Model, preparation: Preparation, *, as_table: bool) -> Any:
    """Returns a model's input example for MLflow, or None if there are no samples."""
    import pandas as pd

    x = preparation.example
    if x is None:
        return None
    if preparation.table is not None:
        return pd.DataFrame(x)
    if not isinstance(x, np.ndarray):
        return dict(zip(_names(model, x), named_arrays(x, "x").values(), strict=True))
    if not as_table:
        return x
    types = dict(preparation.columns["x"])
    return pd.DataFrame(x, columns=list(types)).astype(types)


def _spec(array: np.ndarray, prepared: Prepared | None, name: str | None) -> TensorSpec:
    from mlflow.types import TensorSpec

    if prepared is not None:
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
        # If the model were compiled, Keras would compile the clone, too, by the model's config. The
        # clone is compiled later.
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
            f"In the registered model, the layers that preprocess {name} give other values than "
            "the model was trained on. The values differ by up to "
            f"{np.abs(scaled - expected).max():.2g}."
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
    """Returns a model's output for a row of columns.

    Calls the model's layers one by one if possible. If the model itself were called, it would be a
    layer of the new model, and the optimizer would be saved too.
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
    """Returns a row of numbers that layers compute from columns, as `FittedTable.apply` does."""
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
        while unknown in column.places:
            unknown = f"[{unknown}]"
        look_up = keras.layers.StringLookup(
            vocabulary=list(column.places),
            mask_token=None,
            oov_token=unknown,
            name=_new_name(_layer_name(f"place_of_{column.name}"), names),
        )
        # Several spellings of a category have its place.
        places = np.array([0, *(place + 1 for place in column.places.values())])
        place = ops.take(places, ops.squeeze(look_up(inputs[column.name]), axis=1))
        size = len(column.vocabulary) + 1
        pieces.append(ops.one_hot(place, size, dtype="float32")[:, 1:])
    return ops.concatenate(pieces, axis=1) if len(pieces) > 1 else pieces[0]


def _layer_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)
