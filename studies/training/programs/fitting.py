"""The loop of `model.fit` (keras/src/backend/tensorflow/trainer.py), with one call per epoch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from studies.definition.seeds import permutation
from studies.training.models import overrides, terminating
from studies.training.process.determinism import SeedStates, begin_epoch
from studies.training.programs.epochs import Arrays, in_order
from studies.training.programs.program import Program
from studies.training.trainers import OnEpoch, Training, check_traced_alike, end_epochs

if TYPE_CHECKING:
    import keras

    from studies.training.structure import Structure


def fit(training: Training, chosen: ChosenPrograms, arrays: Arrays, on_epoch: OnEpoch) -> None:
    """Trains and validates, epoch by epoch, and calls callbacks as `fit` does."""
    import keras

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
    seeds: SeedStates | None = None
    # Few callbacks act when a validation begins, and giving the variables back takes time.
    begin_tests = any(overrides(each, "on_test_begin") for each in training.callbacks)
    for epoch in range(training.initial_epoch, spec.epochs):
        model.reset_metrics()
        if seeds is None:
            seeds = chosen.seed_states()
        begin_epoch(model, spec.seed, epoch + 1, seeds.others())
        callbacks.on_epoch_begin(epoch)
        order = permutation(spec.seed, epoch + 1, samples)
        _train_epoch(training, chosen.for_training(), arrays, order, callbacks)
        if begin_tests:
            chosen.before_callbacks()
        logs = dict(model.get_metrics_result())
        logs.update(_validate(model, chosen, arrays, callbacks))
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
    """Trains an epoch at once, or batch by batch if `fit` would end it before its last batch."""
    model, size = training.model, training.spec.batch_size
    # `fit` checks `stop_training` after each batch. If it is set now, `fit` trains just one.
    if not model.stop_training:
        before = program.values() if terminating(training.callbacks) else None
        logs = program.train_epoch(arrays.training, in_order(order))
        # The loss is a mean over the batches so far: if it is finite now, it was after each batch.
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
    """Returns values of metrics as numbers, sorted by name, as `evaluate` does."""
    return {name: _number(logs[name]) for name in sorted(logs)}


def _number(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        # The metric has a value for each class.
        return value.numpy()


def _validate(
    model: keras.Model,
    chosen: ChosenPrograms,
    arrays: Arrays,
    callbacks: keras.callbacks.CallbackList,
) -> dict[str, float]:
    """Validates as `model.evaluate` does within `fit`."""
    callbacks.on_test_begin()
    program = chosen.for_validation()
    model.reset_metrics()
    program.validate(arrays.validation)
    logs = _pythonify(model.get_metrics_result())
    chosen.before_callbacks()
    callbacks.on_test_end(logs)
    return {f"val_{name}": value for name, value in logs.items()}


class Chosen(NamedTuple):
    """A program, and the structure of the model that it was chosen for."""

    program: Program
    structure: Structure


class ChosenPrograms:
    """The programs of one training. Leaving the context gives the model its own variables back.

    `fit` traces a step when the function that Keras made for it is first called. So what callbacks
    change in a model counts for the training step only after `make_train_function(force=True)` or
    `compile`, and for the validation step only after `compile`.

    The user's own callbacks may predict or evaluate, which TensorFlow traces with the variables
    that the model has then. So the model has its own variables whenever such callbacks are called.
    """

    def __init__(
        self,
        model: keras.Model,
        choose: Callable[[], Chosen],
        before: Sequence[str] = (),
        *,
        own_callbacks: bool = True,
    ) -> None:
        self._model, self._choose, self._before = model, choose, before
        self._own_callbacks = own_callbacks
        # For each step, the function that Keras made and the program chosen for it.
        self._training: tuple[object, Chosen] | None = None
        self._validating: tuple[object, Chosen] | None = None
        self._lent: Chosen | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> ChosenPrograms:
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Gives the model its own variables back."""
        self._take_back()

    @property
    def present(self) -> list[Chosen]:
        """The programs chosen last: for training, then for validation."""
        return [each[1] for each in (self._training, self._validating) if each is not None]

    @property
    def traced(self) -> list[str] | None:
        """The structures that the two steps were traced for, if callbacks may matter."""
        if not self._own_callbacks:
            return []
        texts = [each.structure.traced for each in self.present]
        return texts if all(texts) else None

    @property
    def structure(self) -> Structure | None:
        """The model's structure, if it is known by now and no callback may change it."""
        return self.present[0].structure if self.present and not self._own_callbacks else None

    def seed_states(self) -> SeedStates:
        """Returns the seed generators of the training, before its first epoch begins.

        Callbacks may change the model until `fit` makes variables, in its first step. If no
        callback may change the model, the program is chosen here.
        """
        if not self._own_callbacks:
            self.for_training()
        return SeedStates(self._model, changes=self._own_callbacks, structure=self.structure)

    def for_training(self) -> Program:
        """Gives the model the variables of the program that trains now; returns the program.

        Raises ChangedModelError if the model's structure is another than before an interruption.
        Raises TypeError, as `fit` does, if a callback compiled the model and made no function for
        its training step.
        """
        function = self._model.train_function
        if function is None:
            raise TypeError(
                "A callback compiled the model, and model.fit has no function for its training "
                "step then. Call model.make_train_function() after model.compile(...)."
            )
        if self._training is None or self._training[0] is not function:
            self._training = function, self._anew(self._training, self._before[:1])
        return self._lend(self._training[1])

    def for_validation(self) -> Program:
        """Gives the model the variables of the program that validates now; returns the program."""
        # `evaluate` also begins with this.
        self._model.make_test_function()
        function = self._model.test_function
        if self._validating is None or self._validating[0] is not function:
            self._validating = function, self._anew(self._validating, self._before[1:])
        return self._lend(self._validating[1])

    def _anew(self, before: tuple[Any, Chosen] | None, traced: Sequence[str]) -> Chosen:
        if self.structure is not None:
            return self.present[0]
        chosen = self._choose()
        if before is None:
            check_traced_alike(traced, chosen.structure)
        for other in () if chosen.structure.reason else self.present:
            if other.structure.is_like(chosen.structure):
                # It is the same program, which need not be taken back and lent again.
                chosen = other
        return chosen

    def before_callbacks(self) -> None:
        """Gives the model its own variables back if the user's callbacks may see them."""
        if self._own_callbacks:
            self._take_back()

    def _take_back(self) -> None:
        self._stack.close()
        self._lent = None

    def _lend(self, chosen: Chosen) -> Program:
        if chosen is not self._lent:
            self._take_back()
            self._stack.enter_context(chosen.program.lent(chosen.structure))
            self._lent = chosen
        return chosen.program
