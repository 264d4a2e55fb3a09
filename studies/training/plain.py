"""The plain trainer: `model.fit`, its data in the order that the trial's seed gives."""

from __future__ import annotations

import contextlib
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from studies.data import Splits, StreamedSplits
from studies.errors import describe
from studies.training.batches import Batches
from studies.training.building import scalars
from studies.training.determinism import begin_epoch
from studies.training.streaming import StreamedBatches
from studies.training.trainer import NotTrainedError, OnEpoch, Training
from studies.training.variables import make_variables

if TYPE_CHECKING:
    import keras

    from studies.data import AnySplits

_PIPELINES_KEPT = 4


class PlainTrainer:
    """Trains with one call of `model.fit`, so that callbacks see one training."""

    concludes = False
    unsaved = ""
    used = ("plain", "")
    structure = ""

    def __init__(self) -> None:
        # A data set and its batch sizes: few, and each holds a copy of the data.
        self._batches: OrderedDict[tuple[int, int, str], tuple[Splits, Batches]] = OrderedDict()

    def train(self, training: Training, on_epoch: OnEpoch) -> None:
        """See `Trainer.train`."""
        model, spec = training.model, training.spec
        batches = self._batches_of(training)
        with contextlib.closing(batches), warnings.catch_warnings():
            # Keras warns that it cannot shuffle a tf.data.Dataset: its order is ours.
            warnings.filterwarnings("ignore", message=".*`shuffle=True` was passed.*")
            # A custom training step may sum up a validation that ends early; not ours.
            warnings.filterwarnings("ignore", message=".*Your input ran out of data.*")
            reason = "" if training.unfit else _made(model, training.splits)
            if reason:
                raise NotTrainedError(f"a step with one sample raised {reason}")
            model.fit(
                batches.training,
                steps_per_epoch=batches.training_steps,
                initial_epoch=training.initial_epoch,
                epochs=spec.epochs,
                verbose=0,
                shuffle=False,
                validation_data=batches.validation,
                validation_steps=batches.validation_steps,
                callbacks=[
                    _begin_epochs(batches, spec.seed),
                    *training.callbacks,
                    # Last, to see what the user's callbacks added to the logs.
                    end_epochs(on_epoch),
                ],
            )

    def _batches_of(self, training: Training) -> Batches | StreamedBatches:
        import keras

        splits, batch_size = training.splits, training.spec.batch_size
        if isinstance(splits, StreamedSplits):
            return StreamedBatches(splits, training.spec.class_weight)
        # Floats are read in the type that the builder may have chosen.
        key = (id(splits), batch_size, keras.config.floatx())
        if key not in self._batches:
            # With the splits, so that no other object can get their id.
            self._batches[key] = splits, Batches(splits, batch_size)
            while len(self._batches) > _PIPELINES_KEPT:
                self._batches.popitem(last=False)
        self._batches.move_to_end(key)
        return self._batches[key][1]


def _made(model: keras.Model, splits: AnySplits) -> str:
    """Makes a model's variables; returns what that raised.

    A loss may need several samples. Or the model is at fault, which `fit` shows.
    """
    try:
        make_variables(model, splits)
    except Exception as error:
        return describe(error)
    return ""


def _begin_epochs(batches: Batches | StreamedBatches, seed: int) -> keras.callbacks.Callback:
    import keras

    class BeginEpochs(keras.callbacks.Callback):  # type: ignore[misc]
        def set_params(self, params: dict[str, Any]) -> None:
            # For those of the user, which are given the same object after this one.
            batches.correct(params)
            super().set_params(params)

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            batches.set_epoch(seed, epoch + 1)
            begin_epoch(self.model, seed, epoch + 1)

    return BeginEpochs()


def end_epochs(on_epoch: OnEpoch) -> keras.callbacks.Callback:
    """Returns the callback that tells of each epoch, and stops the training when told to."""
    import keras

    class EndEpochs(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            if not on_epoch(epoch + 1, scalars(logs or {})):
                self.model.stop_training = True

    return EndEpochs()
