"""Programs: traced once for a structure, used for every trial with it.

A program owns variables, and two functions that train and validate on them. During a trial, the
Keras variables of the model hold those of the program, set to the model's values: callbacks and
checkpoints see them. At the end the model gets its own variables back, with the trained values. So
no model ever holds anything of another trial.
"""

from __future__ import annotations

import contextlib
import random
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.errors import InternalError
from studies.libraries.keras_parts import hold_value, value_held
from studies.libraries.tensorflow_parts import forgetting_gradients, take_identity
from studies.training.programs.epochs import (
    Loop,
    OtherLogsError,
    Signature,
    trace_epoch,
    trace_validation,
)
from studies.training.programs.graph_checks import entangled, hidden_state, place_of_captured
from studies.training.programs.program_checks import Checked
from studies.training.structures.lifting import Record, lifted
from studies.training.structures.structure import Structure

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


class NotCompilableError(InternalError):
    """A model can't be trained exactly by a program; says why."""


class Program:
    """Traces a model's training and validation.

    Raises NotCompilableError if the trace has state besides the model's variables, and whatever the
    model raises when it is traced.
    """

    def __init__(self, model: keras.Model, structure: Structure, signature: Signature) -> None:
        self.broken = False
        self.checked = Checked()
        self._storage = [_like(variable) for variable in structure.variables]
        self._loops: list[Loop] = []
        # When no training uses the program any more.
        weakref.finalize(self, _close, self._loops).atexit = False
        self._trace_exactly(model, structure, signature)

    def _trace_exactly(
        self, model: keras.Model, structure: Structure, signature: Signature
    ) -> None:
        """Traces; numbers that cannot be lifted exactly stay in the graph."""
        everything = frozenset(range(len(structure.numbers)))
        exact: frozenset[int] = frozenset()
        while True:
            try:
                record = self._trace(model, structure, signature, exact)
            except NotCompilableError:
                raise
            except Exception:
                # Some code can't handle a lifted number; or the model is wrong.
                if exact == everything:
                    raise
                exact = everything
                continue
            slots = entangled(self._epoch.function) | entangled(self._validation.function)
            if not slots:
                break
            exact = exact.union(*(record.sources[slot] for slot in slots))
        self._record = record

    def _trace(
        self, model: keras.Model, structure: Structure, signature: Signature, exact: frozenset[int]
    ) -> Record:
        _close(self._loops)
        with (
            self._lent(structure.variables),
            forgetting_gradients(),
            warnings.catch_warnings(record=True) as caught,
            lifted(structure.numbers, exact) as record,
        ):
            drawn = _drawn()
            try:
                self._epoch = trace_epoch(model, signature)
                self._loops.append(self._epoch)
                self._validation = trace_validation(model, signature)
                self._loops.append(self._validation)
            except OtherLogsError:
                raise NotCompilableError(
                    "the model logs values that are not of its metrics"
                ) from None
        if _drawn() != drawn:
            raise NotCompilableError(
                "the model draws from Python's or numpy's random numbers while it is traced"
            )
        if not Structure(model, *structure.others).is_like(structure):
            raise NotCompilableError(
                "the model's code changes something each time that it is traced, such as a counter"
            )
        known = {id(variable.handle) for variable in self._storage}
        known |= {id(slot.variable.handle) for slot in record.slots}
        for loop in self._loops:
            state = hidden_state(loop.function)
            if state:
                raise NotCompilableError(f"the model runs the operation {state}")
            place = place_of_captured(loop, known)
            if place:
                raise NotCompilableError(
                    f"the model has state, used in {place}, that is in no Keras variable of its "
                    "own, such as a tf.Variable, a table, or keras.random without a seed generator"
                )
        for each in caught:
            # Only now: if no program can be traced, `fit` traces, and warns again.
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
        return record

    def serves(self, structure: Structure) -> bool:
        """Returns whether the program can be used for the numbers of another trial."""
        return all(condition.holds(structure.values) for condition in self._record.conditions)

    @contextlib.contextmanager
    def lent(self, structure: Structure) -> Iterator[None]:
        """Lends the program's variables to a model of the structure that it was traced for."""
        for slot in self._record.slots:
            slot.assign(structure.values)
        with self._lent(structure.variables):
            yield

    @contextlib.contextmanager
    def _lent(self, variables: Sequence[keras.Variable]) -> Iterator[None]:
        own = [value_held(variable) for variable in variables]
        try:
            for storage, variable, value in zip(self._storage, variables, own, strict=True):
                storage.assign(value)
                take_identity(storage, value)
                hold_value(variable, storage)
            yield
        finally:
            for storage, variable, value in zip(self._storage, variables, own, strict=True):
                if value_held(variable) is storage:
                    value.assign(storage)
                    hold_value(variable, value)

    def values(self) -> list[tf.Tensor]:
        """Returns the values of its variables."""
        return [variable.read_value() for variable in self._storage]

    def set_values(self, values: Sequence[tf.Tensor]) -> None:
        """Sets its variables to the values that `values` returned."""
        for variable, value in zip(self._storage, values, strict=True):
            variable.assign(value)

    def train_epoch(self, arrays: Sequence[tf.Tensor], order: tf.Tensor) -> dict[str, Any]:
        """Trains an epoch; returns the last training step's logs, if they count."""
        with self._noting():
            return self._epoch(*arrays, order)

    def validate(self, arrays: Sequence[tf.Tensor]) -> dict[str, Any]:
        """Validates; returns the last step's logs, if they count."""
        with self._noting():
            return self._validation(*arrays)

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        """Notes an error: no other trial should use such a program."""
        try:
            yield
        except Exception:
            self.broken = True
            raise


