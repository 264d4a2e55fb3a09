"""Says which code of libraries is pure, which code is the user's, and which names code reads.

A class or function is pure if it reads only its arguments. The key of a model
(`model_structure_digest`) then needs only the name of the class or function, and not the code.
"""

from __future__ import annotations

import dis
import functools
import sys
import types
from typing import Any, NamedTuple

import numpy as np

from studies.user_code import is_users

# Libraries whose objects have all their state in Python attributes, which can be read.
_FOLLOWED = ("keras", "tensorflow")
# The classes and functions of these modules read only their arguments. TensorFlow's functions may
# also add operations with state to a graph. `traced_steps.hidden_state` finds such operations.
_PURE = frozenset(
    """
    keras.src.activations keras.src.backend keras.src.constraints keras.src.dtype_policies
    keras.src.initializers keras.src.layers keras.src.legacy.backend keras.src.losses
    keras.src.metrics keras.src.models keras.src.ops keras.src.optimizers keras.src.quantizers
    keras.src.random keras.src.regularizers keras.src.tree keras.src.utils.numerical_utils
    array_ops array_ops_stack check_ops clip_ops cond control_flow_assert control_flow_case
    control_flow_ops control_flow_switch_case ctc_ops custom_gradient embedding_ops functional_ops
    gen_array_ops gen_bitwise_ops gen_image_ops gen_linalg_ops gen_math_ops gen_nn_ops
    gen_spectral_ops gen_string_ops gradients_impl image_ops_impl linalg linalg_ops logging_ops
    map_fn math_ops nn_impl nn_ops parallel_for ragged random_ops script_ops signal sort_ops
    sparse_ops special_math_ops stateless_random_ops string_ops tensor_array_ops while_loop
    tensorflow.python.eager.backprop tensorflow.python.framework.constant_op
    tensorflow.python.framework.dtypes tensorflow.python.framework.sparse_tensor
    tensorflow.python.framework.tensor tensorflow.python.framework.tensor_conversion
    tensorflow.python.framework.tensor_shape tensorflow.python.framework.tensor_util
    tensorflow.python.util.nest
    _functools _operator enum functools.partial itertools math numpy.fft numpy.linalg
    tensorflow.python.framework.ops.control_dependencies
    tensorflow.python.framework.ops.name_scope_v2
    """.split()
)
_PURE_OF = {
    "builtins": """
        abs all any bool bytes callable complex dict divmod enumerate filter float format frozenset
        hash int isinstance issubclass iter len list map max min object pow property range repr
        reversed round set slice sorted staticmethod str sum super tuple type zip
    """,
    "numpy": """
        all allclose any arange argmax argmin argsort array array_equal asarray astype average
        broadcast_to clip concatenate copy cumprod cumsum diag diff dot dtype einsum expand_dims
        eye full full_like interp isclose linspace logspace matmul max mean median min ndarray ndim
        nonzero ones ones_like outer percentile prod quantile ravel repeat reshape round
        searchsorted shape size sort split squeeze stack std sum take tensordot tile trace
        transpose tril triu unique var where zeros zeros_like
    """,
}
LOOKED_INTO = (*_FOLLOWED, "numpy", "functools", "itertools", "math", "operator")
"""Libraries of which some modules or functions are pure, as listed above."""
PLAIN_CLASSES = {*_FOLLOWED, *"abc builtins collections enum numbers numpy typing".split()}
"""Libraries whose objects have no hidden state. The same holds for objects of subclasses."""
_LIBRARIES = frozenset({*sys.stdlib_module_names, *LOOKED_INTO} - {"__main__"})


class Reads(NamedTuple):
    """The names of the globals and attributes that code and its inner functions read."""

    globals: frozenset[str] = frozenset()
    attributes: frozenset[str] = frozenset()


@functools.lru_cache(maxsize=10_000)
def reads_of(code: types.CodeType) -> Reads:
    """Returns the names of the globals and attributes that code reads."""
    names, attributes = set[str](), set[str]()
    for instruction in dis.get_instructions(code):
        if "GLOBAL" in instruction.opname or instruction.opname == "LOAD_NAME":
            names.add(instruction.argval)
        elif instruction.opname == "IMPORT_NAME":
            names.add("__import__")
        elif instruction.argval in code.co_names:
            attributes.add(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= reads_of(constant).globals
            attributes |= reads_of(constant).attributes
    return Reads(frozenset(names), frozenset(attributes))


def module_of(thing: Any) -> str:
    """Returns the `__module__` of a class or a function, or an empty text."""
    name = getattr(thing, "__module__", None)
    return name if isinstance(name, str) else ""


def library_of(thing: Any) -> str:
    """Returns the library that a class or a function is from, e.g. "keras"."""
    return module_of(thing).partition(".")[0]


def is_own(module: str) -> bool:
    """Returns whether a module is the user's own."""
    if module.partition(".")[0] in _LIBRARIES:
        return False
    file = getattr(sys.modules.get(module), "__file__", None)
    return module == "__main__" or file is None or is_users(file)


def origin_of(thing: Any) -> str:
    """Returns the name of the module that has the code of a class or a function.

    `module_of` may return another module, as decorators (`functools.wraps`) copy `__module__`.
    """
    if isinstance(thing, types.FunctionType):
        return str(thing.__globals__.get("__name__", ""))
    return module_of(thing)


def is_wrapper(thing: Any) -> bool:
    """Returns whether a library's decorator made a function from another function."""
    if not isinstance(thing, types.FunctionType):
        return False
    original: Any = sys.modules.get(module_of(thing))
    for name in thing.__qualname__.split("."):
        original = getattr(original, name, None)
    decorated = original is not thing or is_own(module_of(thing))
    return decorated and origin_of(thing).partition(".")[0] in _LIBRARIES


def is_followed(thing: Any) -> bool:
    """Returns whether a class is the user's, Keras's or TensorFlow's.

    Objects of such classes have their state in attributes.
    """
    return library_of(thing) in _FOLLOWED or is_own(module_of(thing))


def is_of_keras(kind: type) -> bool:
    """Returns whether a class is one of Keras's or TensorFlow's, or inherits from one."""
    return any(library_of(base) in _FOLLOWED for base in kind.__mro__)


def is_pure(thing: Any) -> bool:
    """Returns whether a library's class or function reads only its arguments."""
    if isinstance(thing, type) and issubclass(thing, np.generic | BaseException):
        return True
    module, name = module_of(thing), thing.__qualname__
    # Keras's `get` and `deserialize` look up the user's objects by name, so they are not pure.
    looks_up = name in ("get", "deserialize")
    return name in _PURE_OF.get(module, "").split() or (
        _is_listed(f"{module}.{name}") and not looks_up
    )


@functools.lru_cache(maxsize=10_000)
def _is_listed(name: str) -> bool:
    parts = name.removeprefix("tensorflow.python.ops.").split(".")
    return any(".".join(parts[: i + 1]) in _PURE for i in range(len(parts)))
