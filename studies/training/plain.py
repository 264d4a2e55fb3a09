"""The plain trainer: `model.fit`, its data in the order that the trial's seed gives."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from studies.training.batches import EpochBatches, in_order
from studies.training.determinism import begin_epoch
from studies.training.trainer import OnEpoch, Training

if TYPE_CHECKING:
    import keras

_BATCH_METHODS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
)


class PlainTrainer:
    """Trains with one call of `model.fit`, so that callbacks see one training."""

    def train(self, training: Training, on_epoch: OnEpoch) -> None:
        """See `Trainer.train`."""
        model, spec = training.model, training.spec
        batches = EpochBatches(training.splits.train, spec.batch_size, spec.seed)
        validation = in_order(training.splits.validation, spec.batch_size)
        _spare_steps(model, training, batches.steps)
        with warnings.catch_warnings():
            # Keras warns that it cannot shuffle a tf.data.Dataset: its order is ours.
            warnings.filterwarnings("ignore", message=".*`shuffle=True` was passed.*")
            # A custom training step may sum up a validation that ends early; not ours.
            warnings.filterwarnings("ignore", message=".*Your input ran out of data.*")
            model.fit(
                batches.dataset,
                epochs=spec.epochs,
                verbose=0,
                shuffle=False,
                validation_data=validation,
                callbacks=[
                    _begin_epochs(batches, spec.seed),
                    *training.callbacks,
                    # Last, to see what the user's callbacks added to the logs.
                    _end_epochs(on_epoch),
                ],
            )


def _spare_steps(model: keras.Model, training: Training, steps: int) -> None:
    """Has TensorFlow run a whole epoch per call, where nobody looks in between.

    The steps are the same; what is spared is a return to Python after each (a third of the time
    of a small model).
    """
    import keras

    watched = any(
        getattr(type(callback), name, None) is not getattr(keras.callbacks.Callback, name, None)
        for callback in training.callbacks
        for name in _BATCH_METHODS
    )
    # LambdaCallback and its like hang methods on the object.
    watched = watched or any(
        name in vars(callback) for callback in training.callbacks for name in _BATCH_METHODS
    )
    if not watched and model.steps_per_execution == 1 and not model.run_eagerly:
        model.steps_per_execution = steps


def _begin_epochs(batches: EpochBatches, seed: int) -> keras.callbacks.Callback:
    import keras

    class BeginEpochs(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            batches.set_epoch(epoch + 1)
            begin_epoch(self.model, seed, epoch + 1)

    return BeginEpochs()


def _end_epochs(on_epoch: OnEpoch) -> keras.callbacks.Callback:
    import keras

    class EndEpochs(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            metrics = {name: float(value) for name, value in (logs or {}).items()}
            if not on_epoch(epoch + 1, metrics):
                self.model.stop_training = True

    return EndEpochs()
