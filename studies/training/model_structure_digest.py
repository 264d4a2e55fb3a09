"""The structure of a model: a key that is equal for models with the same traced graph.

Trials whose models have the same key share a traced program (`traced_programs`). The key is a
digest of everything that is reachable from the model: attributes of layers, optimizer, losses and
metrics, and the connections of layers.

- Of the classes and functions of libraries, the key has only the names.
- Of the user's own classes and functions, the key has everything on which they may depend: code,
  constants, closures, and globals. If the code uses anything that may change and can't be read,
  such as a file, the structure is unique: no other structure has its key.
- The values of variables and of lifted numbers (`traced_programs.numbers_as_variables`) are left
  out, as a program gets them for each trial.
"""

from __future__ import annotations

import builtins
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
from studies.training.pure_library_functions import (
    LOOKED_INTO,
    PLAIN_CLASSES,
    Reads,
    is_followed,
    is_of_keras,
    is_own,
    is_pure,
    is_wrapper,
    library_of,
    module_of,
    origin_of,
    reads_of,
)

HEAP_TYPE = 1 << 9
"""The flag Py_TPFLAGS_HEAPTYPE, which CPython sets on classes that Python code has made."""
_ATOMS = (bool, int, float, complex, str, bytes)
# These methods run before a model is traced, so the key leaves their code out.
_BEFORE_TRAINING = ("__init__", "build", "get_config", "from_config")
# Through these attributes, the user's code can reach objects that it does not name. So a structure
# with such code is unique.
_BACK_DOORS = frozenset(
    {*_BEFORE_TRAINING, "__dict__", "__globals__", "__builtins__", "__subclasses__"}
)
_ABOUT_CLASSES = ("_abc_impl", "__annotate_func__", "__dataclass_params__")
_SLOTS = types.MemberDescriptorType | types.GetSetDescriptorType
# Counts unique structures, so that each gets its own key.
_unique = itertools.count()


class _Named(NamedTuple):
    field: int


Parts = tuple[tuple[Any, Callable[[Any], Iterable[object]]], ...]
WRAPPERS: Parts = (
    (types.MethodType, lambda method: (method.__func__, method.__self__)),
    (functools.partial, lambda partial: (partial.func, partial.args, partial.keywords)),
    (property, lambda property: (property.fget, property.fset, property.fdel)),
    (staticmethod | classmethod, lambda wrapper: (wrapper.__func__,)),
)
"""Types of objects that wrap functions, such as methods.

With each type comes a function that returns the parts of such an object.
"""
# For each type, a function that returns the parts of an object that the key needs.
_PARTS: Parts = (
    *WRAPPERS,
    (
        types.MethodDescriptorType | types.WrapperDescriptorType,
        lambda method: (method.__objclass__, method.__name__),
    ),
    (re.Pattern, lambda pattern: (pattern.pattern, pattern.flags)),
    (np.dtype | range | slice | type(_Named.field), lambda thing: (repr(thing),)),
)
# The attributes that are lifted numbers, and the Keras classes that have them. A program reads
# these attributes from variables, so that trials with other numbers can use the same program.
# `test_exactness` shows that such programs are exact.
_LIFTED: Mapping[str, str] = {
    "rate": "AlphaDropout Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D",
    "stddev": "GaussianNoise",
    "l1": "L1 L1L2",
    "l2": "L2 L1L2",
    "momentum": "SGD",
    "weight_decay": "Adadelta Adagrad Adam AdamW Adamax Lion Nadam RMSprop SGD",
    "initial_learning_rate": """
        CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay PolynomialDecay
    """,
    "alpha": "CosineDecay CosineDecayRestarts",
    "warmup_target": "CosineDecay",
    "decay_rate": "ExponentialDecay InverseTimeDecay",
    "end_learning_rate": "PolynomialDecay",
}

_RANDOM = (random.Random, np.random.Generator, np.random.RandomState, np.random.BitGenerator)


@dataclass(frozen=True)
class LiftedNumber:
    """An attribute whose number a program reads from a variable, such as a layer's `rate`."""

    owner: Any
    attribute: str

    @property
    def value(self) -> float:
        """The number as a Python float. Keras keeps some numbers as tensors."""
        return float(getattr(self.owner, self.attribute))


