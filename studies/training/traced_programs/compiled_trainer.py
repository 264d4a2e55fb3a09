"""The compiled trainer: trains by programs, which are traced TensorFlow functions.

A program is traced once, and then trains all models of the same structure. `model.fit`
(keras/src/backend/tensorflow/trainer.py) calls a function for each batch. The loop over epochs here
calls a program for each epoch. The trained weights have the same bits as after `model.fit`. If a
program can't train a model exactly, `model.fit` trains the model.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from search_spaces.errors import StudyError
from studies.data import Splits
from studies.definition import permutation
from studies.error_texts import describe
from studies.library_internals import MissingPartError, layers_within, logs_of_its_own
from studies.training.batches_for_model_fit import in_batches, known_size
from studies.training.model_structure_digest import Structure
from studies.training.model_variables_and_properties import (
    class_overrides,
    has_own_steps,
    make_variables,
    may_change_model,
)
from studies.training.plain_and_hypermodel_trainers import (
    NotTrainedError,
    OnEpoch,
    PlainTrainer,
    Training,
    end_epochs,
)
from studies.training.random_states_and_user_objects import (
    SeedStates,
    begin_epoch,
    global_random_states,
    other_states,
    set_global_random_states,
)
from studies.training.tensorflow_settings_and_environment import present_settings
from studies.training.traced_programs.shared_programs import Program, Programs, is_due
from studies.training.traced_programs.traced_steps import Arrays, NotCompilableError
from studies.user_code import out_of_memory

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


_log = logging.getLogger(__name__)

_DATA_SETS_KEPT = 2


class CompiledTrainer:
    """Trains models by programs, or by `model.fit` if a program can't train the model exactly.

    Attributes:
        plain: The trainer by `model.fit`.
        programs: The programs that are kept for later models, at most `kept`.
    """

    concludes = False
    unsaved = ""

    def __init__(self, kept: int = 64) -> None:
        self.plain = PlainTrainer()
        # Floats in the tensors have the type `keras.config.floatx()`, which a builder may change.
        # So floatx is a part of the cache's key.
        self._arrays = lru_cache(_DATA_SETS_KEPT)(lambda splits, floatx: Arrays(splits))
        self.programs = Programs(kept)
        self.used: tuple[str, str] = ("plain", "")
        self._swap: _VariableSwap | None = None

    @property
    def walked(self) -> Structure | None:
        """The structure of the model in training, or None if a callback may change the model."""
        return None if self._swap is None else self._swap.structure

    def train(self, training: Training, on_epoch: OnEpoch) -> None:
        """Trains a model by compiled programs, or by `model.fit` if programs can't train it.

        Raises NotTrainedError if a program fails. The caller then trains the model by `model.fit`.
        If the fault is the model's, `model.fit` raises an error, too.
        """
        reason = training.unfit or training.splits.unfit or why_not(training)
        if reason:
            self.used = ("plain", reason)
            self.plain.train(training, on_epoch)
            return
        self.used = ("compiled", "")
        try:
            self._train_compiled(training, on_epoch)
        except (NotCompilableError, MissingPartError) as error:
            raise NotTrainedError(str(error)) from None
        except (NotTrainedError, StudyError):
            raise
        except Exception as error:
            _log.debug("the compiled trainer failed", exc_info=True)
            reason = f"the compiled trainer raised {describe(error)}"
            self.programs.refuse_broken(reason)
            if out_of_memory(error):
                self.programs.clear()
                self._arrays.cache_clear()
            raise NotTrainedError(reason) from None

    def _train_compiled(self, training: Training, on_epoch: OnEpoch) -> None:
        import keras

        model = training.model
        if logs_of_its_own(model):
            raise NotCompilableError(f"{type(model).__name__} decides itself which metrics it logs")
        arrays = self._arrays(training.splits.arrays, keras.config.floatx())
        changes = may_change_model(training.callbacks)
        swap = _VariableSwap(model, lambda: self._choose(training, arrays), own_callbacks=changes)
        self._swap = swap
        try:
            _fit(training, swap, arrays, on_epoch)
        finally:
            self._swap = None
            swap.restore()
            # A callback may have called `evaluate` or `predict`, which traces these functions with
            # the program's variables. Drop the functions, so that they are traced again.
            model.train_function = model.test_function = model.predict_function = None

    def _choose(self, training: Training, arrays: Arrays) -> _ProgramChoice:
        """Chooses a program for the model, and compares it with the model's steps if necessary."""
        spec = training.spec
        structure = self._structure_of(training.model, training.splits.arrays)
        signature = arrays.signature(spec.batch_size)
        try:
            program = self.programs.program(training.model, structure, signature)
        except NotCompilableError:
            raise
        except Exception as error:
            reason = f"the compiled trainer raised {describe(error)}"
            self.programs.refuse((structure.key, signature), reason)
            raise
        choice = _ProgramChoice(program, structure)
        if is_due(program.checked, spec.values):
            unlike = difference(training, choice, arrays)
            if unlike:
                reason = (
                    f"its program gives other numbers than the model's own steps: {unlike} "
                    f"after {BATCHES} batches"
                )
                _log.warning(
                    "trial %d: %s; models of its structure are trained by model.fit from now on",
                    spec.number,
                    reason,
                )
                self.programs.refuse(str(structure.key), reason)
                raise NotCompilableError(reason)
        return choice

    def _structure_of(self, model: keras.Model, splits: Splits) -> Structure:
        """Makes the variables that `fit` makes in its first step. Returns the model's structure."""
        before = make_variables(model, splits)
        structure = Structure(model, present_settings())
        if before is not None:
            seeds = [other_states(model, s.variables) for s in (before, structure)]
            if len(seeds[0]) < len(seeds[1]):
                raise NotCompilableError(
                    "a loss, a metric or a function makes a seed generator when it is first called"
                )
        return structure


