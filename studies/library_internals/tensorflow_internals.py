"""Imports TensorFlow without output, and uses private parts of it where no public part suffices."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from studies.library_internals.private_api_lookup import AttributePart, ModulePart

if TYPE_CHECKING:
    import tensorflow as tf

_LEVEL: Final = "TF_CPP_MIN_LOG_LEVEL"


def import_quietly() -> None:
    """Imports TensorFlow without output, in a process that does not train."""
    if "tensorflow" not in sys.modules:
        os.environ.setdefault(_LEVEL, "3")
        os.environ.setdefault("KERAS_BACKEND", "tensorflow")
        with silenced():
            import tensorflow  # noqa: F401


def hide_output_of_import() -> None:
    """Makes a later `import tensorflow` of this process print nothing.

    Nothing is hidden if TensorFlow is imported already, or if the user asks for more output.
    """
    if os.environ.setdefault(_LEVEL, "3") == "3" and "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _SilencingFinder())


class _SilencingFinder:
    """Finds TensorFlow, and hides its output while it is loaded."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name == "tensorflow" else None
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module
            spec.loader.exec_module = silenced()(load)  # type: ignore[method-assign]
        return spec


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Hides the output of TensorFlow's libraries while they are loaded.

    The libraries print before they read TF_CPP_MIN_LOG_LEVEL, and they don't use `sys.stderr`. So
    this context redirects the standard error of the whole process.
    """
    sys.stderr.flush()
    try:
        stderr = os.dup(2)
    except OSError:
        # A process without a terminal may have no standard error.
        yield
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nothing)


_LIBRARY = "tensorflow"
_CONTEXT = "tensorflow.python.eager.context"
_context = ModulePart(_LIBRARY, _CONTEXT, "context")
_call_options = ModulePart(_LIBRARY, _CONTEXT, "FunctionCallOptions")
_present_call_options = AttributePart(_LIBRARY, "Context", "function_call_options")
_present_config = AttributePart(_LIBRARY, "Context", "config")
_given_config = AttributePart(_LIBRARY, "Context", "_config")
_seed = AttributePart(_LIBRARY, "Context", "_seed")
_generator = AttributePart(_LIBRARY, "Context", "_rng")
_dismantle = ModulePart(_LIBRARY, "tensorflow.python.framework.func_graph", "dismantle_func_graph")
_function_of_graph = AttributePart(_LIBRARY, "Graph", "_get_function")
_shape_of_resource = ModulePart(
    _LIBRARY, "tensorflow.python.ops.handle_data_util", "get_resource_handle_data"
)
_set_attribute = AttributePart(_LIBRARY, "Operation", "_set_attr")
_gradients = ModulePart(_LIBRARY, "tensorflow.python.framework.ops", "gradient_registry")
_registered = AttributePart(_LIBRARY, "Registry", "_registry")
_resource_variable = ModulePart(
    _LIBRARY, "tensorflow.python.ops.resource_variable_ops", "ResourceVariable"
)
_operations = ModulePart(_LIBRARY, "tensorflow.python.framework.op_def_registry", "get")
_traced = AttributePart(_LIBRARY, "Function", "_list_all_concrete_functions")
_unique_id = AttributePart(_LIBRARY, "tf.Variable", "_unique_id")
_makes_files = ModulePart(_LIBRARY, "tensorflow.python.autograph.pyct.loader", "tempfile")


@contextlib.contextmanager
def calling_functions(executor: str = "", optimized: bool = True) -> Iterator[None]:
    """Sets how TensorFlow runs functions in this context: the executor, and whether to optimize.

    No public function sets an executor. The public `tf.config.optimizer` would turn off the
    optimization of all functions of the process.
    """
    import tensorflow as tf

    eager = _context.get()()
    before = _present_call_options.of(eager)
    config = tf.compat.v1.ConfigProto()
    config.CopyFrom(_present_config.of(eager))
    if not optimized:
        config.graph_options.rewrite_options.disable_meta_optimizer = True
    _present_call_options.set(eager, _call_options.get()(executor, config))
    try:
        yield
    finally:
        _present_call_options.set(eager, before)


def keep_order_of_large_sums() -> None:
    """Turns TensorFlow's memory optimizer off in this process.

    The optimizer replaces a sum of three or more large tensors (AddN), such as gradients, by
    additions in any order. So even with op determinism, results would differ by rounding from run
    to run. No public option turns off this optimizer alone.
    """
    import tensorflow as tf

    eager = _context.get()()
    present = _given_config.of(eager)
    config = tf.compat.v1.ConfigProto()
    if present is not None:
        config.CopyFrom(present)
    rewriting = config.graph_options.rewrite_options
    if rewriting.memory_optimization != rewriting.NO_MEM_OPT:
        rewriting.memory_optimization = rewriting.NO_MEM_OPT
        _given_config.set(eager, config)
        # Remove the present call options, so that TensorFlow makes new ones with this setting.
        _present_call_options.set(eager, None)


def free_function(function: tf.types.experimental.ConcreteFunction) -> None:
    """Frees the graphs of a function and of its loops.

    Graphs are full of reference cycles, and no public function breaks them.
    """
    graph, dismantle = function.graph, _dismantle.get()
    loops = [n for n in graph.get_operations() if n.type in ("While", "StatelessWhile")]
    names = [node.get_attr(part).name for node in loops for part in ("cond", "body")]
    function_of = _function_of_graph.of(graph)
    # Loops in TensorFlow's gradients, e.g. of the CTC loss, have no graph.
    inner = [getattr(function_of(name), "graph", None) for name in names]
    for graph_or_function in (graph, *filter(None, inner)):
        dismantle(graph_or_function)


def tell_shapes_of_variables() -> None:
    """Gives TensorFlow the shapes of the variables that the function being traced uses.

    If Python calls a function, as in `fit`, TensorFlow knows the shapes of the function's variables
    and optimizes the function for them. If another TensorFlow function calls it, TensorFlow reads
    the shapes from attributes of the arguments. No public function sets these attributes.
    """
    import tensorflow as tf

    value_of, shape_of = tf.compat.v1.AttrValue, _shape_of_resource.get()
    for _, argument in tf.compat.v1.get_default_graph().captures:
        if argument.dtype != tf.resource:
            continue
        variables = shape_of(argument).shape_and_type
        shapes = value_of.ListValue(shape=[variable.shape for variable in variables])
        types = value_of.ListValue(type=[variable.dtype for variable in variables])
        if variables:
            set_attribute = _set_attribute.of(argument.op)
            set_attribute("_handle_shapes", value_of(list=shapes))
            set_attribute("_handle_dtypes", value_of(list=types))


@contextlib.contextmanager
def forgetting_gradients() -> Iterator[None]:
    """Makes TensorFlow drop the custom gradients that are registered in this context.

    For each use of `tf.custom_gradient` in a traced function, such as a step with Keras's
    optimizers, TensorFlow keeps a gradient and its graph. After tracing, no function needs them.
    """
    registry = _registered.of(_gradients.get())
    before = set(registry)
    try:
        yield
    finally:
        for name in set(registry) - before:
            if name.startswith("CustomGradient-"):
                del registry[name]


def variable_of_a_program(value: Any, name: str) -> tf.Variable:
    """Returns a new variable. This function may be called while a function is traced.

    If a `tf.Variable` were made during tracing, `tf.function` would trace everything twice.
    """
    return _resource_variable.get()(value, trainable=False, name=name)


def is_stateful(operation: str) -> bool | None:
    """Returns whether an operation has a state, or None for an unknown name."""
    definition = _operations.get()(operation)
    return None if definition is None else bool(definition.is_stateful)


def traced_functions(function: Any) -> list[Any]:
    """Returns the traces of a `tf.function` so far. For another object, returns an empty list."""
    if not hasattr(function, "get_concrete_function"):
        return []
    return list(_traced.of(function)())


def take_identity(variable: tf.Variable, other: tf.Variable) -> None:
    """Gives a variable the unique id of another variable.

    By this id, an optimizer finds the slots of a variable.
    """
    _unique_id.set(variable, _unique_id.of(other))


def global_seed() -> int | None:
    """Returns TensorFlow's global seed."""
    return _seed.of(_context.get()())  # type: ignore[no-any-return]


