"""Traces a model's `train_step` and `test_step`, checks their graphs, and runs them batch by batch.

The results have the same bits as those of `model.fit` on arrays. TensorFlow optimizes a step
depending on the shapes that it knows while it traces. So these functions tell TensorFlow the same
shapes of batches and variables as `model.fit` does. The checks find state outside of variables, and
random numbers.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from search_spaces.errors import InternalError
from studies.library_internals import (
    calling_functions,
    free_function,
    is_stateful,
    tell_shapes_of_variables,
    traced_functions,
)
from studies.training.batches_for_model_fit import as_tensor, known_size, packed

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from studies.data import Part, Splits


# A turn of TensorFlow's loop costs some 20 microseconds, so each turn trains several batches.
_BATCHES_PER_TURN = 4
_SINGLE_THREADED = "SINGLE_THREADED_EXECUTOR"


class NotCompilableError(InternalError):
    """No program can train this model exactly as `fit` does. The error's text says why."""


@dataclass(frozen=True)
class BatchLayout:
    """The nested structure of a batch, and the types and shapes of its arrays."""

    text: str
    specs: tuple[tf.TensorSpec, ...]
    structure: Any = field(compare=False)


@dataclass(frozen=True)
class Signature:
    """The properties of the data on which the traced functions depend."""

    training: BatchLayout
    validation: BatchLayout
    batch_size: int
    # The results of `known_size`: the batch size if TensorFlow knows it in `fit`, or else None.
    training_size: int | None
    validation_size: int | None


class Arrays:
    """Training and validation data as flat lists of tensors."""

    def __init__(self, splits: Splits) -> None:
        self.training, self._training = _laid_out(splits.train)
        self.validation, self._validation = _laid_out(splits.validation)

    def signature(self, batch_size: int) -> Signature:
        """Returns the signature of the data for a batch size."""
        sizes = [
            known_size(arrays[0].shape[0], batch_size)
            for arrays in (self.training, self.validation)
        ]
        return Signature(self._training, self._validation, batch_size, *sizes)

    def packed(self, arrays: Sequence[tf.Tensor], *, training: bool = True) -> Any:
        """Returns the arrays of a batch, nested as `train_step` or `test_step` takes them."""
        import tensorflow as tf

        layout = self._training if training else self._validation
        return tf.nest.pack_sequence_as(layout.structure, list(arrays))


def _laid_out(part: Part) -> tuple[list[tf.Tensor], BatchLayout]:
    import tensorflow as tf

    data = packed(part)
    tensors = [as_tensor(array) for array in tf.nest.flatten(data)]
    structure = tf.nest.map_structure(lambda _: None, data)
    specs = tuple(tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype) for tensor in tensors)
    return tensors, BatchLayout(repr(structure), specs, structure)


def trace_epoch(model: keras.Model, signature: Signature) -> Loop:
    """Traces a training step, and returns a loop that calls the step for each batch.

    The loop's arguments are the tensors of `Arrays.training`, and the order of the samples (int64).
    """
    import tensorflow as tf

    def batch(arguments: Sequence[Any], start: Any, end: Any) -> list[Any]:
        *arrays, order = arguments
        rows = order[start:end]
        return [tf.gather(array, rows) for array in arrays]

    layout = signature.training
    specs = [*layout.specs, tf.TensorSpec([None], tf.int64)]
    sizes = signature.batch_size, signature.training_size
    return _trace(model, model.train_step, batch, specs, layout, *sizes)


def trace_validation(model: keras.Model, signature: Signature) -> Loop:
    """Traces a validation step, and returns a loop that calls the step for each batch.

    The loop's arguments are the tensors of `Arrays.validation`.
    """

    def batch(arrays: Sequence[Any], start: Any, end: Any) -> list[Any]:
        return [array[start:end] for array in arrays]

    layout, sizes = signature.validation, (signature.batch_size, signature.validation_size)
    return _trace(model, model.test_step, batch, layout.specs, layout, *sizes)


def _trace(
    model: keras.Model,
    step: Callable[[Any], Any],
    batch: Callable[[Sequence[Any], Any, Any], list[Any]],
    specs: Sequence[tf.TensorSpec],
    layout: BatchLayout,
    size: int,
    size_known: int | None,
) -> Loop:
    import tensorflow as tf

    names = set(model.get_metrics_result())

    # `_noinline` makes TensorFlow optimize this function separately from the loop. Within a loop,
    # TensorFlow fuses fewer operations (e.g. of a swish), which changes the last bits.
    def one_batch(*arguments: Any) -> Any:
        *arrays, start, end = arguments
        # Tell TensorFlow the same shapes as `fit` does.
        flat = [
            tf.ensure_shape(array, [size_known, *array.shape[1:]])
            for array in batch(arrays, start, end)
        ]
        data = tf.nest.pack_sequence_as(layout.structure, flat)
        logs = model.distribute_strategy.run(step, args=(data,))
        tell_shapes_of_variables()
        return logs

    place = tf.TensorSpec([], tf.int64)
    traced = tf.function(
        one_batch, autograph=False, jit_compile=False, experimental_attributes={"_noinline": True}
    ).get_concrete_function(*specs, place, place)
    logs = traced.structured_outputs
    if not isinstance(logs, dict) or set(logs) != names:
        raise NotCompilableError("the model logs other values than those of its metrics")
    return Loop(traced, specs, size)


