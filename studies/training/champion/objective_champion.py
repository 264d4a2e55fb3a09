"""The model of a trial of an objective function, built again with its best weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces import Hyperparameters, SearchSpace
from search_spaces.errors import StudyError
from studies.data import Part, Splits
from studies.data.arrays.preprocessing import Given, examples_of
from studies.data.arrays.splits import seal
from studies.error_texts import first_paragraph
from studies.training.building.build import build_variables
from studies.training.champion.champion_model import save_for_mlflow
from studies.training.objectives.first_fit import FirstFit, model_of
from studies.training.process.determinism import begin_trial
from studies.training.variables import as_built
from tracking.records import TrialSpec

if TYPE_CHECKING:
    import keras

    from studies.definition.study_definition import StudyDefinition

# For the signature, and to make variables.
_SAMPLES = 32


def save_objective_champion(
    study: StudyDefinition,
    space: SearchSpace,
    spec: TrialSpec,
    checkpoint: Path,
    requirements: list[str],
    folder: Path,
) -> None:
    """Saves the model of a trial into a new folder for MLflow; see `save_champion`.

    Raises StudyError if it can't be built again, loaded or saved.
    """
    try:
        model, splits = rebuilt_objective(study, space, spec, checkpoint)
        save_for_mlflow(model, splits, requirements, folder, study.build)
    except StudyError:
        raise
    except Exception as error:
        raise StudyError(
            f"Trial {spec.number} is the best, but its model could not be saved as a model of "
            f"MLflow: {first_paragraph(error)}. Its weights are in {str(checkpoint)!r}."
        ) from error


def rebuilt_objective(
    study: StudyDefinition, space: SearchSpace, spec: TrialSpec, checkpoint: Path
) -> tuple[keras.Model, Splits]:
    """Returns a trial's model with its best weights, and some of its training samples.

    The objective function runs under the trial's seed up to its first `fit`.
    """
    assert study.objective_function is not None, "it is such a study"
    begin_trial(spec.seed)
    hp = Hyperparameters(space, spec.values, number=spec.built_as)
    found = model_of(study.name, study.objective_function, hp)
    splits = _samples_of(found)
    build_variables(found.model, splits)
    with as_built(found.model):
        found.model.load_weights(checkpoint)
    return found.model, splits


def _samples_of(found: FirstFit) -> Splits:
    """Returns a few samples of a training, as if they were a study's data."""
    import keras

    x, y = found.arguments.get("x"), found.arguments.get("y")
    if y is None and not _is_arrays(x):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(_first_batch(x))
    x, y = _first(x), () if y is None else _first(y)
    part = Part(x, y)
    return seal(part, part, None, given=Given(example=examples_of(x)))


def _is_arrays(x: Any) -> bool:
    """Returns whether samples are arrays, not batches of them."""
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


def _first(given: Any) -> Any:
    """Returns the first samples, as one array, or several by name or in order."""
    if isinstance(given, Mapping):
        return {name: _first(each) for name, each in given.items()}
    if isinstance(given, list | tuple) and hasattr(given[0], "shape") and given[0].shape:
        return tuple(map(_first, given))
    return np.asarray(given[:_SAMPLES])
