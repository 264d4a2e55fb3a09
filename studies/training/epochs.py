"""An epoch, and a validation, as one TensorFlow function each.

They run the model's own `train_step` and `test_step`, batch by batch, as `model.fit` does on
arrays: the batch's size is hidden from TensorFlow, which would compile a known size to other
instructions, and the last batch may be smaller.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from studies.training.batches import as_keras_reads

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from studies.data import Splits

# Where the function of a batch hangs on that of an epoch, which keeps it alive.
_BATCH = "_kerastudy_batch"
_Step = Callable[[tuple["tf.Tensor", "tf.Tensor"]], Any]


@dataclass(frozen=True)
class Signature:
    """What of the data decides a graph.

    Attributes:
        x: Type and shape of a sample.
        y: Type and shape of a target.
        batch_size: Samples per step.
    """

    x: tuple[str, tuple[int, ...]]
    y: tuple[str, tuple[int, ...]]
    batch_size: int


class Arrays:
    """A study's training and validation data, as TensorFlow holds them."""

    def __init__(self, splits: Splits) -> None:
        import tensorflow as tf

        parts = (splits.train, splits.validation)
        arrays = [as_keras_reads(array) for part in parts for array in (part.x, part.y)]
        self.train_x, self.train_y, self.validation_x, self.validation_y = map(tf.constant, arrays)

    def signature(self, batch_size: int) -> Signature:
        """Returns the signature of the data in batches."""
        x, y = (
            (tensor.dtype.name, tuple(tensor.shape[1:])) for tensor in (self.train_x, self.train_y)
        )
        return Signature(x, y, batch_size)


def trace_epoch(model: keras.Model, signature: Signature) -> tf.types.experimental.ConcreteFunction:
    """Traces the function of an epoch: of all samples, all targets, and the order, an int64."""
    import tensorflow as tf

    def batch(x: Any, y: Any, order: Any, start: Any, end: Any) -> Any:
        rows = order[start:end]
        return tf.gather(x, rows), tf.gather(y, rows)

    order = tf.TensorSpec([None], tf.int64)
    return _trace(model, model.train_step, batch, [*_specs(signature), order], signature)


def trace_validation(
    model: keras.Model, signature: Signature
) -> tf.types.experimental.ConcreteFunction:
    """Traces the function of a validation: of all samples and all targets."""

    def batch(x: Any, y: Any, start: Any, end: Any) -> Any:
        return x[start:end], y[start:end]

    return _trace(model, model.test_step, batch, _specs(signature), signature)


def _specs(signature: Signature) -> list[tf.TensorSpec]:
    import tensorflow as tf

    return [tf.TensorSpec([None, *shape], dtype) for dtype, shape in (signature.x, signature.y)]


def _trace(
    model: keras.Model,
    step: _Step,
    batch: Callable[..., Any],
    specs: list[tf.TensorSpec],
    signature: Signature,
) -> tf.types.experimental.ConcreteFunction:
    import tensorflow as tf

    size = signature.batch_size
    names = set(model.get_metrics_result())
    specs = [*specs]

    # A function for a batch, which returns what is logged, as in `fit`. It is not merged into the
    # loop, and so optimized by itself: what TensorFlow makes of a step, to the last bit, depends
    # on what surrounds it. (In a loop it fuses fewer operations, a swish for one.)
    def one_batch(*arguments: Any) -> Any:
        *arrays, start, end = arguments
        data = tuple(map(_with_shape, batch(*arrays, start, end)))
        return model.distribute_strategy.run(step, args=(data,))

    place = tf.TensorSpec([], tf.int64)
    traced = tf.function(
        one_batch, autograph=False, jit_compile=False, experimental_attributes={"_noinline": True}
    ).get_concrete_function(*specs, place, place)
    logs = traced.structured_outputs
    if not isinstance(logs, dict) or set(logs) != names:
        raise LogsOfItsOwnError

    def run(*arrays: Any) -> dict[str, Any]:
        samples = tf.shape(arrays[-1], out_type=tf.int64)[0]

        def one_step(start: Any, _: Any) -> Any:
            end = tf.minimum(start + size, samples)
            return end, traced(*arrays, start, end)

        nothing = tf.nest.map_structure(lambda value: tf.zeros(value.shape, value.dtype), logs)
        _, last = tf.while_loop(
            lambda start, _: start < samples,
            one_step,
            (tf.constant(0, tf.int64), nothing),
            parallel_iterations=1,
        )
        return last  # type: ignore[no-any-return]

    epoch = tf.function(run, autograph=False, jit_compile=False).get_concrete_function(*specs)
    setattr(epoch, _BATCH, traced)
    return epoch


def inner_graphs(epoch: Any) -> list[Any]:
    """Returns the graphs within the function of an epoch or a validation."""
    loops = [
        node for node in epoch.graph.get_operations() if node.type in ("While", "StatelessWhile")
    ]
    names = [node.get_attr(part).name for node in loops for part in ("cond", "body")]
    found = [epoch.graph._get_function(name) for name in names]
    return [getattr(epoch, _BATCH).graph, *(inner.graph for inner in found if inner is not None)]


def _with_shape(batch: Any) -> Any:
    """Tells TensorFlow the shape of a batch, which it knows of those of `fit` too."""
    import tensorflow as tf

    return tf.ensure_shape(batch, batch.shape)


@contextlib.contextmanager
def as_traced() -> Iterator[None]:
    """Has TensorFlow run a function of an epoch without optimizing it as a whole.

    What it calls for each batch is optimized nevertheless. Optimized once more, and as a part of
    the loop, it comes to other bits than in `fit`.
    """
    from tensorflow.core.protobuf import config_pb2
    from tensorflow.python.eager import context

    eager = context.context()
    before = eager.function_call_options
    config = config_pb2.ConfigProto()
    config.CopyFrom(eager.config)
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    eager.function_call_options = context.FunctionCallOptions(config_proto=config)
    try:
        yield
    finally:
        eager.function_call_options = before


class LogsOfItsOwnError(Exception):
    """A step returns other values than those of the model's metrics."""


def in_order(permutation: np.ndarray) -> tf.Tensor:
    """Returns the order of an epoch as the function of an epoch takes it."""
    import tensorflow as tf

    return tf.constant(permutation.astype(np.int64, copy=False))
