"""Saves a trained model for MLflow, with a signature, an input example and the user's code."""

from __future__ import annotations

import contextlib
import os
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from search_spaces import SearchSpace
from search_spaces.errors import StudyError
from studies.data import date_of_part, is_text, named_arrays
from studies.error_texts import first_paragraph
from studies.training.building.custom_object_code import own_code
from studies.training.model_variables_and_properties import named_outputs, scalars, single_output
from studies.training.saved_models import mlflow_loader
from studies.training.saved_models.preprocessing_layers import served_model
from studies.training.saved_models.rebuilding import rebuilt, rebuilt_objective
from studies.training.scoring.evaluation import evaluated
from studies.training.scoring.validation_predictions import validation_predictions
from tracking.records import ALL_FOLDS, TrialSpec
from tracking.records.evaluation_and_prediction_records import MODEL_SUMMARY, predictions_beside
from tracking.records.json_conversion import to_json

if TYPE_CHECKING:
    import keras
    from mlflow.types import Schema, TensorSpec

    from studies.data import Arrays, LoadedData, Preparation, Prepared
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
        predictions = validation_predictions(
            model, splits, spec.number, spec.batch_size, spec.objective.metric
        )
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
        # Without this list, MLflow would take 13 to 32 s to find the packages.
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
            saved, folder, code.pickled, missing=code.missing, compiles=not code.missing_compiled
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
