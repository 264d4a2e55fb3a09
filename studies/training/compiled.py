"""The compiled trainer: whole epochs in one TensorFlow function, traced once for each structure.

What it does is what `model.fit` does (keras/src/backend/tensorflow/trainer.py), with all batches of
an epoch in one call. What it can't do exactly it leaves to the plain trainer.
"""

from __future__ import annotations

import contextlib
import copy
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from search_spaces.private_parts import MissingPartError
from studies.data import StreamedSplits
from studies.errors import BuilderError, StudyError, describe
from studies.libraries.keras_parts import initial_epoch, logs_of_its_own
from studies.seeds import permutation
from studies.training import global_settings
from studies.training.building import has_own_steps
from studies.training.callbacks import terminating, watching_batches
from studies.training.determinism import (
    begin_epoch,
    global_random_states,
    set_global_random_states,
)
from studies.training.epochs import Arrays, Signature, in_order
from studies.training.plain import PlainTrainer, end_epochs
from studies.training.programs import NotCompilableError, Program, Programs
from studies.training.structure import Structure
from studies.training.trainer import NotTrainedError, OnEpoch, Training
from studies.training.variables import make_variables

if TYPE_CHECKING:
    import keras

    from studies.data import AnySplits, Splits

_log = logging.getLogger(__name__)

Mode = Literal["auto", "compiled", "plain"]

_MODES = ("auto", "compiled", "plain")
_DATA_SETS_KEPT = 2
# Parts of `fit` that a program does in a way of its own.
_PARTS_OF_FIT = (
    "fit",
    "evaluate",
    "make_train_function",
    "make_test_function",
    "reset_metrics",
)


