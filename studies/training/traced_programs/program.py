"""Programs: each is traced once for a structure of models, and used for all trials with it.

A program owns variables, and two functions that train and validate on them. To train a trial's
model, the program's variables get the model's values, and the model's Keras variables hold them. So
callbacks and checkpoints see the trained values. At the end, the model gets its own variables back,
with the trained values.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import random
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.errors import InternalError
from studies.library_internals.keras_internals import hold_value, value_held
from studies.library_internals.private_names import MissingPartError
from studies.library_internals.tensorflow_internals import (
    forgetting_gradients,
    is_stateful,
    take_identity,
    traced_functions,
)
from studies.training.structure import Structure
from studies.training.traced_programs.epochs import (
    Loop,
    OtherLogsError,
    Signature,
    trace_epoch,
    trace_validation,
)
from studies.training.traced_programs.lifting import NODE_NAME, Record, lifted

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


class NotCompilableError(InternalError):
    """A program can't train a model exactly. The error's text says why."""


class Program:
    """The traced training and validation of a model.

    Raises NotCompilableError if the trace has state besides the model's variables. Errors that the
    model raises while it is traced are passed on.
    """

    def __init__(self, model: keras.Model, structure: Structure, signature: Signature) -> None:
        self.broken = False
        self.checked = Checked()
        self._storage = [_like(variable) for variable in structure.variables]
        self._loops: list[Loop] = []
        # The loops are closed when no training uses the program any more.
        weakref.finalize(self, _close, self._loops).atexit = False
        self._trace_exactly(model, structure, signature)

    def _trace_exactly(
        self, model: keras.Model, structure: Structure, signature: Signature
    ) -> None:
        """Traces the program. Numbers that can't be lifted exactly become constants."""
        everything = frozenset(range(len(structure.numbers)))
        exact: frozenset[int] = frozenset()
        while True:
            try:
                record = self._trace(model, structure, signature, exact)
            except NotCompilableError:
                raise
            except Exception:
                # Some code can't handle a lifted number, or the model is wrong.
                if exact == everything:
                    raise
                exact = everything
                continue
            slots = entangled(self._epoch.step) | entangled(self._validation.step)
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
            random_states = _drawn()
            try:
                self._epoch = trace_epoch(model, signature)
                self._loops.append(self._epoch)
                self._validation = trace_validation(model, signature)
                self._loops.append(self._validation)
            except OtherLogsError:
                raise NotCompilableError(
                    "the model logs values that are not of its metrics"
                ) from None
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
        for each in caught:
            # Warn only now: if tracing had failed, `fit` would trace and warn too.
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
        return record

    def serves(self, structure: Structure) -> bool:
        """Returns whether a model with the same key can use the program, given its numbers."""
        return all(condition.holds(structure.values) for condition in self._record.conditions)

    @contextlib.contextmanager
    def lent(self, structure: Structure) -> Iterator[None]:
        """Puts the program's variables into a model within the context."""
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

    def trace_loops(self) -> None:
        """Makes TensorFlow call the steps from now on: a structure that recurs may recur often."""
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
        with self._noting():
            return self._epoch(*arrays, order)

    def validate(self, arrays: Sequence[tf.Tensor]) -> dict[str, Any]:
        """Validates. Returns the logs of the last step."""
        with self._noting():
            return self._validation(*arrays)

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
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
    """Makes a `tf.Variable` with the value and traits of the one that a Keras variable holds."""
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
    """The trials for which `compiled_trainer.difference` has checked a program."""

    # The hyperparameters of the trial whose model was traced. None before its training.
    first: Mapping[str, Any] | None = None
    # The hyperparameters that differed from `first` in a trial that was checked.
    names: set[str] = field(default_factory=set)
    trials: int = 0

    def new(self, values: Mapping[str, Any]) -> set[str]:
        """Returns the hyperparameters that differ from `first`, without those of earlier checks."""
        if self.first is None:
            return set()
        names = {*self.first, *values}
        return {n for n in names if self.first.get(n) != values.get(n)} - self.names

    def passed(self, values: Mapping[str, Any]) -> None:
        """Notes that the check of a trial with these hyperparameters has passed."""
        self.names |= self.new(values)
        self.trials += 1


def is_due(checked: Checked, values: Mapping[str, Any]) -> bool:
    """Returns whether a program must be checked before it trains a trial's model.

    The trial that the program was traced for needs no check. This call notes it as `first`.
    """
    if checked.first is None:
        checked.first = dict(values)
        return False
    return checked.trials == 0 or bool(checked.new(values))


_REFUSALS_KEPT = 1000


