"""Checks of a program by the model's own steps, when it is first used with other values.

A value that a structure missed is a constant in the traced graph. It shows when another trial has
another value there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from studies.definition.seeds import permutation
from studies.training.batches import in_batches, known_size
from studies.training.process.determinism import (
    begin_epoch,
    global_random_states,
    other_states,
    set_global_random_states,
)
from studies.training.programs.epochs import Arrays, in_order

if TYPE_CHECKING:
    import tensorflow as tf

    from studies.training.programs.fitting import Chosen
    from studies.training.trainer import Training

BATCHES = 3


@dataclass
class Checked:
    """The trials that a program was checked with."""

    # The hyperparameters of the traced trial; None if it is not used yet.
    first: Mapping[str, Any] | None = None
    # Hyperparameters that had another value in a checked trial.
    names: set[str] = field(default_factory=set)
    trials: int = 0

    def new(self, values: Mapping[str, Any]) -> set[str]:
        """Returns which hyperparameters differ from those it was traced for, for the first time."""
        if self.first is None:
            return set()
        names = {*self.first, *values}
        return {n for n in names if self.first.get(n) != values.get(n)} - self.names

    def passed(self, values: Mapping[str, Any]) -> None:
        """Notes the hyperparameters of a trial for which it was right."""
        self.names |= self.new(values)
        self.trials += 1


def is_due(checked: Checked, values: Mapping[str, Any]) -> bool:
    """Returns whether to check a program before a trial uses it; notes the trial if not."""
    if checked.first is None:
        checked.first = dict(values)
        return False
    return checked.trials == 0 or bool(checked.new(values))


def difference(training: Training, chosen: Chosen, arrays: Arrays) -> str:
    """Compares a few batches by a program with the model's own steps; returns the difference.

    First with the model's untraced steps. If these give other bits, as TensorFlow then fuses less,
    with functions that Keras traces again. The model is restored afterwards.
    """
    model, spec, program = training.model, training.spec, chosen.program
    epoch = training.initial_epoch + 1
    order = _few(permutation(spec.seed, epoch, len(arrays.training[0])), spec.batch_size)
    part = [array[: spec.batch_size] for array in arrays.validation]
    others = other_states(model, chosen.structure.variables)
    states = global_random_states()
    with program.lent(chosen.structure):
        before = program.values()
        try:

            def begin() -> None:
                program.set_values(before)
                begin_epoch(model, spec.seed, epoch, others)
                model.reset_metrics()

            begin()
            program.train_epoch(arrays.training, in_order(order))
            wanted = _bytes(program.values())
            model.reset_metrics()
            program.validate(part)
            wanted += _bytes(program.values())
            for steps in (_by_steps, _by_fit):
                begin()
                try:
                    found = steps(training, arrays, order, part, program.values)
                except Exception:
                    if steps is _by_fit:
                        raise
                    # Code that runs only in graphs.
                    continue
                if found == wanted:
                    program.checked.passed(spec.values)
                    return ""
        finally:
            program.set_values(before)
            set_global_random_states(states)
    names = [variable.path for variable in chosen.structure.variables] * 2
    unlike = [n for n, mine, own in zip(names, wanted, found, strict=True) if mine != own]
    return f"{unlike[0]} and {len(unlike) - 1} others" if len(unlike) > 1 else unlike[0]


def _few(order: np.ndarray, size: int) -> np.ndarray:
    """Returns the samples of some batches: the last one smaller if that of an epoch is."""
    full = len(order) // size
    return order[: min(full, BATCHES) * size + len(order) % size]


def _by_steps(
    training: Training, arrays: Arrays, order: np.ndarray, part: Sequence[tf.Tensor], values: Any
) -> list[bytes]:
    import tensorflow as tf

    model, size = training.model, training.spec.batch_size
    for start in range(0, len(order), size):
        rows = in_order(order[start : start + size])
        model.train_step(arrays.packed([tf.gather(array, rows) for array in arrays.training]))
    found = _bytes(values())
    model.reset_metrics()
    model.test_step(arrays.packed(part, training=False))
    return found + _bytes(values())


def _by_fit(
    training: Training, arrays: Arrays, order: np.ndarray, part: Sequence[tf.Tensor], values: Any
) -> list[bytes]:
    import tensorflow as tf

    model, size = training.model, training.spec.batch_size
    functions = model.train_function, model.test_function
    rows = in_order(order)
    taken = [tf.gather(array, rows) for array in arrays.training]
    found: list[bytes] = []
    try:
        for data, samples, is_training in (
            (arrays.packed(taken), len(order), True),
            (arrays.packed(part, training=False), len(part[0]), False),
        ):
            # The size that TensorFlow knows in `fit` on all samples.
            whole = len((arrays.training if is_training else arrays.validation)[0])
            batches = in_batches(data, samples, size, known_size(whole, size))
            make = model.make_train_function if is_training else model.make_test_function
            make(force=True)
            function = model.train_function if is_training else model.test_function
            model.reset_metrics()
            iterator = iter(batches)
            for _ in range(-(-samples // size)):
                function(iterator)
            found += _bytes(values())
    finally:
        model.train_function, model.test_function = functions
    return found


def _bytes(values: Sequence[tf.Tensor]) -> list[bytes]:
    return [value.numpy().tobytes() for value in values]
