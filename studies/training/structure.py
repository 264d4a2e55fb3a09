"""The structure of a model: a key that is equal for models with the same traced graph.

The key is a digest of everything that is reachable from the model: attributes of layers, optimizer,
losses and metrics, and the connections of layers.

- Of libraries' classes and functions, only the names count.
- Of the user's own classes and functions, everything counts that their behaviour may depend on:
  code, constants, closures, and globals. If code names anything that is neither constant nor
  readable nor pure, the structure is unique: no other has its key.
- The values of variables and of lifted numbers (`numbers_as_variables`) don't count, as a program
  gets them for each trial.
"""

from __future__ import annotations

import builtins
import dis
import enum
import functools
import hashlib
import itertools
import random
import re
import sys
import types
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from studies.library_internals import keras_internals
from studies.library_internals.tensorflow_internals import is_plain_variable
from studies.user_code import is_users

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class that was made by Python code.
_ATOMS = (bool, int, float, complex, str, bytes)
# These methods run before a model is traced, so their code doesn't matter.
_BEFORE_TRAINING = ("__init__", "build", "get_config", "from_config")
# By these attributes, code can reach objects that it does not name.
_BACK_DOORS = frozenset(
    {*_BEFORE_TRAINING, "__dict__", "__globals__", "__builtins__", "__subclasses__"}
)
_ABOUT_CLASSES = ("_abc_impl", "__annotate_func__", "__dataclass_params__")
_SLOTS = types.MemberDescriptorType | types.GetSetDescriptorType
# These numbers make the keys of unique structures.
_own = itertools.count()


class _Named(NamedTuple):
    field: int


# Objects of these kinds count as the parts that the function returns.
_PARTS: tuple[tuple[Any, Callable[[Any], Iterable[object]]], ...] = (
    (types.MethodType, lambda method: (method.__func__, method.__self__)),
    (functools.partial, lambda partial: (partial.func, partial.args, partial.keywords)),
    (property, lambda property: (property.fget, property.fset, property.fdel)),
    (staticmethod | classmethod, lambda wrapper: (wrapper.__func__,)),
    (
        types.MethodDescriptorType | types.WrapperDescriptorType,
        lambda method: (method.__objclass__, method.__name__),
    ),
    (re.Pattern, lambda pattern: (pattern.pattern, pattern.flags)),
    (np.dtype | range | slice | type(_Named.field), lambda thing: (repr(thing),)),
)
# These attributes of Keras classes are numbers that a program reads from variables, so that it
# serves trials with other numbers. `test_exactness` shows that such programs are exact.
_LIFTED: Mapping[str, tuple[str, ...]] = {
    "Dropout": ("rate",),
    "SpatialDropout1D": ("rate",),
    "SpatialDropout2D": ("rate",),
    "SpatialDropout3D": ("rate",),
    "GaussianNoise": ("stddev",),
    "AlphaDropout": ("rate",),
    "L1": ("l1",),
    "L2": ("l2",),
    "L1L2": ("l1", "l2"),
    "SGD": ("momentum", "weight_decay"),
    "Adam": ("weight_decay",),
    "AdamW": ("weight_decay",),
    "Nadam": ("weight_decay",),
    "RMSprop": ("weight_decay",),
    "Adagrad": ("weight_decay",),
    "Adadelta": ("weight_decay",),
    "Adamax": ("weight_decay",),
    "Lion": ("weight_decay",),
    "CosineDecay": ("initial_learning_rate", "alpha", "warmup_target"),
    "CosineDecayRestarts": ("initial_learning_rate", "alpha"),
    "ExponentialDecay": ("initial_learning_rate", "decay_rate"),
    "InverseTimeDecay": ("initial_learning_rate", "decay_rate"),
    "PolynomialDecay": ("initial_learning_rate", "end_learning_rate"),
}

_RANDOM = (random.Random, np.random.Generator, np.random.RandomState, np.random.BitGenerator)


@dataclass(frozen=True)
class LiftedNumber:
    """An attribute of a layer, a regularizer or an optimizer that holds a number."""

    owner: Any
    attribute: str

    @property
    def value(self) -> float:
        """The number as a Python float; Keras holds some as tensors."""
        return float(getattr(self.owner, self.attribute))


