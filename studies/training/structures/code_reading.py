"""What compiled Python code reads besides its arguments: globals, attributes, imports."""

from __future__ import annotations

import dis
import functools
import importlib.util
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Built-in functions by which code may reach any name, or what is outside the process.
_BY_ANY_NAME = frozenset({"getattr", "vars", "dir", "hasattr", "attrgetter"})
_OUTSIDE = {
    "globals": "looks up globals by name",
    "eval": "evaluates text",
    "exec": "runs text",
    "__import__": "imports by name",
    "open": "reads files",
}
# Attributes of the standard library's modules that do the same.
_OUTSIDE_OF = {
    ("os", "environ"): "reads the environment",
    ("os", "getenv"): "reads the environment",
    ("sys", "modules"): "looks up modules by name",
    ("importlib", "import_module"): "imports by name",
}


@dataclass(frozen=True)
class Reads:
    """What code reads, with inner functions.

    Attributes:
        globals: Names of globals and built-in functions.
        attributes: Names of attributes that it reads, and of what it imports from modules.
        imports: Imports that it makes when it runs: number of dots, module, names.
    """

    globals: tuple[str, ...]
    attributes: tuple[str, ...]
    imports: tuple[tuple[int, str, tuple[str, ...]], ...]

    @property
    def by_any_name(self) -> bool:
        """Whether it may read attributes by computed names."""
        if not _BY_ANY_NAME.isdisjoint(self.globals):
            return True
        return not {"__dict__", "attrgetter"}.isdisjoint(self.attributes)

    def unknown(self, values: Mapping[str, Any]) -> str:
        """Returns why its reads can't be known, or empty; `values` are globals by name."""
        for name in self.globals:
            if name in _OUTSIDE and name not in values:
                return f"code that {_OUTSIDE[name]}"
        imported = {name for _, name, _ in self.imports}
        modules = {
            value.__name__
            for value in map(values.get, self.globals)
            if isinstance(value, types.ModuleType)
        }
        for (module, attribute), what in _OUTSIDE_OF.items():
            if attribute in self.attributes and module in modules | imported:
                return f"code that {what}"
            # from os import environ
            value = values.get(attribute) if attribute in self.globals else None
            if value is not None and getattr(value, "__module__", "") in ("os", "importlib"):
                return f"code that {what}"
        return ""

    def modules(self, package: str | None) -> Iterator[str]:
        """Yields the modules that it may import, and the names that it imports from them."""
        for level, name, parts in self.imports:
            try:
                module = importlib.util.resolve_name("." * level + name, package)
            except ImportError:
                module = name
            yield from (module, *(f"{module}.{part}" for part in parts))


@functools.lru_cache(maxsize=10_000)
def reads_of(code: types.CodeType) -> Reads:
    """Returns what code reads."""
    names: dict[str, None] = {}
    imports: dict[tuple[int, str, tuple[str, ...]], None] = {}
    attributes: dict[str, None] = {}
    before: list[Any] = [None, None]
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            names[instruction.argval] = None
        elif instruction.opname == "IMPORT_NAME":
            level, parts = before
            imports[level or 0, instruction.argval, tuple(parts or ())] = None
            attributes.update(dict.fromkeys(instruction.argval.split(".")))
        elif instruction.argval in code.co_names:
            attributes[instruction.argval] = None
        before = [before[1], instruction.argval]
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner = reads_of(constant)
            names.update(dict.fromkeys(inner.globals))
            attributes.update(dict.fromkeys(inner.attributes))
            imports.update(dict.fromkeys(inner.imports))
    return Reads(tuple(names), tuple(attributes), tuple(imports))