class CompiledTrainer:
    """Trains by programs; see `studies.training.programs`.

    Args:
        mode: "auto" leaves to the plain trainer what can't be compiled exactly; "compiled" raises
            BuilderError for it; "plain" leaves all to the plain trainer.
        kept: Programs to keep, at least 1: those used last.
        unfit: Why no model of the study is for a program, or empty.

    Attributes:
        programs: The programs at hand.
        used: What trained last, and why not what is faster.
        structure: See `Trainer.structure`.
    """

    concludes = False
    unsaved = ""

    def __init__(self, mode: Mode = "auto", kept: int = 64, unfit: str = "") -> None:
        if mode not in _MODES:
            raise ValueError(f"The trainer must be one of {', '.join(_MODES)}. Received: {mode!r}")
        self._mode = mode
        self._unfit = unfit
        self._plain = PlainTrainer()
        self._arrays: OrderedDict[tuple[int, str], tuple[Splits, Arrays]] = OrderedDict()
        self.programs = Programs(kept)
        # Why models of a structure are not tried again. (Those of a kind of their own never come
        # again, and are few.)
        self._failed: dict[object, str] = {}
        self.used: tuple[str, str] = ("plain", "")
        self.structure = ""

    def in_mode(self, mode: Mode) -> CompiledTrainer:
        """Returns a trainer of another mode that shares this one's programs and data."""
        other = copy.copy(self)
        other._mode = mode
        return other

    def train(self, training: Training, on_epoch: OnEpoch) -> Mapping[str, float] | None:
        """See `Trainer.train`.

        Raises:
            BuilderError: In the mode "compiled", if the training can't be compiled exactly.
        """
        self.structure = ""
        reason = training.unfit if self._mode != "plain" else ""
        if not reason and self._mode != "plain":
            before = global_random_states()
            try:
                self.used = ("compiled", "")
                self._train(training, on_epoch)
                return None
            except NotCompilableError as error:
                reason = str(error)
                # As if it had not been tried.
                set_global_random_states(before)
        self.used = ("plain", reason)
        if self._mode == "compiled":
            raise BuilderError(
                f"The training of trial {training.spec.number} cannot be compiled exactly: "
                f"{reason}. Use the trainer 'auto' to train such models with model.fit."
            )
        self._plain.train(training, on_epoch)
        return None

    def _train(self, training: Training, on_epoch: OnEpoch) -> None:
        """Trains by programs.

        Raises:
            NotCompilableError: Before anything was changed.
            NotTrainedError: If anything else fails before the first epoch is reported.
        """
        reported = False

        def report(epoch: int, metrics: Mapping[str, float]) -> bool:
            nonlocal reported
            reported = True
            return on_epoch(epoch, metrics)

        try:
            reason = self._unfit or training.splits.unfit
            reason = reason or why_not(training.model, training.callbacks)
            if reason:
                raise NotCompilableError(reason)
            self._train_compiled(training, report)
        except (NotCompilableError, NotTrainedError, StudyError):
            raise
        except Exception as error:
            if isinstance(error, MissingPartError):
                # As it is, for as long as this process lives.
                self._unfit = str(error)
                if self._mode == "compiled":
                    raise NotCompilableError(self._unfit) from None
            # What is to blame, the model or the program, shows in `model.fit`. The mode "compiled"
            # asks for no other way.
            if reported or self._mode == "compiled":
                raise
            _log.debug("the compiled trainer failed", exc_info=True)
            reason = _raised(error)
            for key in self.programs.drop_broken():
                self._failed[key] = reason
            if _is_want_of_memory(error):
                self.programs.clear()
                self._arrays.clear()
        else:
            return
        # Outside of the handler, so that nothing of the failed training is kept by the error.
        raise NotTrainedError(reason)

    def _train_compiled(self, training: Training, on_epoch: OnEpoch) -> None:
        model = training.model
        # Before any callback is told, as there is no way back to the plain trainer afterwards.
        arrays, structure = self._traced(model, training.splits, training.spec.batch_size)
        signature = arrays.signature(training.spec.batch_size)

        def chosen() -> tuple[Program, Structure]:
            # Callbacks may have changed the model meanwhile: `fit` traces it now.
            now = Structure(model, global_settings.present()) if training.callbacks else structure
            return self._program(model, now, signature), now

        try:
            try:
                _fit(training, chosen, arrays, on_epoch)
            except NotCompilableError as error:
                if self._mode == "compiled":
                    raise
                # Callbacks have begun, and must not begin again.
                raise NotTrainedError(str(error)) from None
            # Callbacks may have changed what is saved of it.
            after = Structure(model, global_settings.present()) if training.callbacks else structure
            self.structure = "" if after.reason else str(after.key)
        finally:
            # Callbacks that evaluate have them traced, with the program's variables.
            model.train_function = model.test_function = model.predict_function = None

    def why_not_traced(self, model: keras.Model, splits: AnySplits, batch_size: int) -> str:
        """Says why no program can be traced of a model that `why_not` has nothing against.

        Returns:
            The reason, or an empty text.
        """
        try:
            self._traced(model, splits, batch_size)
        except NotCompilableError as error:
            return str(error)
        except Exception as error:
            _log.debug("not traced ahead", exc_info=True)
            return _raised(error)
        return ""

    def _traced(
        self, model: keras.Model, splits: AnySplits, batch_size: int
    ) -> tuple[Arrays, Structure]:
        """Has a program at hand for a model, whose variables are made."""
        assert not isinstance(splits, StreamedSplits), "they are unfit"
        arrays = self._arrays_of(splits)
        make_variables(model, splits)
        structure = Structure(model, global_settings.present())
        self._program(model, structure, arrays.signature(batch_size))
        return arrays, structure

    def _program(self, model: keras.Model, structure: Structure, signature: Signature) -> Program:
        key = (structure.key, signature)
        if self._mode == "auto" and key in self._failed:
            raise NotCompilableError(self._failed[key])
        try:
            return self.programs.program(model, structure, signature)
        except NotCompilableError:
            raise
        except Exception as error:
            self._failed[key] = _raised(error)
            raise

    def _arrays_of(self, splits: Splits) -> Arrays:
        import keras

        # Floats are read in the type that the builder may have chosen.
        key = id(splits), keras.config.floatx()
        if key not in self._arrays:
            while len(self._arrays) >= _DATA_SETS_KEPT:
                self._arrays.popitem(last=False)
            # With the splits, so that no other object can get their id.
            self._arrays[key] = splits, Arrays(splits)
        self._arrays.move_to_end(key)
        return self._arrays[key][1]


