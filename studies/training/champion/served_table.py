"""The registered model of a study on a table: it takes the table's columns.

Keras's own layers look categories up and scale numbers, so that the model loads without kerastudy.
They give the same bits as `studies.data.tables.fitted`.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.errors import StudyError
from studies.data.tables.values import model_columns
from studies.libraries.keras_parts import compile_arguments, layers_within
from studies.libraries.layer_names import layer_name
from studies.training.models import has_own_steps

if TYPE_CHECKING:
    import keras

    from studies.data.arrays.given import Given
    from studies.data.tables.fitted import FittedTable

# Layers on a GPU may round differently.
_TOLERANCE = 1e-6


def served_on_columns(model: keras.Model, x: np.ndarray, given: Given) -> keras.Model:
    """Returns a model with an input for each column of a table.

    Args:
        model: A trained one, which takes rows as `FittedTable.apply` makes them. Its layers are
            shared.
        x: The first training samples, as it takes them.
        given: The same before that, and the table.

    Returns:
        The model. It is compiled in the same way, unless the model has its own steps.

    Raises:
        StudyError: If the layers make other rows than those the model was trained on.
    """
    import keras

    table = given.table
    assert table is not None, "it is a table"
    names = _Names({layer.name for layer in layers_within(model)})
    inputs = {
        column.name: keras.Input(
            (1,),
            dtype="string" if column.kind == "category" else "float32",
            name=names.free(column.name),
        )
        for column in table.columns
    }
    row = _row(inputs, table, names)
    with warnings.catch_warnings():
        # Keras's names can't be those of all columns. The keys are, and they count.
        warnings.filterwarnings("ignore", message="When providing `inputs` as a dict")
        _check(keras.Model(inputs, row), x, given)
        made = keras.Model(inputs, _outputs(model, row), name=f"{model.name}_on_columns")
    if model.compiled and not has_own_steps(model):
        made.compile(**{**compile_arguments(model), "optimizer": model.optimizer})
    return made


class _Names:
    """Names of layers that are not taken, without what Keras and TensorFlow refuse in them."""

    def __init__(self, taken: set[str]) -> None:
        self._taken = taken

    def free(self, wanted: str) -> str:
        """Returns a name like another one."""
        wanted = wanted.replace("/", "_")
        name, number = wanted, 1
        while name in self._taken:
            name, number = f"{wanted}_{number}", number + 1
        self._taken.add(name)
        return name


def _outputs(model: keras.Model, row: Any) -> Any:
    """Returns what a model makes of a row, without its optimizer, which the new model has."""
    import keras

    if type(model) is keras.Sequential:
        for layer in model.layers:
            row = layer(row)
        return row
    if getattr(model, "inputs", None):
        return keras.Model(model.input, model.output, name=model.name)(row)
    return model(row)


def _row(inputs: dict[str, Any], table: FittedTable, names: _Names) -> Any:
    """Returns what the layers make of columns: as `FittedTable.apply`."""
    import keras
    from keras import ops

    pieces = []
    if table.numbers:
        given = [inputs[column.name] for column in table.numbers]
        numbers = ops.concatenate(given, axis=1) if len(given) > 1 else given[0]
        scaled = keras.layers.Rescaling(
            # Keras reads lists as float32.
            np.array(table.scale),
            np.array(table.offset),
            dtype="float64",
            name=names.free("standardized"),
        )(numbers)
        # A missing number is NaN.
        missing = ops.isnan(numbers)
        fill = np.array([table.fill], np.float32)
        pieces.append(ops.where(missing, fill, ops.cast(scaled, "float32")))
        if table.indicated:
            places = np.array(table.indicated, np.int32)
            pieces.append(ops.cast(ops.take(missing, places, axis=1), "float32"))
    for column, vocabulary in zip(table.categories, table.vocabularies, strict=True):
        # It stands for texts that the vocabulary lacks, which get code 0.
        unknown = "[UNK]"
        while unknown in vocabulary:
            unknown = f"[{unknown}]"
        look_up = keras.layers.StringLookup(
            vocabulary=list(vocabulary),
            mask_token=None,
            oov_token=unknown,
            name=names.free(layer_name(f"code_{column.name}")),
        )
        pieces.append(ops.cast(look_up(inputs[column.name]), "float32"))
    return ops.concatenate(pieces, axis=1) if len(pieces) > 1 else pieces[0]


def _check(layers: keras.Model, x: np.ndarray, given: Given) -> None:
    """Refuses layers whose output differs from the rows that the model was trained on."""
    assert given.table is not None, "it is a table"
    if not isinstance(given.example, np.ndarray):
        # It is too wide.
        return
    table = given.table.table_of(given.example)
    made = layers.predict(model_columns(layers, table), len(table), verbose=0)
    expected = x[: len(table)]
    if not np.allclose(made, expected, _TOLERANCE, _TOLERANCE):
        raise StudyError(
            "The layers of the registered model that read the columns of a table differ from what "
            f"the model was trained on, by up to {np.abs(made - expected).max():.2g}."
        )
