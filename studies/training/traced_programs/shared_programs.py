"""Programs, which are traced once for all models of a structure, and a cache of programs.

A program has its own TensorFlow variables, and two functions that train and validate on them. To
train a trial's model, these variables get the model's values, and are put into the model's Keras
variables. So callbacks and checkpoints see the trained values. At the end, the model's own
TensorFlow variables get the trained values, and are put into the Keras variables again.
"""

from __future__ import annotations

import contextlib
import random
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from studies.library_internals import forgetting_gradients, hold_value, take_identity, value_held
from studies.training.model_structure_digest import Structure
from studies.training.traced_programs.numbers_as_variables import (
    Record,
    lifted,
    slots_beside_constants,
)
from studies.training.traced_programs.traced_steps import (
    Loop,
    NotCompilableError,
    Signature,
    hidden_state,
    place_of_captured,
    trace_epoch,
    trace_validation,
)

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


class Program:
    """The traced training and validation of a model.

    Raises NotCompilableError if the traced functions have state besides the model's variables.
    Errors that the model raises while it is traced are passed on.
    """

    def __init__(self, model: keras.Model, structure: Structure, signature: Signature) -> None:
        self.broken = False
        self.checked = Checked()
        self._storage = [_like(variable) for variable in structure.variables]
        self._loops: list[Loop] = []
        # Close the loops when nothing refers to the program any more, neither the cache nor a
        # training.
        weakref.finalize(self, _close, self._loops).atexit = False
        # `exact` has the positions of the numbers that stay constants. If these numbers were
        # lifted, the results would not be exact, or the model's code would raise an error.
        everything = frozenset(range(len(structure.numbers)))
        exact: frozenset[int] = frozenset()
        while True:
            try:
                record = self._trace(model, structure, signature, exact)
            except NotCompilableError:
                raise
            except Exception:
                # The model's code may not accept lifted numbers in place of floats. So trace it
                # again with constants only, and raise only an error that remains.
                if exact == everything:
                    raise
                exact = everything
                continue
            slots = slots_beside_constants(self._epoch.step)
            slots |= slots_beside_constants(self._validation.step)
            if not slots:
                break
            exact = exact.union(*(record.slots[slot].sources for slot in slots))
        self._record = record

    def _trace(
        self, model: keras.Model, structure: Structure, signature: Signature, exact: frozenset[int]
    ) -> Record:
        _close(self._loops)
        with (
            self._swapped_into(structure.variables),
            forgetting_gradients(),
            warnings.catch_warnings(record=True) as caught_warnings,
            lifted(structure.numbers, exact) as record,
        ):
            random_states = _drawn()
            self._epoch = trace_epoch(model, signature)
            self._loops.append(self._epoch)
            self._validation = trace_validation(model, signature)
            self._loops.append(self._validation)
        if _drawn() != random_states:
            raise NotCompilableError(
                "the model draws from Python's or numpy's random numbers while it is traced"
            )
        if not Structure(model, *structure.others).is_like(structure):
            raise NotCompilableError(
                "the model's code changes something each time that it is traced, such as a counter"
            )
        handles = {id(variable.handle) for variable in self._storage}
        handles |= {id(slot.variable.handle) for slot in record.slots}
        for loop in self._loops:
            state = hidden_state(loop.step)
            if state:
                raise NotCompilableError(f"the model runs the operation {state}")
            place = place_of_captured(loop, handles)
            if place:
                raise NotCompilableError(
                    f"the model has state, used in {place}, that is in no Keras variable of its "
                    "own, such as a tf.Variable, a table, or keras.random without a seed generator"
                )
        for warning in caught_warnings:
            # Warn only now that tracing has succeeded. If tracing fails, `fit` traces again, and
            # gives this warning itself.
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
        return record

    def serves(self, structure: Structure) -> bool:
        """Returns whether the program can train another model, whose structure has the same key.

        The program's conditions must have the same answers for that model's lifted numbers.
        """
        return self._record.holds_for(structure.values)

    @contextlib.contextmanager
    def swapped_into(self, structure: Structure) -> Iterator[None]:
        """Puts the program's variables into a model's Keras variables within the context."""
        for slot in self._record.slots:
            slot.assign(structure.values)
        with self._swapped_into(structure.variables):
            yield

    @contextlib.contextmanager
    def _swapped_into(self, variables: Sequence[keras.Variable]) -> Iterator[None]:
        originals = [value_held(variable) for variable in variables]
        try:
            for storage, variable, value in zip(self._storage, variables, originals, strict=True):
                storage.assign(value)
                take_identity(storage, value)
                hold_value(variable, storage)
            yield
        finally:
            for storage, variable, value in zip(self._storage, variables, originals, strict=True):
                if value_held(variable) is storage:
                    value.assign(storage)
                    hold_value(variable, value)

    def trace_loops(self) -> None:
        """Makes a TensorFlow loop call the steps from now on, and no longer a Python loop.

        Call this when a second model uses the program. Many more models may follow, so the time
        that it takes to trace the loop pays off.
        """
        for loop in self._loops:
            loop.by_python = 0

    def values(self) -> list[tf.Tensor]:
        """Returns the values of the program's variables."""
        return [variable.read_value() for variable in self._storage]

    def set_values(self, values: Sequence[tf.Tensor]) -> None:
        """Sets the program's variables to the values that `values` returned."""
        for variable, value in zip(self._storage, values, strict=True):
            variable.assign(value)

    def train_epoch(self, arrays: Sequence[tf.Tensor], order: tf.Tensor) -> dict[str, Any]:
        """Trains an epoch. Returns the logs of the last step."""
        return self._run(self._epoch, *arrays, order)

    def validate(self, arrays: Sequence[tf.Tensor]) -> dict[str, Any]:
        """Runs the validation. Returns the logs of the last step."""
        return self._run(self._validation, *arrays)

    def _run(self, loop: Loop, *arrays: tf.Tensor) -> dict[str, Any]:
        try:
            return loop(*arrays)
        except Exception:
            self.broken = True
            raise


