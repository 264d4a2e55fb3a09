"""Builds a trial's model again with its best weights, and saves it as a model of MLflow."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces import Hyperparameters, SearchSpace
from search_spaces.errors import StudyError
from studies.data import Part, Preparation, Splits, examples_of, is_text, named_arrays, seal
from studies.error_texts import first_paragraph
from studies.training.building.build import (
    build_model,
)
from studies.training.building.custom_objects import own_code
from studies.training.determinism.random_states import begin_trial
from studies.training.keras_models import as_built, build_variables, scalars
from studies.training.objective_function_tracing import FirstFit, model_of
from studies.training.saved_models import mlflow_loader
from studies.training.saved_models.mlflow_signatures import (
    columns_signature,
    example_of,
    signature_of,
    table_of,
    table_signature,
)
from studies.training.saved_models.preprocessing_layers import served_model
from studies.training.scoring.evaluation import evaluated
from studies.training.scoring.validation_predictions import validation_predictions
from tracking.records import ALL_FOLDS, TrialSpec
from tracking.records.json_conversion import to_json
from tracking.records.prediction_records import MODEL_SUMMARY, predictions_beside

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData
    from studies.definition import StudyDefinition

# The number of samples that decide the signature and variables of an objective function's model.
_SAMPLES = 32
# The number of characters in a line of a model's summary.
_LINE = 76
_REQUIREMENTS = ("keras", "tensorflow", "numpy", "cloudpickle")


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
                _save_predictions(study, model, splits, spec, predictions_beside(folder))
        save_for_mlflow(model, splits, folder)
    except StudyError:
        raise
    except Exception as error:
        raise StudyError(
            f"Trial {spec.number} is the best, but its model could not be saved as a model of "
            f"MLflow: {first_paragraph(error)}. Its weights are in {str(checkpoint)!r}."
        ) from error
    return {f"val_{name}": value for name, value in metrics.items()}


def _save_predictions(
    study: StudyDefinition, model: keras.Model, splits: LoadedData, spec: TrialSpec, path: Path
) -> None:
    rule = getattr(study.data, "rule", None)
    try:
        predictions = validation_predictions(model, splits, spec.number, spec.batch_size, rule)
    except Exception:
        # A model that `model.predict` can't call is saved without predictions.
        return
    if predictions is not None:
        path.write_text(to_json(predictions), encoding="utf-8")


def rebuilt(
    study: StudyDefinition,
    space: SearchSpace,
    splits: LoadedData,
    spec: TrialSpec,
    checkpoint: Path,
) -> keras.Model:
    """Returns a trial's model with its best weights."""
    begin_trial(spec.seed)
    model = build_model(study, Hyperparameters(space, spec.values, number=spec.built_as), splits)
    build_variables(model, splits)
    with as_built(model):
        model.load_weights(checkpoint)
    return model


def save_for_mlflow(model: keras.Model, splits: LoadedData, folder: Path) -> None:
    """Saves a trained model into a new folder for MLflow.

    The saved model takes samples before preprocessing, and contains the code of the user's layers
    and losses. Raises StudyError if no layers give the same results as the preprocessing.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow.keras
    from mlflow.models import Model

    x, preparation = splits.train.at_hand.x, splits.preparation
    served = served_model(model, x, preparation)
    signature, example = signature_of(served, x, preparation), example_of(served, preparation)
    columns = preparation.columns.get("x") if isinstance(x, np.ndarray) else None
    table = table_signature(signature, columns) if columns else None
    if preparation.table is not None:
        table = columns_signature(signature, preparation.table)
    elif table is not None and columns and isinstance(example, np.ndarray):
        example = table_of(example, columns)
    saved = Model()
    folder.mkdir()
    mlflow.keras.save_model(
        served,
        str(folder),
        mlflow_model=saved,
        signature=signature,
        input_example=example,
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
    if table is not None or texts or any(code):
        # `mlflow.keras.save_model` takes only signatures of tensors.
        saved.signature = table or signature
        mlflow_loader.put_into(
            saved, folder, code.pickled, missing=code.missing, compiles=not code.missing_compiled
        )
        saved.save(str(folder / "MLmodel"))


def rebuilt_objective(
    study: StudyDefinition, space: SearchSpace, spec: TrialSpec, checkpoint: Path
) -> tuple[keras.Model, Splits]:
    """Returns the model of an objective function's trial with its best weights, and some samples.

    To build the model, the objective function runs with the trial's seed up to its first `fit`.
    """
    assert study.objective_function is not None, "the study has an objective function"
    begin_trial(spec.seed)
    hp = Hyperparameters(space, spec.values, number=spec.built_as)
    fit = model_of(study.name, study.objective_function, hp)
    splits = _samples_of(fit)
    build_variables(fit.model, splits)
    with as_built(fit.model):
        fit.model.load_weights(checkpoint)
    return fit.model, splits


def _samples_of(fit: FirstFit) -> Splits:
    """Returns the first samples that were passed to `fit`, as a study's data."""
    import keras

    x: Any = fit.arguments.get("x")
    y = fit.arguments.get("y")
    if y is None and not (isinstance(x, Mapping | list | tuple) or hasattr(x, "shape")):
        # `x` is a tf.data.Dataset, a PyDataset or a generator, which yields batches.
        x, y, _ = keras.utils.unpack_x_y_sample_weight(next(iter(x)))
    x, y = _first(x), () if y is None else _first(y)
    part = Part(x, y)
    return seal(part, part, None, preparation=Preparation(example=examples_of(x)))


def _first(samples: Any) -> Any:
    """Returns the first samples of an array, or of all arrays in a dict, list or tuple."""
    if isinstance(samples, Mapping):
        return {name: _first(array) for name, array in samples.items()}
    if isinstance(samples, list | tuple) and hasattr(samples[0], "shape") and samples[0].shape:
        return tuple(map(_first, samples))
    return np.asarray(samples[:_SAMPLES])
