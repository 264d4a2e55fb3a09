"""A digest of Python objects and everything reachable from them, with the user's own code.

Two objects with the same digest behave alike. Classes and functions of libraries count by name, and
are never read. Of the user's own, everything that their behaviour may depend on is read: code,
constants, closures, and the globals that they name. If they name anything else than constants,
objects that can be read, and what is pure (`code_reading`), the digest is unique.
"""

from __future__ import annotations

import builtins
import enum
import functools
import hashlib
import itertools
import re
import sys
import types
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from studies.training.structures.code_reading import (
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

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class that was made by Python code.
_ATOMS = (bool, int, float, complex, str, bytes)
# Methods of Keras's classes that have run before a model is traced: they count for nothing.
_BEFORE_TRAINING = ("__init__", "build", "get_config", "from_config")
# Attributes by which code reaches what it does not name.
_BACK_DOORS = frozenset(
    {*_BEFORE_TRAINING, "__dict__", "__globals__", "__builtins__", "__subclasses__"}
)
_ABOUT_CLASSES = ("_abc_impl", "__annotate_func__", "__dataclass_params__")
_SLOTS = types.MemberDescriptorType | types.GetSetDescriptorType
# Numbers for unreadable objects.
_own = itertools.count()


class _Named(NamedTuple):
    field: int


# Objects that consist of a few others, or of their text.
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


class Fingerprint:
    """Reads objects.

    Attributes:
        key: Equal for objects that behave alike.
        reason: What could not be read, which makes the key unique; or empty.
        digest: Of the readable parts.
        of_libraries: Whether all code is that of libraries.
    """

    def __init__(self, *roots: object) -> None:
        self.reason = ""
        self.of_libraries = True
        self._digest = hashlib.sha256()
        self._places: dict[int, int] = {}
        self._queue: deque[Any] = deque()
        # Kept, so that no id is reused.
        self._alive: list[Any] = []
        for root in roots:
            self._write(self._token(root))
        while self._queue:
            self._visit(self._queue.popleft())
        self._conclude()
        self.digest = self._digest.hexdigest()
        self.key = self.digest if not self.reason else f"own {next(_own)}"
        self._places, self._alive = {}, []

    def _conclude(self) -> None:
        """Ends the reading."""

    def _note(self, reads: Reads) -> None:
        """Takes the reads of a function of the user's."""

    def _write(self, *parts: object) -> None:
        self._digest.update(repr(parts).encode())

    def _unreadable(self, why: str) -> None:
        self.reason = self.reason or why

    def _impure(self, name: str) -> None:
        """Notes that own code may read something that is no part of the digest."""
        self.of_libraries = False
        self._unreadable(f"code that uses {name}")

    def _token(self, value: Any) -> object:
        """Returns a simple value itself, and for others a place in the queue."""
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
        """Writes the kind and content of an object."""
        for kinds, visit in _VISITORS:
            if isinstance(value, kinds):
                visit(self, value)
                return
        for kinds, parts_of in _PARTS:
            if isinstance(value, kinds):
                self._write(type(value).__name__, [self._token(part) for part in parts_of(value)])
                return
        self._visit_object(value)

    def _visit_object(self, value: Any) -> None:
        """Writes an object that has attributes."""
        kind = type(value)
        shown = hasattr(value, "__dict__") or any("__slots__" in vars(b) for b in kind.__mro__)
        # Objects written in C may hold more than their attributes.
        in_python = all(base.__flags__ & _HEAP_TYPE for base in kind.__mro__[:-1])
        if shown and in_python and (is_followed(kind) or is_of_keras(kind)):
            self._visit_attributes(value)
        else:
            self._write("object", kind.__module__, kind.__qualname__)
            self._unreadable(f"an object of the class {kind.__module__}.{kind.__qualname__}")

    def _visit_attributes(self, value: Any) -> None:
        self._write("object", self._kind(type(value)))
        for name, item in attributes_of(value):
            self._write(name, self._token(item))

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
        # A library's collections hold only bookkeeping there.
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
        """Returns the representation of an object's class: a library's name, else its content."""
        if is_own(module_of(kind)):
            return self._token(kind)
        if library_of(kind) not in PLAIN_CLASSES:
            self._impure(f"the class {kind.__module__}.{kind.__qualname__}")
        return kind.__module__, kind.__qualname__

    def _is_of_library(self, thing: Any) -> bool:
        """Writes a class or a function; returns whether its name says all that there is to read."""
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
            # Without slots, and what Python notes of a class, such as its fields.
            noted = name.startswith("__") and isinstance(item, dict | tuple)
            if not (noted or name in unread or isinstance(item, _SLOTS)):
                self._write(name, self._token(item))

    def _visit_function(self, function: types.FunctionType) -> None:
        if self._is_of_library(function):
            return
        values, code = function.__globals__, function.__code__
        reads = reads_of(code) if is_own(origin_of(function)) else Reads()
        held = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
        # The class of a method, for `super()`, is read with its objects.
        held += [_content_of(cell) for name, cell in cells if name != "__class__"]
        held += function.__dict__.values()
        names = sorted(reads.globals)
        held += [values.get(name, vars(builtins).get(name)) for name in names]
        self._write(self._token(code), sorted(function.__dict__), len(held))
        self._note(reads)
        self._visit_held(held, reads.attributes, set())
        if function.__name__ not in _BEFORE_TRAINING:
            for name in sorted(_BACK_DOORS.intersection(reads.attributes)):
                self._impure(f"the attribute {name!r}")

    def _visit_held(self, held: Iterable[Any], attributes: frozenset[str], seen: set[int]) -> None:
        """Reads what a function names: of a module, what it may read there."""
        for value in held:
            if not isinstance(value, types.ModuleType):
                self._write(self._token(value))
                own = isinstance(value, type) and is_own(module_of(value))
                if own and is_of_keras(value):
                    # The function may make an object.
                    self._impure(f"the class {value.__qualname__}")
                continue
            # TensorFlow loads some late, and puts others in their place.
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
                found = [getattr(module, name, None) for name in sorted(attributes)]
                self._visit_held(found, attributes, seen)

    def _visit_code(self, code: types.CodeType) -> None:
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        counts = (code.co_argcount, code.co_kwonlyargcount, code.co_flags)
        self._write("code", code.co_code, code.co_exceptiontable, names, counts)
        self._write([self._token(constant) for constant in code.co_consts])


_VISITORS: tuple[tuple[Any, Callable[[Fingerprint, Any], None]], ...] = (
    (dict | types.MappingProxyType | list | tuple | deque, Fingerprint._visit_collection),
    (set | frozenset, Fingerprint._visit_collection),
    (types.FunctionType, Fingerprint._visit_function),
    (types.CodeType, Fingerprint._visit_code),
    (type, Fingerprint._visit_type),
    (enum.Enum, Fingerprint._visit_enum),
    (np.ndarray | np.generic, Fingerprint._visit_array),
    (types.BuiltinFunctionType | np.ufunc | type(np.mean), Fingerprint._visit_builtin),
)


def attributes_of(value: Any) -> list[tuple[str, Any]]:
    """Returns the attributes of an object itself, by name."""
    found = list(getattr(value, "__dict__", {}).items())
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                found.append((name, getattr(value, name)))
    return found


def _content_of(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return "empty cell"
