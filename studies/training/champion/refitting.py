"""A trial's configuration, trained on training and validation data together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from search_spaces import Hyperparameters
from search_spaces.errors import StudyError
from studies.data import Part, Splits
from studies.data.structures import Arrays, map_arrays
from studies.definition.class_weights import with_class_weight
from studies.training.building.build import build_callbacks, build_model
from studies.training.building.hypermodel import has_own_fit
from studies.training.plain import PlainTrainer
from studies.training.process.determinism import begin_trial
from studies.training.trainer import Training

if TYPE_CHECKING:
    import keras

    from studies.data import AnySplits
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
    study: StudyDefinition, splits: AnySplits, spec: TrialSpec, hp: Hyperparameters, epochs: int
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
    if not isinstance(splits, Splits):
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
    joined = replace(splits, train=_joined(splits.train, splits.validation))
    weighted = with_class_weight(joined, spec.class_weight)
    assert isinstance(weighted, Splits), "it is of arrays"
    begin_trial(spec.seed)
    model = build_model(study, hp)
    callbacks = build_callbacks(study, hp)
    watching = [c for c in callbacks if str(getattr(c, "monitor", "")).startswith("val_")]
    last: dict[str, float] = {}

    def on_epoch(_: int, logs: Mapping[str, float]) -> bool:
        last.update(logs)
        return True

    kept = [callback for callback in callbacks if callback not in watching]
    trained = replace(spec, epochs=epochs)
    PlainTrainer().train(Training(model, weighted, trained, kept, hp, validates=False), on_epoch)
    if not math.isfinite(last.get("loss", math.nan)):
        raise StudyError(
            f"Trained on training and validation data together, trial {spec.number} diverges: its "
            f"loss is {last.get('loss')}."
        )
    samples, before = len(joined.train), len(splits.train)
    steps, steps_before = (-(-count // spec.batch_size) for count in (samples, before))
    left_out = tuple(type(callback).__name__ for callback in watching)
    return model, joined, Refitted(epochs, steps, steps_before, samples, left_out)


def _joined(first: Part, second: Part) -> Part:
    weights = None
    if first.sample_weight is not None or second.sample_weight is not None:
        weights = np.concatenate([_weights(first, second), _weights(second, first)])
    return Part(
        _concatenated(first.x, second.x), _concatenated(first.y, second.y), weights, first.alone
    )


def _weights(part: Part, other: Part) -> np.ndarray:
    """Returns the weights of a part; without, all samples count 1."""
    if part.sample_weight is not None:
        return part.sample_weight
    assert other.sample_weight is not None, "one of them has some"
    return np.ones((len(part), *other.sample_weight.shape[1:]), other.sample_weight.dtype)


def _concatenated(first: Arrays, second: Arrays) -> Arrays:
    if isinstance(first, dict) and isinstance(second, dict):
        return {name: np.concatenate([first[name], second[name]]) for name in first}
    if isinstance(first, tuple) and isinstance(second, tuple):
        return tuple(np.concatenate(pair) for pair in zip(first, second, strict=True))
    joined: Arrays = map_arrays(lambda array: np.concatenate([array, second]), first)
    return joined
