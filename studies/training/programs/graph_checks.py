"""Checks whether a traced graph can be reused for other trials."""

from __future__ import annotations

import inspect
import math
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from search_spaces.library_parts import MissingPartError
from studies.libraries.tensorflow_parts import is_stateful, traced_functions
from studies.training.programs.epochs import Loop
from studies.training.structures.lifting import NODE_NAME

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# Operations that TensorFlow calls stateful and whose state, if any, is in variables.
_HARMLESS = frozenset(
    """
    ReadVariableOp AssignVariableOp AssignAddVariableOp AssignSubVariableOp VariableShape
    ResourceGather ResourceGatherNd ResourceScatterAdd ResourceScatterSub ResourceScatterUpdate
    ResourceStridedSliceAssign While If Case PartitionedCall StatefulPartitionedCall Assert
    TensorListReserve StatelessWhile StatelessIf NoOp Placeholder _Arg _Retval
    CudnnRNNV3 CudnnRNNBackpropV3 CollectiveReduceV2 LookupTableFindV2
    """.split()
)
# Parts of the names of stateful operations that draw random numbers.
_DRAWING = ("Random", "Rng", "Multinomial", "Normal", "StatefulUniform", "CandidateSampler")
# They pass on their input in another form.
_PASSING = frozenset(
    "Identity Cast Reshape Squeeze ExpandDims StopGradient Transpose BroadcastTo Tile Fill".split()
)
_PRODUCTS = frozenset({"Mul", "RealDiv", "Div", "Neg"})
_SUMS = frozenset({"Add", "AddV2", "Sub", "BiasAdd", "AddN"})
_CALLS = frozenset({"While", "If", "PartitionedCall", "StatefulPartitionedCall", "StatelessWhile"})


def hidden_state(function: tf.types.experimental.ConcreteFunction) -> str:
    """Returns an operation whose state is in no variable, or that leaves TensorFlow; else empty."""
    # Calls of functions, by name; their bodies are checked separately.
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
    """Returns an operation of a trained model's steps that draws random numbers by itself.

    ``tf.random.normal`` and similar functions keep a state from call to call in no variable.
    """
    if model.run_eagerly:
        return "what runs eagerly"
    try:
        for step in (model.train_function, model.test_function):
            for function in _traced(step):
                for nodes in _functions(function):
                    for node in nodes.values():
                        if _draws(node.op):
                            return f"{node.op} (in {_place(node.name)})"
    except MissingPartError as error:
        return f"something that can't be checked, as {error}"
    return ""


def _traced(step: Any) -> Iterator[Any]:
    """Yields TensorFlow's traces of a step that Keras has made."""
    # Keras returns a function that calls TensorFlow's.
    called = inspect.getclosurevars(step).nonlocals.values() if inspect.isfunction(step) else ()
    for each in (step, *called):
        yield from traced_functions(each)


def _draws(operation: str) -> bool:
    return any(word in operation for word in _DRAWING) and is_stateful(operation) is not False


def place_of_captured(loop: Loop, known: Collection[int]) -> str:
    """Returns where a loop uses an unknown resource; else an empty text."""
    captured = loop.function.captured_inputs
    if all(each.dtype.name != "resource" or id(each) in known for each in captured):
        return ""
    for outer, inner in loop.step.graph.captures:
        if inner.dtype.name == "resource" and id(outer) not in known:
            for user in inner.consumers():
                return _place(user.name)
    return "a step"


def entangled(function: tf.types.experimental.ConcreteFunction) -> set[int]:
    """Finds the slots of numbers that change how TensorFlow optimizes the graph around them.

    TensorFlow merges a constant with another next to it, (x * 0.5) * 1.25 to x * 0.625, which
    rounds otherwise (constant folding, in tensorflow/core/grappler/optimizers). So a number next to
    a constant, as in a dropout after a rescaling, must be a constant.
    """
    found: set[int] = set()
    for nodes in _functions(function):
        neighbours = _Neighbours(nodes)
        for name, node in nodes.items():
            number = _lifted_number(name)
            if number is not None and node.op == "Identity" and neighbours.next_to_constant(name):
                found.add(number)
    return found


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
                    # A value computed from constants alone would be a constant itself.
                    if user not in seen:
                        seen.add(user)
                        waiting.append(user)
                elif self._merges(user, number):
                    return True
        return False

    def _merges(self, user: str, number: str) -> bool:
        """Returns whether an operation on the number and a tensor has a similar one next to it."""
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
        """Returns whether a node is a constant that multiplies without rounding."""
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
            # While this node is checked, for loops.
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
    """Yields the nodes of a graph and of every function in it, by name."""
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
    """Returns the layer's part of an operation's name."""
    return name.rpartition("/")[0] or name
