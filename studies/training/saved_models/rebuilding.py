"""Builds a trial's model again: with its best weights, or trained on more data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces import Hyperparameters, SearchSpace
from search_spaces.errors import StudyError
from studies.data import Part, Preparation, Splits, examples_of, joined, seal
from studies.definition.class_weights import with_class_weight
from studies.training.building.build import build_callbacks, build_model, without_watching
from studies.training.building.builder_tracing import FirstFit, model_of
from studies.training.determinism.random_states import begin_trial
from studies.training.model_variables import as_built, build_variables
from studies.training.trainers import PlainTrainer, Training, has_own_fit
from tracking.records import ALL_FOLDS, TrialSpec

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData
    from studies.definition import StudyDefinition

# The number of samples that decide the signature and variables of an objective function's model.
_SAMPLES = 32


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
    _load_weights(model, splits, checkpoint)
    return model


def rebuilt_objective(
    study: StudyDefinition, space: SearchSpace, spec: TrialSpec, checkpoint: Path
) -> tuple[keras.Model, Splits]:
    """Returns the model of an objective function's trial with its best weights, and some samples.

    The objective function runs with the trial's seed up to its first `fit`, and so builds the
    model.
    """
    assert study.objective_function is not None, "the study has an objective function"
    begin_trial(spec.seed)
    hp = Hyperparameters(space, spec.values, number=spec.built_as)
    fit = model_of(study.name, study.objective_function, hp)
    splits = _samples_of(fit)
    _load_weights(fit.model, splits, checkpoint)
    return fit.model, splits


def _load_weights(model: keras.Model, splits: LoadedData, checkpoint: Path) -> None:
    build_variables(model, splits)
    with as_built(model):
        model.load_weights(checkpoint)


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


@dataclass(frozen=True)
class Refitted:
    """Facts about a training on training and validation data together."""

    epochs: int
    steps: int  # Steps per epoch.
    steps_before: int  # Steps per epoch in the trial, which had training data only.
    samples: int
    # The class names of callbacks that were left out, because they monitor validation metrics.
    left_out: tuple[str, ...]


def refit(
    study: StudyDefinition, splits: LoadedData, spec: TrialSpec, hp: Hyperparameters, epochs: int
) -> tuple[keras.Model, Splits, Refitted]:
    """Trains a trial's model on training and validation data together, by `model.fit`.

    The training has the trial's seed and the trial's preprocessing, which was fitted on the
    training part alone. `epochs` is the number of the trial's best epoch. As there is more data, an
    epoch has more steps, so that the model sees each sample as often as in the trial. The
    validation samples follow the training samples, and `permutation` shuffles all of them for each
    epoch.

    The class weights come from `spec`, as the data in `splits` has none.
    """
    if splits.streams:
        raise StudyError(
            "A study on data in batches can't be trained again on training and validation data "
            "together: batches can't be joined. Give arrays, or launch a study whose function of "
            "training batches returns both."
        )
    if has_own_fit(study.build):
        raise StudyError(
            "A HyperModel that overrides fit() can't be trained again without validation data: "
            "its fit() may need this data. Remove fit() from the HyperModel: then model.fit trains."
        )
    arrays = splits.arrays
    merged = replace(arrays, train=joined(arrays.train, arrays.validation))
    weighted = with_class_weight(merged, spec.class_weight)
    begin_trial(spec.seed)
    model = build_model(study, hp, splits)
    callbacks, watching = without_watching(build_callbacks(study, hp))
    last: dict[str, float] = {}

    def on_epoch(_: int, logs: Mapping[str, float]) -> bool:
        last.update(logs)
        return True

    # `ALL_FOLDS` says that this training has no validation data.
    refit_spec = replace(spec, epochs=epochs, fold=ALL_FOLDS)
    PlainTrainer().train(Training(model, weighted, refit_spec, callbacks, hp), on_epoch)
    if not math.isfinite(last.get("loss", math.nan)):
        raise StudyError(
            f"Trained on training and validation data together, trial {spec.number} diverges: its "
            f"loss is {last.get('loss')}."
        )
    samples, before = len(merged.train), len(arrays.train)
    steps, steps_before = (-(-count // spec.batch_size) for count in (samples, before))
    left_out = tuple(type(callback).__name__ for callback in watching)
    return model, merged, Refitted(epochs, steps, steps_before, samples, left_out)