def _close(loops: list[Loop]) -> None:
    while loops:
        loops.pop().close()


def _drawn() -> tuple[object, ...]:
    """Returns a value that changes if Python's or numpy's global generator was drawn from."""
    state: Any = np.random.get_state()
    return random.getstate(), state[1].tobytes(), state[2:]


def _like(variable: keras.Variable) -> tf.Variable:
    """Makes the program's own variable, like that of a Keras variable."""
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


_REFUSALS_KEPT = 1000


class Programs:
    """The programs used last, by structure."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._programs: OrderedDict[tuple[tuple[str, Signature], int], Program] = OrderedDict()
        self._refused: OrderedDict[object, str] = OrderedDict()
        self._made = 0

    def __len__(self) -> int:
        """Returns how many are kept."""
        return len(self._programs)

    def __iter__(self) -> Iterator[Program]:
        """Yields the kept ones, least recently used first."""
        return iter(self._programs.values())

    @property
    def made(self) -> int:
        """How many were traced so far."""
        return self._made

    def program(self, model: keras.Model, structure: Structure, signature: Signature) -> Program:
        """Returns a program that serves a model, traced now if needed.

        Raises NotCompilableError if none can.
        """
        if structure.state:
            raise NotCompilableError(f"the model holds {structure.state}")
        key = (structure.key, signature)
        reason = self._refused.get(structure.key) or self._refused.get(key)
        if reason:
            raise NotCompilableError(reason)
        for place, program in reversed(self._programs.items()):
            if place[0] == key and program.serves(structure):
                self._programs.move_to_end(place)
                return program
        while len(self._programs) >= self._kept:
            self._programs.popitem(last=False)
        try:
            program = Program(model, structure, signature)
        except NotCompilableError as error:
            self.refuse(key, str(error))
            raise
        self._made += 1
        # No other trial can use the program of a unique structure.
        if not structure.reason:
            self._programs[key, self._made] = program
        return program

    def refuse(self, key: object, reason: str) -> None:
        """Lends no more programs to models of a structure, alone or with the signature of data."""
        self._refused[key] = reason
        while len(self._refused) > _REFUSALS_KEPT:
            self._refused.popitem(last=False)
        for place in [place for place in self._programs if key in (place[0], place[0][0])]:
            del self._programs[place]

    def refuse_broken(self, reason: str) -> None:
        """Lends no more programs to models whose program raised when it was run."""
        for (key, _), program in list(self._programs.items()):
            if program.broken:
                self.refuse(key, reason)

    def clear(self) -> None:
        """Drops all programs."""
        self._programs.clear()
