"""Builds a trial's model again, with its best weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces import Hyperparameters, SearchSpace
from studies.data import Part, Preparation, Splits, examples_of, seal
from studies.training.building.build import build_model
from studies.training.building.tracing_builders_and_functions import FirstFit, model_of
from studies.training.model_variables_and_properties import as_built, build_variables
from studies.training.random_states_and_user_objects import begin_trial
from tracking.records import TrialSpec

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData
    from studies.definition import StudyDefinition

# An objective function's model is called on this many samples, to make its variables and signature.
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