def set_global_seed(seed: int) -> None:
    """Sets TensorFlow's global seed. Unlike `tf.random.set_seed`, it drops no kernels."""
    eager = _context.get()()
    _seed.set(eager, seed)
    # The context has no generator before the first seed, so `_generator.set` would raise an error.
    setattr(eager, _generator.name, random.Random(seed))


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Sets TensorFlow's global seed in this context, without dropping kernels."""
    eager = _context.get()()
    before = _seed.of(eager)
    set_global_seed(seed)
    try:
        yield
    finally:
        _seed.set(eager, before)


def write_generated_code_into(folder: Path) -> None:
    """Sets the folder into which AutoGraph writes the code that it generates.

    By default AutoGraph writes a file for each function into Python's temporary folder, and removes
    the files only when the process ends normally. No public option sets the folder.
    """
    make_file = functools.partial(tempfile.NamedTemporaryFile, dir=folder)
    others = {name: v for name, v in vars(tempfile).items() if name != "NamedTemporaryFile"}
    _makes_files.set(SimpleNamespace(**others, NamedTemporaryFile=make_file))


def is_dataset(kind: type) -> bool:
    """Returns whether a class is tf.data.Dataset, by name, without importing TensorFlow."""
    return kind.__name__ == "DatasetV2" and kind.__module__.startswith("tensorflow.")