def _fit(training: Training, swap: _VariableSwap, arrays: Arrays, on_epoch: OnEpoch) -> None:
    """Trains and validates for each epoch, and calls callbacks as `model.fit` does.

    Raises NotCompilableError where `model.fit` would end an epoch early or trace a step again.
    """
    import keras
    import tensorflow as tf

    model, spec = training.model, training.spec
    samples = int(arrays.training[0].shape[0])
    callbacks = keras.callbacks.CallbackList(
        # `end_epochs` comes last, to see the entries that the user's callbacks add to the logs.
        [*training.callbacks, end_epochs(on_epoch)],
        add_history=True,
        add_progbar=False,
        verbose=0,
        epochs=spec.epochs,
        steps=-(-samples // spec.batch_size),
        model=model,
    )
    model.stop_training = False
    model.make_train_function()
    callbacks.on_train_begin()
    logs: dict[str, Any] | None = None
    # Restoring the model's variables takes time, and few callbacks have an `on_test_begin`. So the
    # variables are restored before a validation only if a callback has this method.
    begin_tests = any(_overrides(c, "on_test_begin") for c in training.callbacks)
    seeds: SeedStates | None = None
    for epoch in range(training.initial_epoch, spec.epochs):
        model.reset_metrics()
        if seeds is None:
            # This call may trace the model's step. As in `model.fit`, it comes after
            # `reset_metrics`, which may change a user's metric.
            seeds = swap.seed_states()
        begin_epoch(model, spec.seed, epoch + 1, seeds.others())
        callbacks.on_epoch_begin(epoch)
        order = permutation(spec.seed, epoch + 1, samples)
        if model.stop_training:
            raise NotCompilableError("a callback ended the training before its first batch")
        last_logs = swap.for_training().train_epoch(arrays.training, tf.constant(order))
        # The loss is a mean over batches: if it is finite now, it was finite after each batch.
        if _terminating(training.callbacks) and not np.isfinite(float(last_logs["loss"])):
            raise NotCompilableError("the loss is not finite, and TerminateOnNaN watches batches")
        if begin_tests:
            swap.before_callbacks()
        logs = dict(model.get_metrics_result())
        logs.update(_validate(model, swap, arrays, callbacks))
        callbacks.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    if isinstance(model.optimizer, keras.optimizers.Optimizer) and spec.epochs > 0:
        model.optimizer.finalize_variable_values(model.trainable_weights)
    callbacks.on_train_end(logs=logs)


def _number(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        return value.numpy()


def _validate(
    model: keras.Model,
    swap: _VariableSwap,
    arrays: Arrays,
    callbacks: keras.callbacks.CallbackList,
) -> dict[str, float]:
    callbacks.on_test_begin()
    program = swap.for_validation()
    model.reset_metrics()
    program.validate(arrays.validation)
    results = model.get_metrics_result()
    logs = {name: _number(results[name]) for name in sorted(results)}
    swap.before_callbacks()
    callbacks.on_test_end(logs)
    return {f"val_{name}": value for name, value in logs.items()}


class _ProgramChoice(NamedTuple):
    """A program, and the structure of the model that it trains."""

    program: Program
    structure: Structure


class _VariableSwap:
    """Puts a program's variables into a model, and restores the model's own variables.

    `fit` traces the training step when it first calls `model.train_function`. So the program is
    chosen at the first step. If a callback makes Keras trace again, NotCompilableError is raised.

    A user's callback may call `model.predict` or `model.evaluate`, which TensorFlow traces with the
    variables that the model has then. So the model has its own variables whenever such a callback
    is called.
    """

    def __init__(
        self, model: keras.Model, choose: Callable[[], _ProgramChoice], *, own_callbacks: bool
    ) -> None:
        self._model, self._choose, self._own_callbacks = model, choose, own_callbacks
        self._choice: _ProgramChoice | None = None
        # The model's `train_function` and `test_function` at the first steps.
        self._train: object = None
        self._validate: object = None
        self._swapped = contextlib.ExitStack()
        self._is_swapped = False

    @property
    def structure(self) -> Structure | None:
        """The model's structure. None before it is known, or if a callback may change the model."""
        return self._choice.structure if self._choice and not self._own_callbacks else None

    def seed_states(self) -> SeedStates:
        """Returns the seed generators of the training, before the first epoch begins.

        This method also chooses the program that trains the model, if no callback may change the
        model. Otherwise the first step chooses it, after `fit` has made the missing variables.
        """
        if not self._own_callbacks:
            self.for_training()
        return SeedStates(self._model, self.structure)

    def for_training(self) -> Program:
        """Puts the program's variables into the model, and returns the program.

        Raises NotCompilableError if a callback has replaced the training step.
        """
        function = self._model.train_function
        if self._choice is None:
            self._choice, self._train = self._choose(), function
        if function is not self._train:
            raise NotCompilableError("a callback compiled the model again, or remade its step")
        return self._put_in(self._choice)

    def for_validation(self) -> Program:
        """Puts the program's variables into the model, and returns the program.

        Raises NotCompilableError if a callback has changed the model or its validation step.
        """
        # `model.evaluate`, by which `fit` validates, begins with this call too.
        self._model.make_test_function()
        function, choice = self._model.test_function, self._choice
        assert choice is not None, "each epoch trains before it validates"
        if self._validate is None:
            self._validate = function
            if self._own_callbacks:
                self.restore()
                if not Structure(self._model, present_settings()).is_like(choice.structure):
                    raise NotCompilableError("a callback changed the model before its validation")
        if function is not self._validate:
            raise NotCompilableError("a callback remade the validation step")
        return self._put_in(choice)

    def before_callbacks(self) -> None:
        """Restores the model's own variables if the user's callbacks may see them."""
        if self._own_callbacks:
            self.restore()

    def restore(self) -> None:
        """Gives the model its own variables, with the program's values."""
        self._swapped.close()
        self._is_swapped = False

    def _put_in(self, choice: _ProgramChoice) -> Program:
        if not self._is_swapped:
            self._swapped.enter_context(choice.program.swapped_into(choice.structure))
            self._is_swapped = True
        return choice.program


_BATCH_METHODS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
)

# A program replaces `fit` and the other methods listed here, which `fit` calls. So it can't train a
# model that has its own version of one of them.
_PARTS_OF_FIT = ("fit", "evaluate", "make_train_function", "make_test_function", "reset_metrics")


def why_not(training: Training) -> str:
    """Returns why a program can't train the model with its callbacks, or an empty text."""
    import keras
    import tensorflow as tf

    model, config = training.model, keras.config
    kind, watching = type(model).__name__, _watching_batches(training.callbacks)
    traced = model.train_function or model.test_function
    overridden = [name for name in _PARTS_OF_FIT if class_overrides(model, name)]
    replaced = [name for name in _PARTS_OF_FIT if name in vars(model)]
    reasons = {
        f"the callback {watching} watches batches": watching,
        f"{kind} has its own training step or validation step": has_own_steps(model),
        f"{kind} has its own {' and '.join(overridden)}": overridden,
        f"the model was given its own {' and '.join(replaced)}": replaced,
        # `fit` would use the functions that were traced in the builder, and trace no others.
        "the model was trained or evaluated by its builder": traced,
        "the model runs eagerly": model.run_eagerly or tf.config.functions_run_eagerly(),
        "the model is compiled by XLA (jit_compile)": model.jit_compile,
        "XLA compiles all functions (tf.config.optimizer.set_jit)": tf.config.optimizer.get_jit(),
        "the model has steps_per_execution": model.steps_per_execution != 1,
        "the model has StackedRNNCells, whose gradients may round differently in a program": any(
            isinstance(layer, keras.layers.StackedRNNCells) for layer in layers_within(model)
        ),
        "keras.config limits epochs or steps": config.max_epochs() or config.max_steps_per_epoch(),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _watching_batches(callbacks: Iterable[keras.callbacks.Callback]) -> str:
    """Returns the class name of the first callback that acts on batches, or an empty text.

    TerminateOnNaN, and a ModelCheckpoint that saves once per epoch, are ignored, because the
    trainer can do their work after an epoch.
    """
    import keras

    for callback in callbacks:
        saves_by_epoch = type(callback) is keras.callbacks.ModelCheckpoint and (
            callback.save_freq == "epoch"
        )
        if saves_by_epoch or _terminating([callback]):
            continue
        if any(_overrides(callback, name) for name in _BATCH_METHODS):
            return type(callback).__name__
    return ""


def _overrides(callback: keras.callbacks.Callback, name: str) -> bool:
    """Returns whether a callback overrides a method of Keras's Callback."""
    import keras

    # LambdaCallback sets methods on the object, and not in its class.
    if name in vars(callback):
        return True
    return getattr(type(callback), name, None) is not getattr(keras.callbacks.Callback, name, None)


def _terminating(callbacks: Iterable[keras.callbacks.Callback]) -> bool:
    """Returns whether there is a TerminateOnNaN among the callbacks."""
    import keras

    return any(type(callback) is keras.callbacks.TerminateOnNaN for callback in callbacks)


BATCHES = 3
_State = Callable[[], list[bytes]]


def difference(training: Training, choice: _ProgramChoice, arrays: Arrays) -> str:
    """Trains a few batches by a program and by the model's own steps, and compares all variables.

    Returns the name of a variable whose bits differ, or an empty text. The model's steps first run
    eagerly, which is fast. But then TensorFlow fuses fewer operations, which may change bits. So if
    bits differ, the steps run again in functions that Keras traces, and only the bits of this
    second run count. At the end, the model has its former values.
    """
    import tensorflow as tf

    model, spec, program = training.model, training.spec, choice.program
    epoch, samples = training.initial_epoch + 1, len(arrays.training[0])
    # Take a few full batches, and the smaller last batch if an epoch has one.
    full = min(samples // spec.batch_size, BATCHES) * spec.batch_size
    order = permutation(spec.seed, epoch, samples)[: full + samples % spec.batch_size]
    part = [array[: spec.batch_size] for array in arrays.validation]
    others = other_states(model, choice.structure.variables)
    states = global_random_states()
    with program.swapped_into(choice.structure):
        before = program.values()
        try:

            def begin() -> None:
                program.set_values(before)
                begin_epoch(model, spec.seed, epoch, others)
                model.reset_metrics()

            def state() -> list[bytes]:
                return [value.numpy().tobytes() for value in program.values()]

            begin()
            program.train_epoch(arrays.training, tf.constant(order))
            by_program = state()
            model.reset_metrics()
            program.validate(part)
            by_program += state()
            for steps in (_by_steps, _by_fit):
                begin()
                try:
                    by_model = steps(training, arrays, order, part, state)
                except Exception:
                    if steps is _by_fit:
                        raise
                    # Some code of users runs only in TensorFlow functions, so go on to `_by_fit`.
                    continue
                if by_model == by_program:
                    program.checked.passed(spec.values)
                    return ""
        finally:
            program.set_values(before)
            set_global_random_states(states)
    names = [variable.path for variable in choice.structure.variables] * 2
    unlike = [
        n for n, mine, theirs in zip(names, by_program, by_model, strict=True) if mine != theirs
    ]
    return f"{unlike[0]} and {len(unlike) - 1} others" if len(unlike) > 1 else unlike[0]


def _by_steps(
    training: Training, arrays: Arrays, order: np.ndarray, part: Sequence[tf.Tensor], state: _State
) -> list[bytes]:
    import tensorflow as tf

    model, size = training.model, training.spec.batch_size
    for start in range(0, len(order), size):
        rows = tf.constant(order[start : start + size])
        model.train_step(arrays.packed([tf.gather(array, rows) for array in arrays.training]))
    after_training = state()
    model.reset_metrics()
    model.test_step(arrays.packed(part, training=False))
    return after_training + state()


def _by_fit(
    training: Training, arrays: Arrays, order: np.ndarray, part: Sequence[tf.Tensor], state: _State
) -> list[bytes]:
    import tensorflow as tf

    model, size = training.model, training.spec.batch_size
    functions = model.train_function, model.test_function
    batch_arrays = [tf.gather(array, order) for array in arrays.training]
    contents: list[bytes] = []
    try:
        for data, samples, is_training in (
            (arrays.packed(batch_arrays), len(order), True),
            (arrays.packed(part, training=False), len(part[0]), False),
        ):
            # As in `fit`, TensorFlow knows the batch size only if an epoch has no smaller batch.
            whole = len((arrays.training if is_training else arrays.validation)[0])
            batches = in_batches(data, samples, size, known_size(whole, size))
            make = model.make_train_function if is_training else model.make_test_function
            make(force=True)
            function = model.train_function if is_training else model.test_function
            model.reset_metrics()
            iterator = iter(batches)
            for _ in range(-(-samples // size)):
                function(iterator)
            contents += state()
    finally:
        model.train_function, model.test_function = functions
    return contents
