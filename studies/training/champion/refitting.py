"""A trial's configuration, trained on training and validation data together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from search_spaces import Hyperparameters
from search_spaces.errors import StudyError
from studies.data import Splits
from studies.data.arrays.splits import joined
from studies.definition.class_weights import with_class_weight
from studies.training.building.build import build_callbacks, build_model, without_watching
from studies.training.building.hypermodel import has_own_fit
from studies.training.plain import PlainTrainer
from studies.training.process.determinism import begin_trial
from studies.training.trainer import Training

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData
    from studies.definition.study_definition import StudyDefinition
    from tracking.records import TrialSpec


@dataclass(frozen=True)
class Refitted:
    """How a model was trained on more data.

    Attributes:
        epochs: Epochs.
        steps: Steps of an epoch.
        steps_before: Those of the trial, without the validation data.
        samples: Samples.
        left_out: Callbacks that it was trained without, as they watch validation data.
    """

    epochs: int
    steps: int
    steps_before: int
    samples: int
    left_out: tuple[str, ...]


def refit(
    study: StudyDefinition, splits: LoadedData, spec: TrialSpec, hp: Hyperparameters, epochs: int
) -> tuple[keras.Model, Splits, Refitted]:
    """Trains a trial's model on training and validation data together, by `model.fit`.

    For the trial's best number of epochs, with its seed: each sample is seen as often as in the
    trial, so an epoch has more steps, in proportion to the data. (Keeping the number of steps
    instead would show each sample less often than was found best.) Samples of the training part
    come first; `permutation` orders each epoch. The preprocessing stays that of the trial, fitted
    on its training part.

    Args:
        study: Builder and callbacks.
        splits: The data, its classes not weighted.
        spec: The trial, with its class weights.
        hp: Its hyperparameters.
        epochs: The trial's best epoch.

    Returns:
        The model, its data and how it was trained.

    Raises:
        StudyError: If the data comes in batches, the model has a `fit` of its own, or its loss is
            not finite at the end.
    """
    if splits.streams:
        raise StudyError(
            "A study on data in batches can't be trained again on training and validation data "
            "together: the two can't be joined. Give arrays, or launch a study whose function of "
            "training batches returns both."
        )
    if has_own_fit(study.build):
        raise StudyError(
            "A HyperModel with a fit of its own can't be trained again without validation data: "
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
