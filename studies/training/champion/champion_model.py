"""A trial's best weights as a model that MLflow can load."""

from __future__ import annotations

import contextlib
import json
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces import Hyperparameters, SearchSpace
from search_spaces.errors import StudyError
from studies.data.arrays.structures import is_text, named_arrays
from studies.error_texts import first_paragraph
from studies.training.batches import Batches
from studies.training.building.build import build_model, build_variables
from studies.training.building.own_code import own_code
from studies.training.champion import champion_loader
from studies.training.champion.predictions import validation_predictions
from studies.training.champion.served import served_model
from studies.training.models import scalars
from studies.training.process.determinism import begin_trial
from studies.training.streamed_batches import StreamedBatches
from studies.training.variables import as_built
from tracking.records import ALL_FOLDS, TrialSpec
from tracking.records.validation_predictions import predictions_beside

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData
    from studies.definition.study_definition import StudyDefinition


def save_champion(
    study: StudyDefinition,
    space: SearchSpace,
    splits: LoadedData,
    spec: TrialSpec,
    checkpoint: Path,
    requirements: list[str],
    folder: Path,
) -> dict[str, float]:
    """Rebuilds a trial's model with its best weights and saves it into a new folder for MLflow.

    It is saved with fixed requirements. Validation data is evaluated, training data gives the
    signature. What the model predicts of the validation data is saved in `predictions_beside` the
    folder, if that can be counted. Returns the validation metrics, named as in training
    (``val_loss``, …): none of a model that is not compiled. Raises StudyError if the model cannot
    be rebuilt, loaded or saved.
    """
    try:
        model = rebuilt(study, space, splits, spec, checkpoint)
        # Trained on all folds, it has no validation data.
        validated = spec.fold != ALL_FOLDS
        compared = model.compiled and validated
        metrics = evaluated(model, splits, spec.batch_size) if compared else {}
        predictions = _predictions(study, model, splits, spec) if validated else ""
        if predictions:
            predictions_beside(folder).write_text(predictions, encoding="utf-8")
        save_for_mlflow(model, splits, requirements, folder, study.build)
    except StudyError:
        raise
    except Exception as error:
        raise StudyError(
            f"Trial {spec.number} is the best, but its model could not be saved as a model of "
            f"MLflow: {first_paragraph(error)}. Its weights are in {str(checkpoint)!r}."
        ) from error
    return {f"val_{name}": value for name, value in scalars(metrics).items()}


def rebuilt(
    study: StudyDefinition,
    space: SearchSpace,
    splits: LoadedData,
    spec: TrialSpec,
    checkpoint: Path,
) -> keras.Model:
    """Returns a trial's model with its best weights; see `save_champion`."""
    begin_trial(spec.seed)
    model = build_model(study, Hyperparameters(space, spec.values, number=spec.built_as), splits)
    build_variables(model, splits)
    with as_built(model):
        model.load_weights(checkpoint)
    return model


def _predictions(
    study: StudyDefinition, model: keras.Model, splits: LoadedData, spec: TrialSpec
) -> str:
    """Returns what a model predicts of the validation data, as JSON; empty if it can't be shown."""
    try:
        rule = getattr(study.data, "rule", None)
        found = validation_predictions(model, splits, spec.number, spec.batch_size, rule)
        return "" if found is None else found.to_json()
    except Exception:
        # A model may predict in its own way, or can't. It is registered all the same.
        return ""


def evaluated(model: keras.Model, splits: LoadedData, batch_size: int) -> Mapping[str, Any]:
    """Returns what `model.evaluate` returns for the validation part."""
    batches: Batches | StreamedBatches
    batches = StreamedBatches(splits) if splits.streams else Batches(splits.arrays, batch_size)
    with contextlib.closing(batches), warnings.catch_warnings():
        # Data of unknown length just ends.
        warnings.filterwarnings("ignore", message=".*Your input ran out of data.*")
        metrics: Mapping[str, Any] = model.evaluate(
            batches.validation, steps=batches.validation_steps, verbose=0, return_dict=True
        )
    return metrics


def save_for_mlflow(
    model: keras.Model,
    splits: LoadedData,
    requirements: list[str],
    folder: Path,
    build: Any = None,
) -> None:
    """Saves a trained model into a new folder for MLflow, to take samples before preprocessing.

    The code of its own layers and losses, which its builder shows, is saved with it. Raises
    StudyError if its preprocessing can't be added to it exactly.
    """
    import os

    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow.keras
    from mlflow.models import Model

    from studies.training.champion.signatures import (
        columns_signature,
        example_of,
        signature_of,
        table_of,
        table_signature,
    )

    x, given = splits.train.at_hand.x, splits.given
    served = served_model(model, x, given)
    signature, example = signature_of(served, x, given), example_of(served, given)
    columns = given.columns.get("x") if isinstance(x, np.ndarray) else None
    table = table_signature(signature, columns) if columns else None
    if given.table is not None:
        table = columns_signature(signature, given.table)
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
        pip_requirements=requirements,
        metadata=given.describe(),
    )
    code = own_code(_config_in(folder), build)
    texts = any(is_text(array) for array in named_arrays(x, "x").values())
    if table is not None or texts or code.objects or code.missing or code.missing_compiled:
        # `save_model` takes signatures of tensors alone.
        saved.signature = table or signature
        champion_loader.put_into(
            saved,
            folder,
            code.modules,
            code.objects,
            missing=code.missing,
            compiles=not code.missing_compiled,
        )
        saved.save(str(folder / "MLmodel"))


def _config_in(folder: Path) -> dict[str, Any]:
    """Returns the configuration that Keras has written of a saved model."""
    with zipfile.ZipFile(folder / "data" / "model.keras") as archive:
        config: dict[str, Any] = json.loads(archive.read("config.json"))
        return config