class Programs:
    """The programs that were used last."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._programs: OrderedDict[tuple[tuple[str, Signature], int], Program] = OrderedDict()
        self._refused: OrderedDict[object, str] = OrderedDict()
        self._made = 0

    def __len__(self) -> int:
        """Returns the number of kept programs."""
        return len(self._programs)

    def __iter__(self) -> Iterator[Program]:
        """Yields the kept programs, the least recently used first."""
        return iter(self._programs.values())

    @property
    def made(self) -> int:
        """The number of programs traced so far."""
        return self._made

    def program(self, model: keras.Model, structure: Structure, signature: Signature) -> Program:
        """Returns a program for a model, and traces one if none fits."""
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
        self._made += 1
        # A unique structure fits no other trial's model.
        if not structure.reason:
            self._programs[key, self._made] = program
        return program

    def refuse(self, key: object, reason: str) -> None:
        """Drops the programs of a key, and makes `program` raise NotCompilableError for it.

        The key is that of a structure, or a pair of it and a data signature.
        """
        self._refused[key] = reason
        while len(self._refused) > _REFUSALS_KEPT:
            self._refused.popitem(last=False)
        for place in [place for place in self._programs if key in (place[0], place[0][0])]:
            del self._programs[place]

    def refuse_broken(self, reason: str) -> None:
        """Refuses the keys of all programs that raised when they ran."""
        for (key, _), program in list(self._programs.items()):
            if program.broken:
                self.refuse(key, reason)

    def clear(self) -> None:
        """Drops all programs."""
        self._programs.clear()


# TensorFlow calls these operations stateful, but only variables hold their state.
_HARMLESS = frozenset(
    """
    ReadVariableOp AssignVariableOp AssignAddVariableOp AssignSubVariableOp VariableShape
    ResourceGather ResourceGatherNd ResourceScatterAdd ResourceScatterSub ResourceScatterUpdate
    ResourceStridedSliceAssign While If Case PartitionedCall StatefulPartitionedCall Assert
    TensorListReserve StatelessWhile StatelessIf NoOp Placeholder _Arg _Retval
    CudnnRNNV3 CudnnRNNBackpropV3 CollectiveReduceV2 LookupTableFindV2
    """.split()
)
# Stateful operations with these words in their names draw random numbers.
_DRAWING = ("Random", "Rng", "Multinomial", "Normal", "StatefulUniform", "CandidateSampler")
# Operations that change the form of their input, but not its numbers.
_PASSING = frozenset(
    "Identity Cast Reshape Squeeze ExpandDims StopGradient Transpose BroadcastTo Tile Fill".split()
)
_PRODUCTS = frozenset({"Mul", "RealDiv", "Div", "Neg"})
_SUMS = frozenset({"Add", "AddV2", "Sub", "BiasAdd", "AddN"})
_CALLS = frozenset({"While", "If", "PartitionedCall", "StatefulPartitionedCall", "StatelessWhile"})


def hidden_state(function: tf.types.experimental.ConcreteFunction) -> str:
    """Returns a function's first operation with state outside of variables, or an empty text.

    An operation that calls Python, such as PyFunc, counts too.
    """
    # The bodies of called functions are checked separately.
    called = {f.signature.name for f in function.graph.as_graph_def().library.function}
    for nodes in _functions(function):
        for node in nodes.values():
            if node.op in _HARMLESS or node.op in called:
                continue
            if is_stateful(node.op) is False:
                continue
            return f"{node.op} (in {_place(node.name)})"
    return ""


def random_operation(model: keras.Model) -> str:
    """Returns an operation in a trained model's steps that draws random numbers, or an empty text.

    ``tf.random.normal`` and similar functions keep a state between calls that no variable holds.
    """
    if model.run_eagerly:
        return "what runs eagerly"
    try:
        for step in (model.train_function, model.test_function):
            for function in _traced(step):
                for nodes in _functions(function):
                    for node in nodes.values():
                        draws = any(word in node.op for word in _DRAWING)
                        if draws and is_stateful(node.op) is not False:
                            return f"{node.op} (in {_place(node.name)})"
    except MissingPartError as error:
        return f"something that can't be checked, as {error}"
    return ""


def _traced(step: Any) -> Iterator[Any]:
    """Yields TensorFlow's traces of `model.train_function` or `model.test_function`."""
    # Keras may wrap the `tf.function` in a Python function.
    called = inspect.getclosurevars(step).nonlocals.values() if inspect.isfunction(step) else ()
    for each in (step, *called):
        yield from traced_functions(each)


def place_of_captured(loop: Loop, handles: Collection[int]) -> str:
    """Returns the place where a loop uses a resource that is not in `handles`, or an empty text."""
    captured = loop.step.captured_inputs
    if all(each.dtype.name != "resource" or id(each) in handles for each in captured):
        return ""
    for outer, inner in loop.step.graph.captures:
        if inner.dtype.name == "resource" and id(outer) not in handles:
            for user in inner.consumers():
                return _place(user.name)
    return "a step"


