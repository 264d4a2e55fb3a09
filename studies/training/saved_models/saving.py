"""A trial's model: built again, saved for MLflow, or trained on all but the test part."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces import Hyperparameters, SearchSpace
from search_spaces.errors import StudyError
from studies.data import Part, Preparation, Splits, examples_of, is_text, joined, named_arrays, seal
from studies.definition.class_weights import with_class_weight
from studies.error_texts import first_paragraph
from studies.training.building.build import (
    build_callbacks,
    build_model,
    without_watching,
)
from studies.training.building.own_code import own_code
from studies.training.models import as_built, build_variables, scalars
from studies.training.objective_functions import FirstFit, model_of
from studies.training.process.determinism import begin_trial
from studies.training.saved_models import loader
from studies.training.saved_models.served import (
    columns_signature,
    example_of,
    served_model,
    signature_of,
    table_of,
    table_signature,
)
from studies.training.scoring.predictions import validation_predictions
from studies.training.scoring.sample_scores import evaluated
from studies.training.trainers import PlainTrainer, Training, has_own_fit
from tracking.records import ALL_FOLDS, TrialSpec
from tracking.records.evaluations import MODEL_SUMMARY, predictions_beside
from tracking.records.json_conversion import to_json

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData
    from studies.definition import StudyDefinition

# An objective function's model gets its signature and variables from this many samples.
_SAMPLES = 32
# The columns of a model's summary.
_LINE = 76
_REQUIREMENTS = ("keras", "tensorflow", "numpy", "cloudpickle")


def save_champion(
    study: StudyDefinition,
    space: SearchSpace,
    splits: LoadedData,
    spec: TrialSpec,
    checkpoint: Path,
    folder: Path,
) -> dict[str, float]:
    """Rebuilds a trial's model with its best weights, and saves it into a new folder for MLflow.

    Predictions of the validation data are saved in `predictions_beside` the folder, if they can be
    counted. Returns the validation metrics by the names of the training (``val_loss``, …), or none
    if the model is not compiled.
    """
    with _saving(spec, checkpoint):
        model = rebuilt(study, space, splits, spec, checkpoint)
        # A model trained on all folds has no validation data.
        validated = spec.fold != ALL_FOLDS
        compared = model.compiled and validated
        metrics = evaluated(model, splits, spec.batch_size) if compared else {}
        predictions = _predictions(study, model, splits, spec) if validated else ""
        if predictions:
            predictions_beside(folder).write_text(predictions, encoding="utf-8")
        save_for_mlflow(model, splits, folder)
    return {f"val_{name}": value for name, value in scalars(metrics).items()}


def save_objective_champion(
    study: StudyDefinition,
    space: SearchSpace,
    spec: TrialSpec,
    checkpoint: Path,
    folder: Path,
) -> None:
    """Saves the model of an objective function's trial, as `save_champion` does."""
    with _saving(spec, checkpoint):
        model, splits = rebuilt_objective(study, space, spec, checkpoint)
        save_for_mlflow(model, splits, folder)


@contextlib.contextmanager
def _saving(spec: TrialSpec, checkpoint: Path) -> Iterator[None]:
    try:
        yield
    except StudyError:
        raise
    except Exception as error:
        raise StudyError(
            f"Trial {spec.number} is the best, but its model could not be saved as a model of "
            f"MLflow: {first_paragraph(error)}. Its weights are in {str(checkpoint)!r}."
        ) from error


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


def _predictions(
    study: StudyDefinition, model: keras.Model, splits: LoadedData, spec: TrialSpec
) -> str:
    try:
        rule = getattr(study.data, "rule", None)
        predictions = validation_predictions(model, splits, spec.number, spec.batch_size, rule)
        return "" if predictions is None else to_json(predictions)
    except Exception:
        # A model that predicts nothing, or in its own way, is saved all the same.
        return ""


