"""Trains by programs, in the same loop over epochs as `model.fit`.

`model.fit` (keras/src/backend/tensorflow/trainer.py) calls a function for each batch. The loop here
calls a program for each epoch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from studies.definition.seeds import permutation
from studies.training.model_properties import overrides, terminating
from studies.training.model_structure import Structure
from studies.training.random_states_and_user_objects import SeedStates, begin_epoch
from studies.training.tensorflow_settings_and_environment import present_settings
from studies.training.traced_programs.program_cache import Program
from studies.training.traced_programs.traced_steps import Arrays, NotCompilableError
from studies.training.trainers import OnEpoch, Training, end_epochs

if TYPE_CHECKING:
    import keras


def fit(training: Training, swap: VariableSwap, arrays: Arrays, on_epoch: OnEpoch) -> None:
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
    begin_tests = any(overrides(c, "on_test_begin") for c in training.callbacks)
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
        if terminating(training.callbacks) and not np.isfinite(float(last_logs["loss"])):
            raise NotCompilableError("its loss is not finite, and TerminateOnNaN watches batches")
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
    swap: VariableSwap,
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


class ProgramChoice(NamedTuple):
    """A program, and the structure of the model that it trains."""

    program: Program
    structure: Structure


class VariableSwap:
    """Puts a program's variables into a model, and restores the model's own variables.

    `fit` traces the training step when it first calls `model.train_function`. So the program is
    chosen at the first step. If a callback makes Keras trace again, NotCompilableError is raised.

    A user's callback may call `model.predict` or `model.evaluate`, which TensorFlow traces with the
    variables that the model has then. So the model has its own variables whenever such a callback
    is called.
    """

    def __init__(
        self, model: keras.Model, choose: Callable[[], ProgramChoice], *, own_callbacks: bool
    ) -> None:
        self._model, self._choose, self._own_callbacks = model, choose, own_callbacks
        self._choice: ProgramChoice | None = None
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

        If no callback may change the model, this method chooses the program. Otherwise the program
        is chosen at the first step, in which `fit` makes the missing variables.
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

    def _put_in(self, choice: ProgramChoice) -> Program:
        if not self._is_swapped:
            self._swapped.enter_context(choice.program.swapped_into(choice.structure))
            self._is_swapped = True
        return choice.program
