"""A digest of Python objects and everything reachable from them, with code.

Two objects with the same digest behave alike. Classes and functions of libraries count by name. For
others, everything that their behaviour may depend on is read: code, constants, closures, and the
globals that they name. If something can't be read reliably, the digest is unique.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import itertools
import pathlib
import re
import sys
import types
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from studies.training.structures.code_reading import Reads, reads_of

_MOST_OBJECTS = 200_000
# Libraries whose code is the same in all trials, and whose objects show their state in attributes.
_LIBRARIES = frozenset({"keras", "tensorflow", "numpy", "keras_tuner", "optuna", "ml_dtypes"})
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class that was made by Python code.
_ATOMS = (bool, int, float, complex, str, bytes)
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
    (types.ModuleType, lambda module: (module.__name__,)),
    (enum.Enum, lambda member: (type(member), member.name)),
    # Not its attributes: it stores requested names there.
    (pathlib.PurePath, lambda path: (type(path), str(path))),
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
        while self._queue or self._put_off():
            self._visit(self._queue.popleft())
            if len(self._places) > _MOST_OBJECTS:
                self._unreadable("too much can be reached")
                break
        self.digest = self._digest.hexdigest()
        self.key = self.digest if not self.reason else f"own {next(_own)}"
        self._places, self._alive = {}, []

    def _put_off(self) -> bool:
        """Queues objects that depend on everything read so far; returns whether there are any."""
        return False

    def _note(self, name: str, reads: Reads) -> None:
        """Takes the reads of a function that is not of a library."""

    def _goes_by_name(self, thing: Any) -> bool:
        """Returns whether a class or a function is identified by its name."""
        return _is_of_library(thing)

    def _write(self, *parts: object) -> None:
        self._digest.update(repr(parts).encode())

    def _unreadable(self, why: str) -> str:
        self.reason = self.reason or why
        return "unreadable"

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
        for atom in _ATOMS[1:]:
            if isinstance(value, atom):
                # Of a subclass.
                self._write(atom.__name__, atom.__repr__(value))
        slots = any("__slots__" in vars(base) for base in kind.__mro__)
        # Objects written in C may hold more than their attributes.
        written_in_c = [base for base in kind.__mro__[:-1] if not base.__flags__ & _HEAP_TYPE]
        if (slots or hasattr(value, "__dict__")) and all(base in _ATOMS for base in written_in_c):
            self._visit_attributes(value)
        else:
            self._unreadable(f"an object of the class {kind.__module__}.{kind.__qualname__}")

    def _visit_attributes(self, value: Any) -> None:
        self._write("object", self._kind(type(value)))
        for name, item in attributes_of(value):
            self._write(name, self._token(item))

    def _visit_mapping(self, value: Any) -> None:
        self._write("dict", self._kind(type(value)), len(value))
        for name, item in value.items():
            self._write(self._token(name), self._token(item))
        self._visit_attributes_of_collection(value)

    def _visit_sequence(self, value: Any) -> None:
        self._write("list", self._kind(type(value)), [self._token(item) for item in value])
        self._visit_attributes_of_collection(value)

    def _visit_set(self, value: Any) -> None:
        # The order of sets of objects differs between processes and trials.
        if not all(item is None or type(item) in _ATOMS for item in value):
            self._unreadable(f"a set of objects ({value!r:.60})")
        self._write("set", sorted(repr(item) for item in value))
        self._visit_attributes_of_collection(value)

    def _visit_attributes_of_collection(self, value: Any) -> None:
        # A library's collections hold only bookkeeping there.
        if library_of(type(value)) not in {*_LIBRARIES, "builtins", "collections"}:
            self._visit_attributes(value)

    def _visit_array(self, value: Any) -> None:
        array = np.asarray(value)
        if array.dtype.hasobject:
            self._unreadable("an array of objects")
        self._write("array", array.dtype.str, array.shape)
        self._digest.update(np.ascontiguousarray(array).tobytes())

    def _visit_builtin(self, value: Any) -> None:
        owner = getattr(value, "__self__", None)
        if owner is not None and not isinstance(owner, types.ModuleType | type):
            self._write("method of", self._token(owner))
        self._write("builtin", getattr(value, "__qualname__", value.__name__))

    def _kind(self, kind: type) -> object:
        """Returns the representation of a class: a library's name, else its content."""
        name = (kind.__module__, kind.__qualname__)
        return name if self._goes_by_name(kind) else self._token(kind)

    def _visit_type(self, kind: type) -> None:
        self._write("type", kind.__module__, kind.__qualname__)
        if self._goes_by_name(kind):
            return
        self.of_libraries = False
        self._write(*(self._token(base) for base in kind.__mro__[1:]))
        for name, item in vars(kind).items():
            if name in ("__dict__", "__weakref__", "__doc__", "__abstractmethods__", "_abc_impl"):
                continue
            if isinstance(item, types.MemberDescriptorType | types.GetSetDescriptorType):
                continue
            self._write(name, self._token(item))

    def _visit_function(self, function: types.FunctionType) -> None:
        self._write("function", function.__module__, function.__qualname__)
        if self._goes_by_name(function):
            return
        self.of_libraries &= _is_library(function.__module__ or "")
        parts = (function.__defaults__, function.__kwdefaults__, function.__closure__)
        self._write(self._token(function.__code__), *(self._token(part) for part in parts))
        # Attributes of the function itself.
        self._write(sorted(function.__dict__), [self._token(v) for v in function.__dict__.values()])
        reads, values = reads_of(function.__code__), function.__globals__
        self._note(function.__name__, reads)
        seen: set[str] = set()
        for name in reads.globals:
            if name in values:
                self._write(name)
                self._visit_global(values[name], reads, seen)
        for name in reads.modules(values.get("__package__")):
            module = sys.modules.get(name)
            # A module that is not loaded yet makes the key unique; the next trial finds it loaded.
            self._write("import", name, module is not None)
            if module is not None:
                self._visit_global(module, reads, seen)
        why = reads.unknown(values)
        if why:
            self._unreadable(why)

    def _visit_global(self, value: Any, reads: Reads, seen: set[str]) -> None:
        self._write(self._token(value))
        if not isinstance(value, types.ModuleType) or _is_library(value.__name__):
            return
        if value.__name__ in seen:
            return
        seen.add(value.__name__)
        # A user's own module: the names that the function may read.
        names = sorted(vars(value)) if reads.by_any_name else reads.attributes
        for name in names:
            if name in vars(value) and not (reads.by_any_name and name.startswith("__")):
                self._write(name)
                self._visit_global(vars(value)[name], reads, seen)

    def _visit_code(self, code: types.CodeType) -> None:
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        counts = (code.co_argcount, code.co_kwonlyargcount, code.co_flags)
        self._write("code", code.co_code, code.co_exceptiontable, names, counts)
        self._write([self._token(constant) for constant in code.co_consts])

    def _visit_cell(self, cell: types.CellType) -> None:
        try:
            self._write("cell", self._token(cell.cell_contents))
        except ValueError:
            self._write("empty cell")


