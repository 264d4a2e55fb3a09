"""Imports modules with their recorded texts instead of the present ones."""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType


def import_texts(texts: Mapping[str, str]) -> None:
    """Gives modules imported from now on other texts than their files, which need not exist."""
    if texts:
        sys.meta_path.insert(0, _Finder(texts))


class _Finder(MetaPathFinder):
    """Finds a module where Python does, and makes it run its recorded text."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = {os.path.realpath(file): text for file, text in texts.items()}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns the spec of a module whose text is recorded; None for all others."""
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                return self._with_text(fullname, spec)
        tail = fullname.rpartition(".")[2]
        for entry in sys.path if path is None else path:
            for file in (Path(entry, tail, "__init__.py"), Path(entry, f"{tail}.py")):
                if os.path.realpath(file) in self._texts:
                    return self._spec(fullname, str(file), file.name == "__init__.py")
            if self._is_namespace(Path(entry, tail)):
                found = ModuleSpec(fullname, None, is_package=True)
                found.submodule_search_locations = [str(Path(entry, tail))]
                return found
        return None

    def _is_namespace(self, folder: Path) -> bool:
        """Returns whether modules with recorded texts are in a folder without a file of its own."""
        inside = os.path.join(os.path.realpath(folder), "")
        return any(file.startswith(inside) for file in self._texts)

    def _with_text(self, fullname: str, spec: ModuleSpec) -> ModuleSpec | None:
        if spec.origin is None or os.path.realpath(spec.origin) not in self._texts:
            return None
        return self._spec(fullname, spec.origin, spec.submodule_search_locations is not None)

    def _spec(self, fullname: str, file: str, is_package: bool) -> ModuleSpec | None:
        loader = _TextLoader(file, self._texts[os.path.realpath(file)])
        folders = [os.path.dirname(file)] if is_package else None
        return spec_from_file_location(
            fullname, file, loader=loader, submodule_search_locations=folders
        )


class _TextLoader(SourceLoader):
    """Runs a text as if it were in its file. Python's cache of compiled files is not used."""

    def __init__(self, file: str, text: str) -> None:
        self._file, self._text = file, text
        # Where Python, and with it TensorFlow's AutoGraph, reads a function's text.
        linecache.cache[file] = (len(text), None, text.splitlines(True), file)

    def get_filename(self, fullname: str) -> str:
        """See `SourceLoader`."""
        return self._file

    def get_data(self, path: str) -> bytes:
        """See `SourceLoader`."""
        return self._text.encode()
