"""A step for each batch of some arrays, as one TensorFlow function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from studies.libraries.tensorflow_parts import calling_functions, free_function

if TYPE_CHECKING:
    import tensorflow as tf

# Batches for each turn of the loop, to share the loop's own work (some 20 microseconds).
_BATCHES_PER_TURN = 4
_SINGLE_THREADED = "SINGLE_THREADED_EXECUTOR"


class Loop:
    """Calls the function of a batch until the arrays end.

    Args:
        step: The function of a batch: takes arrays, its begin and its end. Returns logs.
        specs: Specs of the arrays; the last one has a row for each sample.
        size: Samples of a batch.

    Attributes:
        step: The function of a batch.
        function: The function of all batches; returns the logs of the last one.
        executor: TensorFlow's executor for a step; empty for its default.
    """

    def __init__(
        self,
        step: tf.types.experimental.ConcreteFunction,
        specs: Sequence[tf.TensorSpec],
        size: int,
    ) -> None:
        self.step, self.executor = step, _quickest_executor(step)
        self._specs, self._size = specs, size
        self.function = self._trace()

    def __call__(self, *arrays: tf.Tensor) -> dict[str, Any]:
        """Runs a step for each batch.

        The loop is not optimized as a whole, but the function of a batch is. Optimized again as a
        part of the loop, it would give other bits than in `fit`.
        """
        import tensorflow as tf

        try:
            with calling_functions(optimized=False):
                return self.function(*arrays)  # type: ignore[no-any-return]
        except tf.errors.UnimplementedError as error:
            # Such as temporary variables, if TensorFlow's rewrite of large sums could not be turned
            # off (`rewrite_large_sums`). Only the running graph shows that. The executor refuses a
            # graph as a whole, before any of its operations: no variable has changed.
            if not self.executor or "executor" not in str(error).lower():
                raise
        free_function(self.function)
        self.executor = ""
        self.function = self._trace()
        return self(*arrays)

    def close(self) -> None:
        """Frees the graphs, which TensorFlow leaves in uncollected cycles."""
        for function in (self.function, self.step):
            free_function(function)

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
                # Not the loop: it would be a function that calls functions.
                with calling_functions(self.executor):
                    logs = self.step(*arrays, start, end)
                start = end
            return start, logs

        return some_steps


def _quickest_executor(step: Any) -> str:
    """Returns TensorFlow's executor that runs a step with the least overhead.

    The single-threaded one runs operations in a fixed order, which saves the planning. It would
    wait forever for a function that the step calls. On a GPU it is untested.
    """
    import tensorflow as tf

    calls = step.graph.as_graph_def().library.function
    return "" if calls or tf.config.list_physical_devices("GPU") else _SINGLE_THREADED
