"""Checks of traced graphs: hidden state, random numbers, and constants that TensorFlow folds."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from studies.library_internals.tensorflow_internals import is_stateful, traced_functions
from studies.training.traced_programs.numbers_as_variables import NODE_NAME
from studies.training.traced_programs.traced_steps import Loop

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# TensorFlow calls these operations stateful, but their state is only in variables.
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
# Operations that change the shape or dtype of their input, but not the numbers.
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
    # A node may call an inner function. The nodes of inner functions are checked, too.
    inner = {f.signature.name for f in function.graph.as_graph_def().library.function}
    for node in _stateful_nodes(function):
        if node.op not in _HARMLESS and node.op not in inner:
            return f"{node.op} (in {_place(node.name)})"
    return ""


def random_operation(model: keras.Model) -> str:
    """Returns an operation in a trained model's steps that draws random numbers, or an empty text.

    ``tf.random.normal`` and similar functions keep a state between calls. No variable has this
    state, so it can't be saved.
    """
    if model.run_eagerly:
        return "a model that runs eagerly"
    for step in (model.train_function, model.test_function):
        for function in _traced(step):
            for node in _stateful_nodes(function):
                if any(word in node.op for word in _DRAWING):
                    return f"{node.op} (in {_place(node.name)})"
    return ""


def _stateful_nodes(function: Any) -> Iterator[Any]:
    """Yields a function's nodes, without operations that TensorFlow knows to be stateless."""
    for nodes in _functions(function):
        yield from (node for node in nodes.values() if is_stateful(node.op) is not False)


def _traced(step: Any) -> Iterator[Any]:
    """Yields TensorFlow's traces of `model.train_function` or `model.test_function`."""
    # Keras may wrap the `tf.function` in a Python function.
    wrapped = inspect.getclosurevars(step).nonlocals.values() if inspect.isfunction(step) else ()
    for function in (step, *wrapped):
        yield from traced_functions(function)


def place_of_captured(loop: Loop, handles: Collection[int]) -> str:
    """Returns where a loop's step uses a resource, such as a variable, that is not in `handles`.

    `handles` has the ids of the program's own resources. Returns an empty text if the step uses no
    others.
    """
    captured = loop.step.captured_inputs
    if all(tensor.dtype.name != "resource" or id(tensor) in handles for tensor in captured):
        return ""
    for outer, inner in loop.step.graph.captures:
        if inner.dtype.name == "resource" and id(outer) not in handles:
            for user in inner.consumers():
                return _place(user.name)
    return "a step"


def slots_beside_constants(function: tf.types.experimental.ConcreteFunction) -> set[int]:
    """Returns the slots of lifted numbers that must stay constants, for exact results.

    TensorFlow merges neighbouring constants (constant folding, in
    tensorflow/core/grappler/optimizers). For example, (x * 0.5) * 1.25 becomes x * 0.625, which
    rounds differently. A variable is not merged. So a number next to a constant must stay a
    constant, e.g. a dropout rate after a rescaling.
    """
    slots: set[int] = set()
    for nodes in _functions(function):
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
        waiting, seen = [name], {name}
        while waiting:
            number = waiting.pop()
            for user in self._users.get(number, ()):
                node = self._nodes[user]
                if node.op in _CALLS:
                    return True
                if node.op in _PASSING or self._is_constant(user):
                    # If the number were a constant, this node would be constant too. So check
                    # the node's users as well.
                    if user not in seen:
                        seen.add(user)
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


def _functions(function: Any) -> Iterator[Mapping[str, Any]]:
    """Yields dicts of nodes by name: one of the graph itself, and one of each function in it."""
    definition = function.graph.as_graph_def()
    yield {node.name: node for node in definition.node}
    for inner in definition.library.function:
        yield {node.name: node for node in inner.node_def}


def _inputs(node: Any) -> Iterator[str]:
    for source in node.input:
        if not source.startswith("^"):
            yield source.partition(":")[0]


def _slot_of(name: str) -> int | None:
    """Returns the slot that a node reads, from the node's name. None if the node reads no slot."""
    match = re.fullmatch(rf"{NODE_NAME}_(\d+)(_.*)?", name.rpartition("/")[2])
    return int(match[1]) if match else None


def _place(name: str) -> str:
    return name.rpartition("/")[0] or name