class Structure:
    """The structure of a model, and of `others` if given."""

    def __init__(self, model: object, *others: object) -> None:
        import keras

        # All reachable Keras variables, in the same order for the same key.
        self.variables: list[keras.Variable] = []
        # The lifted numbers, in the same order for the same key.
        self.numbers: list[LiftedNumber] = []
        self.others = others
        self.of_libraries = True  # Whether no code is the user's.
        self.reason = ""  # Why the structure is unique, or empty.
        self.state = ""  # State that no program can take over (e.g. a tf.Variable), or empty.
        self._keras = keras
        self._digest = hashlib.sha256()
        # Names of attributes that decide initial values, and of those that the user's code reads.
        self._initial: set[str] = set()
        self._read: set[str] = set()
        self._places: dict[int, int] = {}
        self._queue: deque[Any] = deque()
        # This keeps the objects alive, so that no id is used again.
        self._alive: list[Any] = []
        for root in (model, *others):
            self._write(self._token(root))
        while self._queue:
            self._visit(self._queue.popleft())
        for name in sorted(self._initial & self._read):
            self._impure(f"the attribute {name!r}, which decides initial values")
        self.digest = self._digest.hexdigest()
        self.key = self.digest if not self.reason else f"own {next(_own)}"
        self.values = tuple(source.value for source in self.numbers)
        self._places, self._alive = {}, []

    def is_like(self, other: Structure) -> bool:
        """Returns whether digests and lifted numbers are equal, even of unique structures."""
        return (self.digest, self.values) == (other.digest, other.values)

    def _write(self, *parts: object) -> None:
        self._digest.update(repr(parts).encode())

    def _unreadable(self, why: str) -> None:
        self.reason = self.reason or why

    def _impure(self, name: str) -> None:
        """Makes the structure unique, because the user's code may read what the digest lacks."""
        self.of_libraries = False
        self._unreadable(f"code that uses {name}")

    def _token(self, value: Any) -> object:
        """Returns what stands for a value in the digest: a simple value, or an object's number.

        Objects are numbered in the order in which they are found, and queued for a visit.
        """
        if value is None or value is Ellipsis or value is NotImplemented:
            return value
        kind = type(value)
        if kind in _ATOMS:
            return (kind.__name__, value)
        place = self._places.get(id(value))
        if place is None:
            place = self._places[id(value)] = len(self._places)
            self._alive.append(value)
            self._queue.append(value)
        return f"#{place}"

    def _visit(self, value: Any) -> None:
        if isinstance(value, self._keras.Variable):
            self._visit_variable(value)
            return
        for kinds, visit in _VISITORS:
            if isinstance(value, kinds):
                visit(self, value)
                return
        for kinds, parts_of in _PARTS:
            if isinstance(value, kinds):
                self._write(type(value).__name__, [self._token(part) for part in parts_of(value)])
                return
        self._visit_object(value)

    def _visit_collection(self, value: Any) -> None:
        items: Iterable[Any] = value
        if isinstance(value, dict | types.MappingProxyType):
            items = [part for pair in value.items() for part in pair]
            items += [getattr(value, "default_factory", None)]
        elif isinstance(value, set | frozenset):
            # The order of sets of objects differs between processes and trials.
            if not all(item is None or type(item) in _ATOMS for item in value):
                self._unreadable(f"a set of objects ({value!r:.60})")
            items = sorted(value, key=repr)
        self._write("collection", self._kind(type(value)), [self._token(item) for item in items])
        # In a library's collections, attributes hold only bookkeeping.
        if is_own(module_of(type(value))):
            self._visit_attributes(value)

    def _visit_array(self, value: Any) -> None:
        array = np.asarray(value)
        if array.dtype.hasobject:
            self._unreadable("an array of objects")
        self._write("array", array.dtype.str, array.shape)
        self._digest.update(np.ascontiguousarray(array).tobytes())

    def _visit_enum(self, member: enum.Enum) -> None:
        self._write("enum", self._kind(type(member)), member.name)

    def _visit_builtin(self, value: Any) -> None:
        owner = getattr(value, "__self__", None)
        name = getattr(value, "__qualname__", value.__name__)
        self._write("builtin", module_of(value), name)
        if isinstance(value, np.ufunc) and getattr(np, value.__name__, None) is value:
            return
        if owner is not None and not isinstance(owner, types.ModuleType):
            self._write("method of", self._token(owner))
        elif not is_pure(value):
            self._impure(f"{module_of(value)}.{name}")

    def _kind(self, kind: type) -> object:
        """Returns a class's part of the digest: a name or, for a user's class, its content."""
        if is_own(module_of(kind)):
            return self._token(kind)
        if library_of(kind) not in PLAIN_CLASSES:
            self._impure(f"the class {kind.__module__}.{kind.__qualname__}")
        return kind.__module__, kind.__qualname__

    def _is_of_library(self, thing: Any) -> bool:
        """Adds a name to the digest. Returns whether the name says everything."""
        name = f"{module_of(thing)}.{thing.__qualname__}"
        self._write(type(thing).__name__, name)
        if is_own(origin_of(thing)):
            self.of_libraries = False
            return False
        if is_wrapper(thing):
            return False
        if not is_pure(thing):
            self._impure(name)
        return True

    def _visit_type(self, kind: type) -> None:
        if self._is_of_library(kind):
            return
        self._write(*(self._kind(base) for base in kind.__mro__[1:]))
        unread = {*_ABOUT_CLASSES, *(_BEFORE_TRAINING if is_of_keras(kind) else ())}
        for name, item in vars(kind).items():
            # Leave out slots, and what Python notes about a class, such as `__annotations__`.
            is_pythons_note = name.startswith("__") and isinstance(item, dict | tuple)
            if not (is_pythons_note or name in unread or isinstance(item, _SLOTS)):
                self._write(name, self._token(item))

    def _visit_function(self, function: types.FunctionType) -> None:
        if self._is_of_library(function):
            return
        values, code = function.__globals__, function.__code__
        reads = reads_of(code) if is_own(origin_of(function)) else Reads()
        held = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
        # `super()` makes `__class__` a free variable. That class is visited anyway, with its
        # objects.
        held += [_content_of(cell) for name, cell in cells if name != "__class__"]
        held += function.__dict__.values()
        names = sorted(reads.globals)
        held += [values.get(name, vars(builtins).get(name)) for name in names]
        self._write(self._token(code), sorted(function.__dict__), len(held))
        self._read.update(name.strip("_") for name in reads.attributes)
        self._visit_held(held, reads.attributes, set())
        if function.__name__ not in _BEFORE_TRAINING:
            for name in sorted(_BACK_DOORS.intersection(reads.attributes)):
                self._impure(f"the attribute {name!r}")

    def _visit_held(self, held: Iterable[Any], attributes: frozenset[str], seen: set[int]) -> None:
        """Adds the globals of a function to the digest.

        Of a module, only the attributes count that the function names.
        """
        for value in held:
            if not isinstance(value, types.ModuleType):
                self._write(self._token(value))
                own = isinstance(value, type) and is_own(module_of(value))
                if own and is_of_keras(value):
                    # The function may make an object of the class.
                    self._impure(f"the class {value.__qualname__}")
                continue
            # For a module that TensorFlow loads late, another object may be in its place.
            module = sys.modules.get(value.__name__, value)
            self._write("module", module.__name__)
            if id(module) in seen:
                continue
            seen.add(id(module))
            if is_own(module.__name__):
                names = sorted({*attributes, "__getattr__"}.intersection(vars(module)))
                self._write(names)
                self._visit_held([vars(module)[name] for name in names], attributes, seen)
            elif module.__name__.partition(".")[0] not in LOOKED_INTO:
                self._impure(f"the module {module.__name__!r}")
            else:
                members = [getattr(module, name, None) for name in sorted(attributes)]
                self._visit_held(members, attributes, seen)

    def _visit_code(self, code: types.CodeType) -> None:
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        counts = (code.co_argcount, code.co_kwonlyargcount, code.co_flags)
        self._write("code", code.co_code, code.co_exceptiontable, names, counts)
        self._write([self._token(constant) for constant in code.co_consts])

    def _visit_variable(self, variable: Any) -> None:
        value = keras_internals.value_held(variable)
        if value is None or not is_plain_variable(value):
            self._unreadable(f"the variable {variable.path!r} has no value yet")
            return
        self.variables.append(variable)
        autocast, layout = keras_internals.traits_of(variable)
        self._write(
            "variable",
            variable.name,
            variable.path,
            tuple(variable.shape),
            str(variable.dtype),
            (variable.trainable, value.trainable, value.dtype.name, value.device),
            (autocast, variable.aggregation, variable.synchronization),
            variable.overwrite_with_gradient,
            self._token(variable.regularizer),
            self._token(variable.constraint),
            self._token(layout),
        )

    def _visit_object(self, value: Any) -> None:
        import tensorflow as tf

        if isinstance(value, tf.Variable):
            where = self._holder_of(value)
            self.state = f"a tf.Variable that is in no Keras variable{where}"
        elif isinstance(value, tf.Tensor):
            if not hasattr(value, "numpy") or value.dtype in (tf.resource, tf.variant):
                self._unreadable("a tensor without a value")
                return
            self._write("tensor", value.dtype.name, self._token(value.numpy()))
        elif isinstance(value, tf.DType | tf.TensorShape):
            self._write(type(value).__name__, repr(value))
        elif hasattr(type(value), "__next__") or isinstance(value, _RANDOM):
            what = "random numbers" if isinstance(value, _RANDOM) else "an iterator"
            self.state = f"{what} ({type(value).__module__}.{type(value).__qualname__})"
        else:
            kind = type(value)
            shown = hasattr(value, "__dict__") or any("__slots__" in vars(b) for b in kind.__mro__)
            # An object of a class in C may hold more than its attributes.
            in_python = all(base.__flags__ & _HEAP_TYPE for base in kind.__mro__[:-1])
            if shown and in_python and (is_followed(kind) or is_of_keras(kind)):
                self._visit_attributes(value)
            else:
                self._write("object", kind.__module__, kind.__qualname__)
                self._unreadable(f"an object of the class {kind.__module__}.{kind.__qualname__}")

    def _holder_of(self, value: object) -> str:
        for holder in self._alive:
            if isinstance(holder, self._keras.layers.Layer):
                for _, item in attributes_of(holder):
                    held = list(item.values()) if isinstance(item, dict) else item
                    held = held if isinstance(held, list | tuple) else [held]
                    if any(each is value for each in held):
                        return f" (in the layer {holder.name!r})"
        return ""

    def _visit_attributes(self, value: Any) -> None:
        kind = type(value)
        keras_own = library_of(kind) == "keras"
        exact = keras_own and kind.__name__ in _LIFTED and self._is_public(kind)
        self._write("object", self._kind(kind))
        for name, item in attributes_of(value):
            if self._passes_over(kind, name, item):
                continue
            if self._is_of_initial_values(value, keras_own, name, item):
                self._initial.add(name.strip("_"))
                continue
            if name == keras_internals.STRATEGY and item is not None:
                self._unreadable("a distribution strategy")
            if keras_own and name == keras_internals.EXCLUDED_FROM_DECAY:
                self._write(name, keras_internals.positions_of(item, value))
                continue
            if exact and name in _LIFTED[kind.__name__] and _is_number(item):
                self._write(name, "lifted", len(self.numbers))
                self.numbers.append(LiftedNumber(value, name))
                continue
            self._write(name, self._token(item))

    def _passes_over(self, kind: type, name: str, item: Any) -> bool:
        """Returns whether an attribute is bookkeeping of Keras or TensorFlow."""
        if not any(library_of(base) in ("keras", "tensorflow") for base in kind.__mro__):
            return False
        if name in keras_internals.BOOKKEEPING_OF_MODELS:
            return issubclass(kind, self._keras.Model)
        if isinstance(item, types.ModuleType):
            return library_of(kind) == "keras"
        # Keras sets wrappers of these methods on each object.
        wrapped = name in ("build", "quantize") and isinstance(item, types.FunctionType)
        return wrapped or name in keras_internals.BOOKKEEPING or name.startswith("_self_")

    def _is_public(self, kind: type) -> bool:
        """Returns whether Keras exports the class itself under its name."""
        keras = self._keras
        optimizers = keras.optimizers
        rooms = (keras.layers, keras.regularizers, optimizers, optimizers.schedules)
        return any(getattr(room, kind.__name__, None) is kind for room in rooms)

    def _is_of_initial_values(self, holder: Any, keras_own: bool, name: str, item: Any) -> bool:
        """Returns whether an attribute decides only initial values, which the key leaves out."""
        initializer = self._keras.initializers.Initializer
        if isinstance(holder, self._keras.layers.Layer) and isinstance(item, initializer):
            return library_of(type(item)) == "keras"
        # An initializer that is visited here belongs to no layer, so its seed counts.
        return keras_own and name in keras_internals.SEEDS and not isinstance(holder, initializer)