def save_for_mlflow(model: keras.Model, splits: LoadedData, folder: Path) -> None:
    """Saves a trained model into a new folder for MLflow.

    The saved model takes samples before preprocessing, and has the code of its own layers and
    losses. Raises StudyError if the preprocessing can't be added exactly.
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
        # MLflow would need 13 to 32 s to find these.
        pip_requirements=[f"{name}=={version(name)}" for name in _REQUIREMENTS],
        metadata=preparation.describe(),
    )
    lines: list[str] = []
    # A model of the user's own class may have no summary.
    with contextlib.suppress(Exception):
        model.summary(line_length=_LINE, print_fn=lines.append)
    (folder / MODEL_SUMMARY).write_text("\n".join(lines), encoding="utf-8")
    code = own_code(served)
    texts = any(is_text(array) for array in named_arrays(x, "x").values())
    if table is not None or texts or any(code):
        # `mlflow.keras.save_model` takes only signatures of tensors.
        saved.signature = table or signature
        loader.put_into(
            saved, folder, code.pickled, missing=code.missing, compiles=not code.missing_compiled
        )
        saved.save(str(folder / "MLmodel"))


def rebuilt_objective(
    study: StudyDefinition, space: SearchSpace, spec: TrialSpec, checkpoint: Path
) -> tuple[keras.Model, Splits]:
    """Returns the model of an objective function's trial with its best weights, and some samples.

    The objective function runs with the trial's seed, up to its first `fit`.
    """
    assert study.objective_function is not None, "it is such a study"
    begin_trial(spec.seed)
    hp = Hyperparameters(space, spec.values, number=spec.built_as)
    fit = model_of(study.name, study.objective_function, hp)
    splits = _samples_of(fit)
    build_variables(fit.model, splits)
    with as_built(fit.model):
        fit.model.load_weights(checkpoint)
    return fit.model, splits


def _samples_of(fit: FirstFit) -> Splits:
    """Returns a few samples for a `fit`, as a study's data."""
    import keras

    x, y = fit.arguments.get("x"), fit.arguments.get("y")
    if y is None and not _is_arrays(x):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(_first_batch(x))
    x, y = _first(x), () if y is None else _first(y)
    part = Part(x, y)
    return seal(part, part, None, preparation=Preparation(example=examples_of(x)))


def _is_arrays(x: Any) -> bool:
    if isinstance(x, Mapping):
        return True
    if isinstance(x, list | tuple):
        return bool(x)
    return hasattr(x, "shape")


def _first_batch(batches: Any) -> Any:
    import keras

    if isinstance(batches, keras.utils.PyDataset):
        return batches[0]
    return next(iter(batches))


def _first(samples: Any) -> Any:
    """Returns the first samples: an array, or arrays in a dict or tuple."""
    if isinstance(samples, Mapping):
        return {name: _first(each) for name, each in samples.items()}
    if isinstance(samples, list | tuple) and hasattr(samples[0], "shape") and samples[0].shape:
        return tuple(map(_first, samples))
    return np.asarray(samples[:_SAMPLES])


@dataclass(frozen=True)
class Refitted:
    """How a model was trained on training and validation data together."""

    epochs: int
    steps: int  # Steps per epoch.
    steps_before: int  # Steps per epoch in the trial, on training data only.
    samples: int
    # The callbacks that were left out, as they monitor validation metrics.
    left_out: tuple[str, ...]


def refit(
    study: StudyDefinition, splits: LoadedData, spec: TrialSpec, hp: Hyperparameters, epochs: int
) -> tuple[keras.Model, Splits, Refitted]:
    """Trains a trial's model on training and validation data together, by `model.fit`.

    The training has the trial's seed, its preprocessing (fitted on its training part), and
    `epochs`, its best epoch. As there is more data, an epoch has more steps. (With as many steps as
    in the trial, each sample would be seen less often than was found best.) In each epoch,
    `permutation` orders the samples of the training part followed by those of the validation part.

    The data in `splits` has no class weights. Those in `spec` are used.
    """
    if splits.streams:
        raise StudyError(
            "A study on data in batches can't be trained again on training and validation data "
            "together: the two can't be joined. Give arrays, or launch a study whose function of "
            "training batches returns both."
        )
    if has_own_fit(study.build):
        raise StudyError(
            "A HyperModel that overrides fit() can't be trained again without validation data: "
            "its fit may need that. Leave the fit out."
        )
    arrays = splits.arrays
    merged = replace(arrays, train=joined(arrays.train, arrays.validation))
    weighted = with_class_weight(merged, spec.class_weight)
    begin_trial(spec.seed)
    model = build_model(study, hp, splits)
    kept, watching = without_watching(build_callbacks(study, hp))
    last: dict[str, float] = {}

    def on_epoch(_: int, logs: Mapping[str, float]) -> bool:
        last.update(logs)
        return True

    trained = replace(spec, epochs=epochs)
    PlainTrainer().train(Training(model, weighted, trained, kept, hp, validates=False), on_epoch)
    if not math.isfinite(last.get("loss", math.nan)):
        raise StudyError(
            f"Trained on training and validation data together, trial {spec.number} diverges: its "
            f"loss is {last.get('loss')}."
        )
    samples, before = len(merged.train), len(arrays.train)
    steps, steps_before = (-(-count // spec.batch_size) for count in (samples, before))
    left_out = tuple(type(callback).__name__ for callback in watching)
    return model, merged, Refitted(epochs, steps, steps_before, samples, left_out)