class Loop:
    """Calls a traced step for all batches, and returns the logs of the last batch.

    The step gets the loop's arguments, and the rows at which a batch starts and ends. The loop's
    last argument has a row for each sample.

    Python calls the step for the first `by_python` batches. After these, a loop of TensorFlow calls
    the step. The loop saves some 0.25 ms per batch, but takes 0.1 s of CPU to trace.
    """

    by_python = 400

    def __init__(self, step: Any, specs: Sequence[tf.TensorSpec], size: int) -> None:
        self.step, self._executor = step, _quickest_executor(step)
        self._specs, self._size = specs, size
        self._batches = 0
        self._function: Any = None

    def __call__(self, *arrays: tf.Tensor) -> dict[str, Any]:
        """Runs the step for each batch."""
        if self._batches < self.by_python:
            return self._by_python(arrays)
        if self._function is None:
            self._function = self._trace()
        # TensorFlow has optimized the step when it was traced. If it optimized the step again as a
        # part of the loop, the results would have other bits than in `fit`.
        with calling_functions(optimized=False):
            return self._function(*arrays)  # type: ignore[no-any-return]

    def close(self) -> None:
        """Frees the graphs, as TensorFlow leaves them in reference cycles."""
        for function in (self._function, self.step):
            if function is not None:
                free_function(function)

    def _by_python(self, arrays: Sequence[tf.Tensor]) -> dict[str, Any]:
        import tensorflow as tf

        samples = int(arrays[-1].shape[0])
        rows = [tf.constant(row, tf.int64) for row in (*range(0, samples, self._size), samples)]
        self._batches += len(rows) - 1
        with calling_functions(self._executor):
            for start, end in itertools.pairwise(rows):
                logs = self.step(*arrays, start, end)
        return logs  # type: ignore[no-any-return]

    def _trace(self) -> tf.types.experimental.ConcreteFunction:
        import tensorflow as tf

        def run(*arrays: Any) -> dict[str, Any]:
            samples = tf.shape(arrays[-1], out_type=tf.int64)[0]
            logs = self.step.structured_outputs
            nothing = tf.nest.map_structure(lambda value: tf.zeros(value.shape, value.dtype), logs)
            state: Any = (tf.constant(0, tf.int64), nothing)
            for batches in (_BATCHES_PER_TURN, 1):
                before_last = (batches - 1) * self._size
                state = tf.while_loop(
                    lambda start, _, more=before_last: start + more < samples,
                    self._turn(batches, arrays, samples),
                    state,
                    parallel_iterations=1,
                )
            return state[1]  # type: ignore[no-any-return]

        function = tf.function(run, autograph=False, jit_compile=False)
        return function.get_concrete_function(*self._specs)

    def _turn(self, batches: int, arrays: Sequence[Any], samples: Any) -> Callable[..., Any]:
        import tensorflow as tf

        def some_steps(start: Any, logs: Any) -> Any:
            for _ in range(batches):
                end = tf.minimum(start + self._size, samples)
                # The executor is set for the step alone: the single-threaded executor would wait
                # forever for functions that a loop calls.
                with calling_functions(self._executor):
                    logs = self.step(*arrays, start, end)
                start = end
            return start, logs

        return some_steps


def _quickest_executor(step: Any) -> str:
    """Returns the TensorFlow executor that runs a step fastest, or "" for the default one.

    The single-threaded executor runs the operations in a fixed order, so it need not schedule them.
    But it waits forever if the step calls a function, and it is untested on a GPU.
    """
    import tensorflow as tf

    calls = step.graph.as_graph_def().library.function
    return "" if calls or tf.config.list_physical_devices("GPU") else _SINGLE_THREADED


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
    for nodes in nodes_by_function(function):
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
    other resources.
    """
    captured = loop.step.captured_inputs
    if all(tensor.dtype.name != "resource" or id(tensor) in handles for tensor in captured):
        return ""
    for outer, inner in loop.step.graph.captures:
        if inner.dtype.name == "resource" and id(outer) not in handles:
            for user in inner.consumers():
                return _place(user.name)
    return "a step"


def nodes_by_function(function: Any) -> Iterator[Mapping[str, Any]]:
    """Yields the nodes of the graph itself, and of each function in it, as dicts by name."""
    definition = function.graph.as_graph_def()
    yield {node.name: node for node in definition.node}
    for inner in definition.library.function:
        yield {node.name: node for node in inner.node_def}


def _place(name: str) -> str:
    return name.rpartition("/")[0] or name