_VISITORS: tuple[tuple[Any, Callable[[Structure, Any], None]], ...] = (
    (dict | types.MappingProxyType | list | tuple | deque, Structure._visit_collection),
    (set | frozenset, Structure._visit_collection),
    (types.FunctionType, Structure._visit_function),
    (types.CodeType, Structure._visit_code),
    (type, Structure._visit_type),
    (enum.Enum, Structure._visit_enum),
    (np.ndarray | np.generic, Structure._visit_array),
    (types.BuiltinFunctionType | np.ufunc | type(np.mean), Structure._visit_builtin),
)


def attributes_of(value: Any) -> list[tuple[str, Any]]:
    """Returns the names and values in an object's `__dict__` and slots."""
    attributes = list(getattr(value, "__dict__", {}).items())
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                attributes.append((name, getattr(value, name)))
    return attributes


def _content_of(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return "empty cell"


def _is_number(item: Any) -> bool:
    """Returns whether an attribute is a Python float or, as in Keras's L1, a float tensor."""
    import tensorflow as tf

    if type(item) is float:
        return True
    return isinstance(item, tf.Tensor) and item.shape.rank == 0 and item.dtype == tf.float32


# Libraries whose objects show their state in attributes.
_FOLLOWED = ("keras", "tensorflow")
# These modules' classes and functions read only their arguments. TensorFlow's functions may use
# state that is in the graph. `graph_checks.hidden_state` looks for that.
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
"""Libraries with pure functions, listed above."""
PLAIN_CLASSES = (*_FOLLOWED, "builtins", "abc", "collections", "enum", "numbers", "typing", "numpy")
"""Libraries whose objects hide no state, nor do objects of subclasses."""
_LIBRARIES = frozenset({*sys.stdlib_module_names, *LOOKED_INTO} - {"__main__"})


class Reads(NamedTuple):
    """The names of the globals and attributes that code reads, with its inner functions."""

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
    inner = [reads_of(each) for each in code.co_consts if isinstance(each, types.CodeType)]
    return Reads(
        frozenset(names).union(*(each.globals for each in inner)),
        frozenset(attributes).union(*(each.attributes for each in inner)),
    )


def module_of(thing: Any) -> str:
    """Returns the name of the module that a class or a function is from."""
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

    `module_of` may return another one, as a decorator (`functools.wraps`) copies `__module__`.
    """
    if isinstance(thing, types.FunctionType):
        return str(thing.__globals__.get("__name__", ""))
    return module_of(thing)


def is_wrapper(thing: Any) -> bool:
    """Returns whether a library's decorator made this function from another one."""
    if not isinstance(thing, types.FunctionType):
        return False
    named: Any = sys.modules.get(module_of(thing))
    for name in thing.__qualname__.split("."):
        named = getattr(named, name, None)
    is_made = named is not thing or is_own(module_of(thing))
    return is_made and origin_of(thing).partition(".")[0] in _LIBRARIES


def is_followed(thing: Any) -> bool:
    """Returns whether a class is the user's, Keras's or TensorFlow's.

    Objects of such classes show their state in attributes.
    """
    return library_of(thing) in _FOLLOWED or is_own(module_of(thing))


def is_of_keras(kind: type) -> bool:
    """Returns whether a class has a base class of Keras or TensorFlow, or is one."""
    return any(library_of(base) in _FOLLOWED for base in kind.__mro__)


def is_pure(thing: Any) -> bool:
    """Returns whether a library's class or function reads only its arguments."""
    if isinstance(thing, type) and issubclass(thing, np.generic | BaseException):
        return True
    module, name = module_of(thing), thing.__qualname__
    # Keras's `get` and `deserialize` look up the user's objects.
    looks_up = name in ("get", "deserialize")
    return name in _PURE_OF.get(module, "").split() or (
        _is_listed(f"{module}.{name}") and not looks_up
    )


@functools.lru_cache(maxsize=10_000)
def _is_listed(name: str) -> bool:
    parts = name.removeprefix("tensorflow.python.ops.").split(".")
    return any(".".join(parts[: i + 1]) in _PURE for i in range(len(parts)))
