"""The plain trainer: `model.fit`, with data in the order of the trial's seed."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from studies.error_texts import describe
from studies.training.batches import Batches
from studies.training.models import make_variables, may_change_model, scalars
from studies.training.process import global_settings
from studies.training.process.determinism import SeedStates, begin_epoch
from studies.training.streamed_batches import StreamedBatches
from studies.training.structures.structure import Structure
from studies.training.trainer import NotTrainedError, OnEpoch, Training, check_traced_alike

if TYPE_CHECKING:
    import keras

_PIPELINES_KEPT = 4


class PlainTrainer:
    """Trains with one call of `model.fit`, so that callbacks see one training."""

    concludes = False
    walked = None
    unsaved = ""
    used = ("plain", "")

    def __init__(self) -> None:
        self.traced: Sequence[str] | None = ()
        # By the data, the size of batches, whether they end with an epoch, and the type of floats,
        # which a builder may have chosen. Few, as each holds a copy of the data.
        self._batches = lru_cache(_PIPELINES_KEPT)(
            lambda splits, batch_size, ends, floatx: Batches(splits, batch_size, ends=ends)
        )

    def train(self, training: Training, on_epoch: OnEpoch) -> None:
        """Trains with one call of `model.fit`."""
        model, spec = training.model, training.spec
        self.traced = ()
        batches = self._batches_of(training)
        with contextlib.closing(batches), warnings.catch_warnings():
            # Keras warns that it can't shuffle a tf.data.Dataset: the order is ours.
            warnings.filterwarnings("ignore", message=".*`shuffle=True` was passed.*")
            # A user's training step may end its own validation early; ours does not.
            warnings.filterwarnings("ignore", message=".*Your input ran out of data.*")
            if not training.unfit:
                _make_variables(training)
            model.fit(
                batches.training,
                steps_per_epoch=batches.training_steps,
                initial_epoch=training.initial_epoch,
                epochs=spec.epochs,
                verbose=0,
                shuffle=False,
                validation_data=batches.validation if training.validates else None,
                validation_steps=batches.validation_steps if training.validates else None,
                callbacks=[
                    _begin_epochs(batches, training),
                    *([self._noting(training)] if may_change_model(training.callbacks) else []),
                    *training.callbacks,
                    # Last, to see entries that the user's callbacks add to the logs.
                    end_epochs(on_epoch),
                ],
            )

    def _noting(self, training: Training) -> keras.callbacks.Callback:
        """Returns the callback that notes what the steps are traced for."""
        import keras

        model, trainer = training.model, self
        # By step: its function, and what that was traced for.
        noted: dict[int, tuple[Any, str]] = {}

        def note(step: int, function: Any) -> None:
            if step in noted and noted[step][0] is function:
                return
            known = step in noted
            noted[step] = function, ""
            try:
                structure = Structure(model, global_settings.present())
            except Exception:
                # Another version of Keras: `fit` must train nevertheless.
                trainer.traced = None
                return
            if not known:
                check_traced_alike(training.traced[step : step + 1], structure)
            noted[step] = function, structure.traced
            texts = [text for _, text in noted.values()]
            trainer.traced = texts if all(texts) else None

        class Noting(keras.callbacks.Callback):  # type: ignore[misc]
            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                note(0, model.train_function)

            def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
                note(1, model.test_function)

        return Noting()

    def _batches_of(self, training: Training) -> Batches | StreamedBatches:
        import keras

        splits, batch_size = training.splits, training.spec.batch_size
        if splits.streams:
            return StreamedBatches(splits, training.spec.class_weight)
        ends = training.model.steps_per_execution != 1
        return self._batches(splits.arrays, batch_size, ends, keras.config.floatx())


def _make_variables(training: Training) -> None:
    """Makes the variables of loss, metrics and optimizer, if no code of the user can notice.

    A user's code may count its calls, and callbacks may see variables. A failure need not mean that
    `fit` fails, as a loss may need several samples.
    """
    if may_change_model(training.callbacks) or not Structure(training.model).of_libraries:
        return
    try:
        make_variables(training.model, training.splits)
    except Exception as error:
        raise NotTrainedError(f"a step with one sample raised {describe(error)}") from None


def _begin_epochs(
    batches: Batches | StreamedBatches, training: Training
) -> keras.callbacks.Callback:
    import keras

    seed = training.spec.seed
    seeds = SeedStates(training.model, changes=may_change_model(training.callbacks))

    class BeginEpochs(keras.callbacks.Callback):  # type: ignore[misc]
        def set_params(self, params: dict[str, Any]) -> None:
            # For the user's callbacks, which get the same object after this one.
            batches.correct(params)
            super().set_params(params)

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            batches.set_epoch(seed, epoch + 1)
            begin_epoch(self.model, seed, epoch + 1, seeds.others())

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if batches.ended(batch):
                # As Keras does at the end of data.
                raise StopIteration

    return BeginEpochs()


def end_epochs(on_epoch: OnEpoch) -> keras.callbacks.Callback:
    """Returns the callback that reports each epoch, and stops the training if asked to."""
    import keras

    class EndEpochs(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            if not on_epoch(epoch + 1, scalars(logs or {})):
                self.model.stop_training = True

    return EndEpochs()