def entangled(function: tf.types.experimental.ConcreteFunction) -> set[int]:
    """Finds the slots of lifted numbers that must stay constants, for exact results.

    TensorFlow merges neighbouring constants: (x * 0.5) * 1.25 becomes x * 0.625, which rounds
    differently (constant folding, in tensorflow/core/grappler/optimizers). It would not merge a
    variable. So a number next to a constant must stay one, e.g. a dropout rate after a rescaling.
    """
    slots: set[int] = set()
    for nodes in _functions(function):
        neighbours = _Neighbours(nodes)
        for name, node in nodes.items():
            number = _lifted_number(name)
            if number is not None and node.op == "Identity" and neighbours.next_to_constant(name):
                slots.add(number)
    return slots


class _Neighbours:
    def __init__(self, nodes: Mapping[str, Any]) -> None:
        self._nodes = nodes
        self._users: dict[str, list[str]] = {}
        for name, node in nodes.items():
            for source in _inputs(node):
                self._users.setdefault(source, []).append(name)
        self._constant: dict[str, bool] = {}

    def next_to_constant(self, name: str) -> bool:
        """Returns whether TensorFlow might merge a number with a constant."""
        waiting, seen = [name], {name}
        while waiting:
            number = waiting.pop()
            for user in self._users.get(number, ()):
                node = self._nodes[user]
                if node.op in _CALLS:
                    return True
                if node.op in _PASSING or self._is_constant(user):
                    # With a constant number, this node would be constant too.
                    if user not in seen:
                        seen.add(user)
                        waiting.append(user)
                elif self._merges(user, number):
                    return True
        return False

    def _merges(self, user: str, number: str) -> bool:
        """Returns whether TensorFlow might merge an operation on a number with the next one."""
        node = self._nodes[user]
        for family in (_PRODUCTS, _SUMS):
            if node.op not in family:
                continue
            before = [self._origin(source) for source in _inputs(node) if source != number]
            neighbours = [*before, *self._destinations(user)]
            for name in neighbours:
                other = self._nodes.get(name)
                if other is not None and other.op in family and self._has_constant(other, user):
                    return True
        return False

    def _origin(self, name: str) -> str:
        while name in self._nodes and self._nodes[name].op in _PASSING:
            name = next(iter(_inputs(self._nodes[name])), "")
        return name

    def _destinations(self, name: str) -> Iterator[str]:
        for user in self._users.get(name, ()):
            if self._nodes[user].op in _PASSING:
                yield from self._destinations(user)
            else:
                yield user

    def _has_constant(self, node: Any, besides: str) -> bool:
        sources = [source for source in _inputs(node) if source != besides]
        if node.op == "Neg":
            return True
        return any(self._is_constant(name) and not self._is_power_of_two(name) for name in sources)

    def _is_power_of_two(self, name: str) -> bool:
        """Returns whether a node is a power of two, which multiplies without rounding."""
        import tensorflow as tf

        name = self._origin(name)
        node = self._nodes.get(name)
        if node is None or node.op != "Const":
            return False
        value = tf.make_ndarray(node.attr["value"].tensor)
        if value.size != 1 or value.dtype.kind not in "fiu":
            return False
        number = float(value.ravel()[0])
        return number > 0 and math.frexp(number)[0] == 0.5

    def _is_constant(self, name: str) -> bool:
        """Returns whether a node is computed from constants and lifted numbers alone."""
        if name not in self._constant:
            # This ends the recursion if nodes form a cycle.
            self._constant[name] = False
            node = self._nodes.get(name)
            if node is not None:
                sources = list(_inputs(node))
                self._constant[name] = (
                    node.op == "Const"
                    or (_lifted_number(name) is not None and node.op == "Identity")
                    or (
                        bool(sources)
                        and node.op not in _CALLS
                        and all(self._is_constant(source) for source in sources)
                    )
                )
        return self._constant[name]


def _functions(function: Any) -> Iterator[Mapping[str, Any]]:
    """Yields the nodes by name, of the graph itself and of each function in it."""
    definition = function.graph.as_graph_def()
    yield {node.name: node for node in definition.node}
    for inner in definition.library.function:
        yield {node.name: node for node in inner.node_def}


def _inputs(node: Any) -> Iterator[str]:
    for source in node.input:
        if not source.startswith("^"):
            yield source.partition(":")[0]


def _lifted_number(name: str) -> int | None:
    last = name.rpartition("/")[2]
    if not last.startswith(NODE_NAME):
        return None
    digits = last.removeprefix(f"{NODE_NAME}_").partition("_")[0]
    return int(digits) if digits.isdigit() else None


def _place(name: str) -> str:
    return name.rpartition("/")[0] or name
