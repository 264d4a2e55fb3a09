"""The objective of each sample of a part of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.errors import StudyError
from studies.training.champion.champion_model import evaluated
from studies.training.champion.evaluation import _predicted
from studies.training.models import scalars
from tracking.records import Objective
from tracking.scores.sample_scores import SampleScores

if TYPE_CHECKING:
    import keras


def scored(model: keras.Model, splits: Any, objective: Objective, batch_size: int) -> SampleScores:
    """Returns the objective of each sample of the validation part."""
    import tensorflow as tf

    metric = objective.metric.removeprefix("val_")
    value = scalars(evaluated(model, splits, batch_size))[metric]
    data = [
        None if each is None else tf.nest.map_structure(tf.constant, each)
        for each in _predicted(model, splits, batch_size)
    ]
    samples = int(tf.nest.flatten(data[1])[0].shape[0])

    @tf.function  # type: ignore[untyped-decorator]
    def computed(i: Any) -> Any:
        targets, made, weights = (
            None if d is None else tf.nest.map_structure(lambda a: a[i : i + 1], d) for d in data
        )
        model.reset_metrics()
        loss = model.compute_loss(None, targets, made, weights, training=False)
        return {**model.compute_metrics(None, targets, made, weights), "loss": loss}[metric]

    values = np.array([computed(tf.constant(i)).numpy() for i in range(samples)])
    if not np.isclose(values.mean(), value, 1e-3, 1e-6):
        raise StudyError(f"{objective.metric} is no mean over samples.")
    return SampleScores(objective.metric, "mean", values, 0)