def _close(loops: list[Loop]) -> None:
    while loops:
        loops.pop().close()


def _drawn() -> tuple[object, ...]:
    """Returns the states of Python's and numpy's global generators."""
    state: Any = np.random.get_state()
    return random.getstate(), state[1].tobytes(), state[2:]


def _like(variable: keras.Variable) -> tf.Variable:
    """Makes a copy of the `tf.Variable` that a Keras variable holds."""
    import tensorflow as tf

    value = value_held(variable)
    with tf.device(value.device):
        return tf.Variable(
            value,
            trainable=value.trainable,
            name=value.name.partition(":")[0],
            aggregation=value.aggregation,
            synchronization=value.synchronization,
        )


@dataclass
class Checked:
    """Notes for which hyperparameters `compiled_trainer.difference` has checked a program."""

    # The hyperparameters of the trial whose model was traced, or None before that trial's training.
    first: Mapping[str, Any] | None = None
    # The names of hyperparameters that differed from `first` in a trial that was checked.
    names: set[str] = field(default_factory=set)
    trials: int = 0

    def new(self, values: Mapping[str, Any]) -> set[str]:
        """Returns the names of hyperparameters that differ from `first`.

        Names that differed in an earlier checked trial are left out.
        """
        if self.first is None:
            return set()
        names = {*self.first, *values}
        return {n for n in names if self.first.get(n) != values.get(n)} - self.names

    def passed(self, values: Mapping[str, Any]) -> None:
        """Notes that the check of a trial with these hyperparameters has passed."""
        self.names |= self.new(values)
        self.trials += 1


def is_due(checked: Checked, values: Mapping[str, Any]) -> bool:
    """Returns whether a program must be checked before it trains the model of a trial.

    The first call is for the trial whose model was traced. That trial needs no check.
    """
    if checked.first is None:
        checked.first = dict(values)
        return False
    return checked.trials == 0 or bool(checked.new(values))


_REFUSALS_KEPT = 1000


class Programs:
    """A cache of the programs that were used last, so that later models can use them."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._programs: OrderedDict[tuple[tuple[str, Signature], int], Program] = OrderedDict()
        self._refused: OrderedDict[object, str] = OrderedDict()
        self.made = 0  # The number of programs traced so far.

    def __len__(self) -> int:
        """Returns the number of kept programs."""
        return len(self._programs)

    def __iter__(self) -> Iterator[Program]:
        """Yields the kept programs, the least recently used first."""
        return iter(self._programs.values())

    def program(self, model: keras.Model, structure: Structure, signature: Signature) -> Program:
        """Returns a kept program that can train a model, or traces a new program."""
        if structure.state:
            raise NotCompilableError(f"the model holds {structure.state}")
        key = (structure.key, signature)
        reason = self._refused.get(structure.key) or self._refused.get(key)
        if reason:
            raise NotCompilableError(reason)
        for place, program in reversed(self._programs.items()):
            if place[0] == key and program.serves(structure):
                self._programs.move_to_end(place)
                program.trace_loops()
                return program
        while len(self._programs) >= self._kept:
            self._programs.popitem(last=False)
        try:
            program = Program(model, structure, signature)
        except NotCompilableError as error:
            self.refuse(key, str(error))
            raise
        self.made += 1
        # Keep the program, unless the structure is unique: then no later model can use the program.
        if not structure.reason:
            self._programs[key, self.made] = program
        return program

    def refuse(self, key: object, reason: str) -> None:
        """Drops the programs of a key, and makes `program` raise NotCompilableError for the key.

        The key is that of a structure, or a pair of such a key and a data signature.
        """
        self._refused[key] = reason
        while len(self._refused) > _REFUSALS_KEPT:
            self._refused.popitem(last=False)
        for place in [place for place in self._programs if key in (place[0], place[0][0])]:
            del self._programs[place]

    def refuse_broken(self, reason: str) -> None:
        """Refuses the keys of all programs that raised an error when they ran."""
        for (key, _), program in list(self._programs.items()):
            if program.broken:
                self.refuse(key, reason)

    def clear(self) -> None:
        """Drops all programs."""
        self._programs.clear()
