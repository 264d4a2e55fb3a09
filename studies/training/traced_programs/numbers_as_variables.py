"""Lifted numbers: numbers, such as a dropout rate, that a program reads from a variable.

Such a number is a Python float, which TensorFlow would write into the graph as a constant. The
graph could then train only models with the same number. So while a program is traced, a `Lifted`
object replaces the float:

- TensorFlow converts the object to a tensor: the value of a variable, which is set for each trial.
- Arithmetic gives another `Lifted`. Its formula, e.g. 1 / (1 - rate), is computed in Python's
  double precision for each trial.
- A comparison (``rate > 0``) or ``float(rate)`` gives a plain answer, and adds a condition. The
  program can train only models for which the answer is the same.
"""

from __future__ import annotations

import builtins
import contextlib
import math
import numbers
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partialmethod
from typing import TYPE_CHECKING, Any

from studies.library_internals import (
    variable_of_a_program,
)
from studies.training.model_structure_digest import LiftedNumber
from studies.training.traced_programs.traced_steps import nodes_by_function

if TYPE_CHECKING:
    import tensorflow as tf


Values = Sequence[float]
"""The numbers of one trial, in the order of `Structure.numbers`."""

_NODE_NAME = "kerastudy_lifted"
"""The prefix of the names of graph nodes that read a lifted number."""


@dataclass(frozen=True)
class Slot:
    """A variable of a program, with the formula of its value."""

    variable: tf.Variable
    formula: Callable[[Values], float]
    sources: frozenset[int]  # The positions in `Values` of the numbers in the formula.

    def assign(self, values: Values) -> None:
        """Sets the variable to the formula's result for a trial."""
        import tensorflow as tf

        self.variable.assign(tf.constant(self.formula(values), self.variable.dtype))


@dataclass
class Record:
    """The slots and conditions of the lifted numbers in a program, noted while it is traced."""

    values: Values
    slots: list[Slot] = field(default_factory=list)
    # Questions that Python code asked about the numbers (e.g. ``rate > 0``), and the answers.
    conditions: list[tuple[Callable[[Values], object], object]] = field(default_factory=list)

    def demand(self, question: Callable[[Values], object]) -> Any:
        """Answers a question about the numbers, and makes the answer a condition of the program."""
        answer = question(self.values)
        self.conditions.append((question, answer))
        return answer

    def holds_for(self, values: Values) -> bool:
        """Returns whether all questions have the same answers for another trial's numbers."""
        return all(repr(question(values)) == repr(answer) for question, answer in self.conditions)


class Lifted:
    """A number that a formula computes from some of a trial's numbers."""

    def __init__(
        self, record: Record, formula: Callable[[Values], float], sources: frozenset[int]
    ) -> None:
        self._record = record
        self._formula = formula
        self._sources = sources
        # The number has a slot for each dtype. The values are positions in `Record.slots`.
        self._slots: dict[Any, int] = {}

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> Any:
        """Returns a tensor that reads the number from a variable."""
        import tensorflow as tf

        dtype = tf.as_dtype(dtype or tf.float32)
        if not dtype.is_floating or not tf.inside_function():
            return tf.convert_to_tensor(float(self), dtype)
        record = self._record
        if dtype not in self._slots:
            with tf.init_scope():
                value = tf.constant(self._formula(record.values), dtype)
                variable = variable_of_a_program(value, "lifted")
            self._slots[dtype] = len(record.slots)
            record.slots.append(Slot(variable, self._formula, self._sources))
        position = self._slots[dtype]
        return tf.identity(record.slots[position].variable, name=f"{_NODE_NAME}_{position}")

    def _with(self, compute: Callable[[Any, Any], float], other: object, swap: bool = False) -> Any:
        theirs = _formula_of(other)
        if theirs is None:
            # Python then calls the operator of `other`. If `other` is a tensor, its operator
            # converts this number to a tensor.
            return NotImplemented
        mine = self._formula
        sources = self._sources | (other._sources if isinstance(other, Lifted) else frozenset())
        if swap:
            mine, theirs = theirs, mine
        return Lifted(self._record, lambda values: compute(mine(values), theirs(values)), sources)

    def _ask(self, compare: Callable[[Any, Any], bool], other: object) -> Any:
        mine, theirs = self._formula, _formula_of(other)
        if theirs is not None:
            return self._record.demand(lambda values: compare(mine(values), theirs(values)))
        if other is None or isinstance(other, str):
            return compare is operator.ne
        return NotImplemented

    def __neg__(self) -> Any:
        """Returns the number times -1. For 0.0 that is -0.0, while 0 - 0.0 is 0.0."""
        return self._with(operator.mul, -1.0)

    def __float__(self) -> float:
        """Returns the number. The program can then train only models with the same number."""
        return self._record.demand(self._formula)  # type: ignore[no-any-return]

    def __bool__(self) -> bool:
        """Returns whether the number is not 0, and makes the answer a condition."""
        mine = self._formula
        return self._record.demand(lambda values: bool(mine(values)))  # type: ignore[no-any-return]

    __hash__ = object.__hash__


def _formula_of(operand: object) -> Callable[[Values], float] | None:
    if isinstance(operand, int | float):
        return lambda values: operand
    return operand._formula if isinstance(operand, Lifted) else None


