"""Trains a trial's model again, on its training and validation data together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from search_spaces import Hyperparameters
from search_spaces.errors import StudyError
from studies.data import Splits, joined
from studies.definition.class_weights import with_class_weight
from studies.training.building.build import build_callbacks, build_model, without_watching
from studies.training.determinism.random_states import begin_trial
from studies.training.trainers import PlainTrainer, Training, has_own_fit
from tracking.records import TrialSpec

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData
    from studies.definition import StudyDefinition


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
    epoch has more steps, so that the model sees each sample as often as in the trial. In each
    epoch, `permutation` orders the samples of the training part followed by those of the validation
    part.

    The class weights are those in `spec`, as the data in `splits` has none.
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
            "its fit() may need them. Remove fit() from the HyperModel: then model.fit trains."
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

    trained = replace(spec, epochs=epochs)
    training = Training(model, weighted, trained, callbacks, hp, validates=False)
    PlainTrainer().train(training, on_epoch)
    if not math.isfinite(last.get("loss", math.nan)):
        raise StudyError(
            f"Trained on training and validation data together, trial {spec.number} diverges: its "
            f"loss is {last.get('loss')}."
        )
    samples, before = len(merged.train), len(arrays.train)
    steps, steps_before = (-(-count // spec.batch_size) for count in (samples, before))
    left_out = tuple(type(callback).__name__ for callback in watching)
    return model, merged, Refitted(epochs, steps, steps_before, samples, left_out)