class Structure:
    """The structure of a model. The key also depends on `others`, e.g. on settings of Keras."""

    def __init__(self, model: object, *others: object) -> None:
        import keras

        # All reachable Keras variables. Structures with the same key have them in the same order.
        self.variables: list[keras.Variable] = []
        # The lifted numbers. Structures with the same key have them in the same order.
        self.numbers: list[LiftedNumber] = []
        self.others = others
        self.of_libraries = True  # Whether all code is that of libraries, and none is the user's.
        self.reason = ""  # The reason why the structure is unique, or empty.
        # The first state that no program can take over, e.g. "a tf.Variable". Empty if there is
        # none.
        self.state = ""
        self._keras = keras
        self._digest = hashlib.sha256()
        # `_initial` has the names of attributes that decide initial values, which the key omits.
        # `_read` has the names of attributes that the user's code reads. If a name is
        # in both sets, the structure is unique.
        self._initial: set[str] = set()
        self._read: set[str] = set()
        self._places: dict[int, int] = {}
        # All reached objects. The list keeps them alive, so that no id is used again.
        self._objects: list[Any] = []
        for root in (model, *others):
            self._write(self._token(root))
        # A visit may append objects, which are visited in turn.
        for value in self._objects:
            self._visit(value)
        for name in sorted(self._initial & self._read):
            self._impure(f"the attribute {name!r}, which decides initial values")
        self.digest = self._digest.hexdigest()
        self.key = self.digest if not self.reason else f"unique {next(_unique)}"
        self.values = tuple(number.value for number in self.numbers)
        self._places, self._objects = {}, []

    def is_like(self, other: Structure) -> bool:
        """Returns whether two structures have equal digests and lifted numbers.

        This works for unique structures, too, although their keys are never equal.
        """
        return (self.digest, self.values) == (other.digest, other.values)

    def _write(self, *parts: object) -> None:
        self._digest.update(repr(parts).encode())

    def _unreadable(self, why: str) -> None:
        self.reason = self.reason or why

    def _impure(self, name: str) -> None:
        """Makes the structure unique, as the user's code may read values that the digest lacks."""
        self.of_libraries = False
        self._unreadable(f"code that uses {name}")

    def _token(self, value: Any) -> object:
        """Returns what the digest has for a value: a simple value itself, or an object's number.

        Objects are numbered in the order in which they are first reached.
        """
        if value is None or value is Ellipsis or value is NotImplemented:
            return value
        kind = type(value)
        if kind in _ATOMS:
            return (kind.__name__, value)
        place = self._places.get(id(value))
        if place is None:
            place = self._places[id(value)] = len(self._places)
            self._objects.append(value)
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
            items.append(getattr(value, "default_factory", None))
        elif isinstance(value, set | frozenset):
            # Objects in a set have a different order in each process and trial, so that equal
            # models would have different digests.
            if not all(item is None or type(item) in _ATOMS for item in value):
                self._unreadable(f"a set of objects ({value!r:.60})")
            items = sorted(value, key=repr)
        self._write("collection", self._kind(type(value)), [self._token(item) for item in items])
        # The attributes of a library's collection are only bookkeeping, so leave them out.
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
        """Returns what the digest has for a class: its name or, for a user's class, a number."""
        if is_own(module_of(kind)):
            return self._token(kind)
        if library_of(kind) not in PLAIN_CLASSES:
            self._impure(f"the class {kind.__module__}.{kind.__qualname__}")
        return kind.__module__, kind.__qualname__

    def _is_of_library(self, thing: Any) -> bool:
        """Adds the name of a class or function to the digest. Returns whether it is a library's.

        If a library's decorator made the function from another function, returns False: the digest
        needs that other function, too.
        """
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
            # Leave out slots, and Python's notes about a class, such as `__annotations__`.
            is_pythons_note = name.startswith("__") and isinstance(item, dict | tuple)
            if not (is_pythons_note or name in unread or isinstance(item, _SLOTS)):
                self._write(name, self._token(item))

    def _visit_function(self, function: types.FunctionType) -> None:
        if self._is_of_library(function):
            return
        space, code = function.__globals__, function.__code__
        reads = reads_of(code) if is_own(origin_of(function)) else Reads()
        values = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
        # `super()` makes `__class__` a free variable. Leave it out, as the class is visited with
        # its objects.
        values += [_content_of(cell) for name, cell in cells if name != "__class__"]
        values += function.__dict__.values()
        values += [space.get(name, vars(builtins).get(name)) for name in sorted(reads.globals)]
        self._write(self._token(code), sorted(function.__dict__), len(values))
        self._read.update(name.strip("_") for name in reads.attributes)
        self._visit_values(values, reads.attributes, set())
        if function.__name__ not in _BEFORE_TRAINING:
            for name in sorted(_BACK_DOORS.intersection(reads.attributes)):
                self._impure(f"the attribute {name!r}")

    def _visit_values(
        self, values: Iterable[Any], attributes: frozenset[str], ids: set[int]
    ) -> None:
        """Adds to the digest the values that a function can read.

        For a module, adds only the attributes that the function reads.
        """
        for value in values:
            if not isinstance(value, types.ModuleType):
                self._write(self._token(value))
                own = isinstance(value, type) and is_own(module_of(value))
                if own and is_of_keras(value):
                    # The function may make an object of the class. This runs `__init__`, whose code
                    # is not in the digest.
                    self._impure(f"the class {value.__qualname__}")
                continue
            # TensorFlow has placeholders for modules that it loads late, so get the real module.
            module = sys.modules.get(value.__name__, value)
            self._write("module", module.__name__)
            if id(module) in ids:
                continue
            ids.add(id(module))
            if is_own(module.__name__):
                names = sorted({*attributes, "__getattr__"}.intersection(vars(module)))
                self._write(names)
                self._visit_values([vars(module)[name] for name in names], attributes, ids)
            elif module.__name__.partition(".")[0] not in LOOKED_INTO:
                self._impure(f"the module {module.__name__!r}")
            else:
                members = [getattr(module, name, None) for name in sorted(attributes)]
                self._visit_values(members, attributes, ids)

    def _visit_code(self, code: types.CodeType) -> None:
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        counts = (code.co_argcount, code.co_kwonlyargcount, code.co_flags)
        self._write("code", code.co_code, code.co_exceptiontable, names, counts)
        self._write([self._token(constant) for constant in code.co_consts])

    def _visit_variable(self, variable: Any) -> None:
        value = keras_internals.value_held(variable)
        if value is None:
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
            self.state = "a tf.Variable that is in no Keras variable"
        elif isinstance(value, tf.Tensor):
            if not hasattr(value, "numpy") or value.dtype in (tf.resource, tf.variant):
                self._unreadable("a tensor without a value")
                return
            self._write("tensor", value.dtype.name, self._token(value.numpy()))
        elif isinstance(value, tf.DType | tf.TensorShape):
            self._write(type(value).__name__, repr(value))
        elif hasattr(type(value), "__next__") or isinstance(value, _RANDOM):
            source = "random numbers" if isinstance(value, _RANDOM) else "an iterator"
            self.state = f"{source} ({type(value).__module__}.{type(value).__qualname__})"
        else:
            kind = type(value)
            named = hasattr(value, "__dict__") or any("__slots__" in vars(b) for b in kind.__mro__)
            # An object may have state besides its attributes if its class, or a base class, is
            # written in C.
            in_python = all(base.__flags__ & HEAP_TYPE for base in kind.__mro__[:-1])
            if named and in_python and (is_followed(kind) or is_of_keras(kind)):
                self._visit_attributes(value)
            else:
                self._write("object", kind.__module__, kind.__qualname__)
                self._unreadable(f"an object of the class {kind.__module__}.{kind.__qualname__}")

    def _visit_attributes(self, value: Any) -> None:
        kind = type(value)
        keras_own = library_of(kind) == "keras"
        public = keras_own and self._is_public(kind)
        self._write("object", self._kind(kind))
        for name, item in attributes_of(value):
            if self._passes_over(kind, name, item):
                continue
            if self._is_of_initial_values(value, keras_own, name, item):
                self._initial.add(name.strip("_"))
                continue
            if keras_own and name == keras_internals.EXCLUDED_FROM_DECAY:
                self._write(name, keras_internals.positions_of(item, value))
                continue
            if public and kind.__name__ in _LIFTED.get(name, "").split() and _is_number(item):
                self._write(name, "lifted", len(self.numbers))
                self.numbers.append(LiftedNumber(value, name))
                continue
            self._write(name, self._token(item))

    def _passes_over(self, kind: type, name: str, item: Any) -> bool:
        """Returns whether the key omits an attribute as bookkeeping of Keras or TensorFlow."""
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
        """Returns whether Keras exports a class under its name."""
        optimizers = self._keras.optimizers
        modules = (self._keras.layers, self._keras.regularizers, optimizers, optimizers.schedules)
        return any(getattr(module, kind.__name__, None) is kind for module in modules)

    def _is_of_initial_values(self, owner: Any, keras_own: bool, name: str, item: Any) -> bool:
        """Returns whether an attribute decides only initial values, which the key leaves out."""
        initializer = self._keras.initializers.Initializer
        if isinstance(owner, self._keras.layers.Layer) and isinstance(item, initializer):
            return library_of(type(item)) == "keras"
        # An initializer that is visited here belongs to no layer, so the key needs its seed.
        return keras_own and name in keras_internals.SEEDS and not isinstance(owner, initializer)


_VISITORS: tuple[tuple[Any, Callable[[Structure, Any], None]], ...] = (
    (
        dict | types.MappingProxyType | list | tuple | deque | set | frozenset,
        Structure._visit_collection,
    ),
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