_VISITORS: tuple[tuple[Any, Callable[[Fingerprint, Any], None]], ...] = (
    (dict | types.MappingProxyType, Fingerprint._visit_mapping),
    (list | tuple | deque, Fingerprint._visit_sequence),
    (set | frozenset, Fingerprint._visit_set),
    (types.FunctionType, Fingerprint._visit_function),
    (types.CodeType, Fingerprint._visit_code),
    (type, Fingerprint._visit_type),
    (types.CellType, Fingerprint._visit_cell),
    (np.ndarray | np.generic, Fingerprint._visit_array),
    (types.BuiltinFunctionType | types.MethodDescriptorType | np.ufunc, Fingerprint._visit_builtin),
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


def library_of(thing: Any) -> str:
    """Returns the top name of the module that a class or function is from."""
    return str(getattr(thing, "__module__", "") or "").partition(".")[0]


def _is_library(module: str) -> bool:
    name = module.partition(".")[0]
    return name in _LIBRARIES or (name in sys.stdlib_module_names and name != "__main__")


def _is_of_library(thing: Any) -> bool:
    """Returns whether a class or a function is a library's under its name."""
    module = getattr(thing, "__module__", "") or ""
    if not _is_library(module) and module != "builtins":
        return False
    found: Any = sys.modules.get(module)
    for name in thing.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is thing