def why_not(model: keras.Model, callbacks: Sequence[keras.callbacks.Callback]) -> str:
    """Says why a model and its callbacks are not for a program, or nothing."""
    import keras
    import tensorflow as tf

    watching = watching_batches(callbacks)
    if watching:
        return f"the callback {watching} watches batches"
    if has_own_steps(model):
        return f"{type(model).__name__} has a training step or validation step of its own"
    base = keras.Sequential if isinstance(model, keras.Sequential) else keras.Model
    for name in _PARTS_OF_FIT:
        if getattr(type(model), name) is not getattr(base, name):
            return f"{type(model).__name__} has a {name} of its own"
        if name in vars(model):
            return f"the model was given a {name} of its own"
    if logs_of_its_own(model):
        return f"{type(model).__name__} decides itself what of a step is logged"
    if model.run_eagerly or tf.config.functions_run_eagerly():
        return "the model runs eagerly"
    if model.jit_compile:
        return "the model is compiled by XLA (jit_compile)"
    if tf.config.optimizer.get_jit():
        return "XLA compiles what runs (tf.config.optimizer.set_jit)"
    if model.steps_per_execution != 1:
        return "the model has steps_per_execution"
    if tf.distribute.has_strategy():
        return "a distribution strategy is in force"
    if keras.config.max_epochs() or keras.config.max_steps_per_epoch():
        return "keras.config limits epochs or steps"
    return ""


def _raised(error: Exception) -> str:
    if isinstance(error, MissingPartError):
        return str(error)
    return f"the compiled trainer raised {describe(error)}"


def _is_want_of_memory(error: Exception) -> bool:
    import tensorflow as tf

    return isinstance(error, (MemoryError, tf.errors.ResourceExhaustedError))


def _fit(
    training: Training,
    chosen: Callable[[], tuple[Program, Structure]],
    arrays: Arrays,
    on_epoch: OnEpoch,
) -> None:
    """Does what `model.fit` does, with an epoch per call."""
    import keras

    model, spec = training.model, training.spec
    samples = int(arrays.training[0].shape[0])
    callbacks = keras.callbacks.CallbackList(
        # Last, to see what the user's callbacks added to the logs.
        [*training.callbacks, end_epochs(on_epoch)],
        add_history=True,
        add_progbar=False,
        verbose=0,
        epochs=spec.epochs,
        steps=-(-samples // spec.batch_size),
        model=model,
    )
    model.stop_training = False
    callbacks.on_train_begin()
    logs: dict[str, Any] | None = None
    # Set by BackupAndRestore.
    begins = initial_epoch(model) or training.initial_epoch
    with contextlib.ExitStack() as stack:
        program: Program | None = None
        for epoch in range(begins, spec.epochs):
            model.reset_metrics()
            begin_epoch(model, spec.seed, epoch + 1)
            callbacks.on_epoch_begin(epoch)
            if program is None:
                program, structure = chosen()
                stack.enter_context(program.lent(structure))
            order = permutation(spec.seed, epoch + 1, samples)
            _train_epoch(training, program, arrays, order, callbacks)
            logs = dict(model.get_metrics_result())
            logs.update(_validate(model, program, arrays, callbacks))
            callbacks.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        if isinstance(model.optimizer, keras.optimizers.Optimizer) and spec.epochs > 0:
            model.optimizer.finalize_variable_values(model.trainable_weights)
        callbacks.on_train_end(logs=logs)


def _train_epoch(
    training: Training,
    program: Program,
    arrays: Arrays,
    order: np.ndarray,
    callbacks: keras.callbacks.CallbackList,
) -> None:
    """Trains an epoch at once, or batch by batch if `fit` would end it before its last one."""
    model, size = training.model, training.spec.batch_size
    # `fit` looks at it after each batch.
    if not model.stop_training:
        before = program.values() if terminating(training.callbacks) else None
        logs = program.train_epoch(arrays.training, in_order(order))
        # A mean over the batches so far: finite at the end, it was so after each of them.
        if before is None or np.isfinite(float(logs["loss"])):
            return
        program.set_values(before)
    for step, start in enumerate(range(0, len(order), size)):
        callbacks.on_train_batch_begin(step)
        logs = program.train_epoch(arrays.training, in_order(order[start : start + size]))
        callbacks.on_train_batch_end(step, logs)
        if model.stop_training:
            break


def _pythonify(logs: Mapping[str, Any]) -> dict[str, float]:
    """Returns values of metrics as numbers, in the order of their names, as `evaluate` does."""
    return {name: _number(logs[name]) for name in sorted(logs)}


def _number(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        # A metric with a value per class.
        return value.numpy()


def _validate(
    model: keras.Model, program: Program, arrays: Arrays, callbacks: keras.callbacks.CallbackList
) -> dict[str, float]:
    """Does what `model.evaluate` does within `fit`."""
    callbacks.on_test_begin()
    model.reset_metrics()
    program.validate(arrays.validation)
    logs = _pythonify(model.get_metrics_result())
    callbacks.on_test_end(logs)
    return {f"val_{name}": value for name, value in logs.items()}