def _set_conversion(name: str) -> None:
    convert = getattr(builtins, name)
    setattr(Lifted, f"__{name}__", lambda a, *options: convert(float(a), *options))


for _name in ("int", "repr", "format", "round"):
    _set_conversion(_name)
for _name in ("add", "sub", "mul", "truediv", "pow"):
    _operator = getattr(operator, _name)
    setattr(Lifted, f"__{_name}__", partialmethod(Lifted._with, _operator))
    setattr(Lifted, f"__r{_name}__", partialmethod(Lifted._with, _operator, swap=True))
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Lifted, f"__{_name}__", partialmethod(Lifted._ask, getattr(operator, _name)))
# TensorFlow's dropout checks whether the rate is a `numbers.Real`.
numbers.Real.register(Lifted)


@contextlib.contextmanager
def lifted(sources: Sequence[LiftedNumber], exact: frozenset[int]) -> Iterator[Record]:
    """Replaces a model's numbers by lifted numbers within the context.

    The numbers at the positions in `exact` are not replaced. The program can train only models with
    the same numbers there.
    """
    record = Record([source.value for source in sources])
    originals = [getattr(source.owner, source.attribute) for source in sources]
    try:
        for position, source in enumerate(sources):
            if position in exact:
                record.demand(operator.itemgetter(position))
                continue
            number = Lifted(record, operator.itemgetter(position), frozenset([position]))
            vars(source.owner)[source.attribute] = number
        yield record
    finally:
        for source, original in zip(sources, originals, strict=True):
            vars(source.owner)[source.attribute] = original


# Operations that change the shape or dtype of their input, but not the numbers.
_PASSING = frozenset(
    "Identity Cast Reshape Squeeze ExpandDims StopGradient Transpose BroadcastTo Tile Fill".split()
)
_PRODUCTS = frozenset({"Mul", "RealDiv", "Div", "Neg"})
_SUMS = frozenset({"Add", "AddV2", "Sub", "BiasAdd", "AddN"})
_CALLS = frozenset({"While", "If", "PartitionedCall", "StatefulPartitionedCall", "StatelessWhile"})


def slots_beside_constants(function: tf.types.experimental.ConcreteFunction) -> set[int]:
    """Returns the slots of lifted numbers that must stay constants, for exact results.

    TensorFlow merges neighbouring constants (constant folding, in
    tensorflow/core/grappler/optimizers). For example, (x * 0.5) * 1.25 becomes x * 0.625, which
    rounds differently. A variable is not merged. So a number next to a constant must stay a
    constant, e.g. a dropout rate after a rescaling.
    """
    slots: set[int] = set()
    for nodes in nodes_by_function(function):
        neighbours = _Neighbours(nodes)
        for name, node in nodes.items():
            slot = _slot_of(name)
            if slot is not None and node.op == "Identity" and neighbours.next_to_constant(name):
                slots.add(slot)
    return slots


class _Neighbours:
    """Finds the operations before and after a lifted number in a graph."""

    def __init__(self, nodes: Mapping[str, Any]) -> None:
        self._nodes = nodes
        self._users: dict[str, list[str]] = {}
        for name, node in nodes.items():
            for source in _inputs(node):
                self._users.setdefault(source, []).append(name)
        self._constant: dict[str, bool] = {}

    def next_to_constant(self, name: str) -> bool:
        """Returns whether TensorFlow might merge a number with a constant."""
        waiting, names = [name], {name}
        while waiting:
            number = waiting.pop()
            for user in self._users.get(number, ()):
                node = self._nodes[user]
                if node.op in _CALLS:
                    return True
                if node.op in _PASSING or self._is_constant(user):
                    # If the number were a constant, this node would be constant too. So check
                    # the node's users as well.
                    if user not in names:
                        names.add(user)
                        waiting.append(user)
                elif self._merges(user, number):
                    return True
        return False

    def _merges(self, user: str, number: str) -> bool:
        """Returns whether TensorFlow might merge the operation `user`, which uses a number.

        Neighbours are the operations before and after `user`, e.g. multiplications by constants.
        """
        node = self._nodes[user]
        family = next((f for f in (_PRODUCTS, _SUMS) if node.op in f), None)
        if family is None:
            return False
        sources = [self._origin(source) for source in _inputs(node) if source != number]
        others = (self._nodes.get(name) for name in (*sources, *self._destinations(user)))
        return any(
            other is not None and other.op in family and self._has_constant(other, user)
            for other in others
        )

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
        """Returns whether a node is a constant power of two. Multiplying by it never rounds."""
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
                    or (_slot_of(name) is not None and node.op == "Identity")
                    or (
                        bool(sources)
                        and node.op not in _CALLS
                        and all(self._is_constant(source) for source in sources)
                    )
                )
        return self._constant[name]


def _inputs(node: Any) -> Iterator[str]:
    for source in node.input:
        if not source.startswith("^"):
            yield source.partition(":")[0]


def _slot_of(name: str) -> int | None:
    """Returns the slot that a node reads, from the node's name. None if the node reads no slot."""
    match = re.fullmatch(rf"{_NODE_NAME}_(\d+)(_.*)?", name.rpartition("/")[2])
    return int(match[1]) if match else None
