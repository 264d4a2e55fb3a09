"""Making the variables of a model, its optimizer and its metrics ahead of the training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studies.training.batches import packed
from studies.training.building import build_variables, has_own_steps

if TYPE_CHECKING:
    import keras

    from studies.data import Splits


def make_variables(model: keras.Model, splits: Splits) -> None:
    """Makes what variables of a model `fit` would make in its first step.

    Made while TensorFlow traces the training step, they have it trace the step twice: a quarter
    of a second for a small model. A model with steps of its own is left alone: nobody knows what
    they do.
    """
    if has_own_steps(model):
        return
    build_variables(model, splits)
    model.test_step(packed(splits.train.first(1)))
    model.reset_metrics()
