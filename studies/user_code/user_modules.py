"""Finds a study's own modules, and the git commit of its code.

Own modules are the modules that the study's file imports from its folder or its repository. They
are found by the import statements in the text of each file, also within functions and branches. So
the same files give the same modules in every process. Symbolic links are followed.

The study's record has the texts of the modules. `import_texts` makes Python import these texts in
place of the files.
"""

from __future__ import annotations

import ast
import linecache
import os
import pkgutil
import subprocess
import sys
import sysconfig
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from itertools import accumulate, chain
from pathlib import Path, PurePath
from types import CodeType, ModuleType
from typing import Any, Final, NamedTuple

from studies.user_code.package_name_clashes import NAMES, OURS, places_of
from tracking.records import CodeDescription

_CATALOG: Final = Path(__file__).parents[1] / "catalog"
_LIBRARIES: Final = frozenset(("site-packages", "dist-packages"))
# The folders of Python's own modules. They may be within the user's repository, e.g. if this is a
# home folder, but their modules are not the study's own.
_INSTALLED = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
_PYTHONS = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")]


@cache
def is_users(file: str) -> bool:
    """Returns whether a file is the user's or the catalog's, not a library's or kerastudy's."""
    path = Path(file)
    if file.startswith("<") or path.name.startswith("__autograph_generated_file"):
        return False
    if path.is_relative_to(_CATALOG):
        return True
    # A process has some thousand modules, so the checks that read no files come first.
    return not (
        _LIBRARIES & set(path.parts)
        or any(path.is_relative_to(place) for place in _INSTALLED)
        or _is_ours(path.resolve())
    )


def _is_ours(file: Path) -> bool:
    return file == OURS / "kerastudy.py" or any(file.is_relative_to(OURS / name) for name in NAMES)


class _Module(NamedTuple):
    """A module's file, and the package from which its relative imports start."""

    file: Path
    package: str


def own_modules(
    path: Path, source: str, package: str = "", texts: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Returns the texts of a study's own modules, by their paths relative to the study's folder.

    Own modules are in the folder or the repository of the file, but not in a virtual environment.
    They are found if they are loaded, or if they can be imported from a folder of `sys.path` or
    from the study's folder.

    Args:
        path: The study's file or, for a notebook, a file in its folder that need not exist.
        source: The text of the study's file.
        package: The package from which relative imports in the text start.
        texts: Recorded texts of modules, by file, which are read in place of the files.
    """
    replacements = {os.path.realpath(file): text for file, text in (texts or {}).items()}
    own: dict[str, str] = {}
    foreign: set[str] = set()
    waiting = [(source, package)]
    while waiting:
        for name in imported_names(*waiting.pop()):
            if name.partition(".")[0] in foreign:
                continue
            modules = [(_own_place(m.file, path), m) for m in _resolved(name, path.parent)]
            if modules and name not in NAMES and all(place is None for place, _ in modules):
                # The module is not the study's own, so its submodules are skipped.
                foreign.add(name)
            for place, module in modules:
                if place is None or place in own:
                    continue
                text = replacements.get(os.path.realpath(module.file)) or read_text(module.file)
                if text is not None:
                    own[place] = text
                    waiting.append((text, module.package))
    return dict(sorted(own.items()))


def imported_names(source: str, package: str = "") -> list[str]:
    """Returns the names of modules that a text may import, e.g. "a" and "a.b" for ``import a.b``.

    Relative imports start from `package`. A text that does not parse imports nothing.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level]
            base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            # An imported name may be a module of the package `base`.
            names += [base, *(f"{base}.{alias.name}".strip(".") for alias in node.names)]
    parents_first = (accumulate(name.split("."), "{}.{}".format) for name in names)
    return [name for name in dict.fromkeys(chain.from_iterable(parents_first)) if name]


def imported_modules(folder: Path) -> dict[str, str]:
    """Returns the texts of a notebook's own modules that this process has imported.

    Imports can't be read from the cells, because the text of most cells is unknown here.
    """
    notebook = folder / "notebook.ipynb"
    texts: dict[str, str] = {}
    for module in tuple(sys.modules.values()):
        file = getattr(module, "__file__", None) or ""
        if not file.endswith(".py") or any(library in file for library in _LIBRARIES):
            continue
        place, text = _own_place(Path(file), notebook), read_text(Path(file))
        if place is not None and text is not None:
            texts[place] = text
    return dict(sorted(texts.items()))


def _resolved(name: str, folder: Path) -> Iterator[_Module]:
    """Yields the files of a module.

    The files of an imported module are the files that it was imported from. If the module is not
    imported, they are the files that an import would run.
    """
    parent, _, _ = name.rpartition(".")
    # A user's module with the same name as a module of kerastudy is not in `sys.modules`.
    for place in places_of(name):
        user_file = place / "__init__.py" if place.is_dir() else place
        if user_file.is_file():
            yield _Module(user_file, name if place.is_dir() else parent)
    loaded, top = sys.modules.get(name), name.partition(".")[0]
    if loaded is not None:
        file = getattr(loaded, "__file__", None)
        is_package = hasattr(loaded, "__path__")
    elif top in sys.stdlib_module_names or top in sys.builtin_module_names:
        return
    else:
        file, within = _search(name, folder)
        is_package = bool(within)
    if file is not None:
        yield _Module(Path(file), name if is_package else parent)


def _search(name: str, folder: Path) -> tuple[Path | None, list[str]]:
    """Finds a module without importing anything.

    Returns the module's file, or None if it has none, and the folders in which its submodules are.
    The list of folders is empty if the module is no package.
    """
    parent = name.rpartition(".")[0]
    places: list[str] = [*sys.path, str(folder)]
    if parent:
        loaded = sys.modules.get(parent)
        within = _search(parent, folder)[1] if loaded is None else getattr(loaded, "__path__", ())
        places = [*within, *map(str, places_of(parent))]
    namespace: list[str] = []
    for place in places:
        # The finder of each folder is asked, because `PathFinder` finds a module in a namespace
        # package only if the parent is imported.
        finder: Any = pkgutil.get_importer(place)
        spec = None if finder is None else finder.find_spec(name)
        if spec is not None and spec.loader is not None:
            file = None if spec.origin is None else Path(spec.origin)
            return file, list(spec.submodule_search_locations or ())
        namespace += [] if spec is None else spec.submodule_search_locations or ()
    return None, namespace


def _own_place(file: Path, path: Path) -> str | None:
    """Returns a file's path relative to the study's folder; None if the study doesn't own it.

    The study owns the files in its folder and, in a Git repository, in the whole repository.
    """
    file, path = file.resolve(), path.resolve()
    if file.suffix != ".py" or _is_ours(file) or file == path:
        return None
    if any(file.is_relative_to(place) for place in _PYTHONS):
        return None
    roots = [path.parent, *[p for p in path.parents if (p / ".git").exists()][:1]]
    if any(file.is_relative_to(root) and not _is_installed(file, root) for root in roots):
        return PurePath(os.path.relpath(file, path.parent)).as_posix()
    return None


def _is_installed(file: Path, root: Path) -> bool:
    folders = [parent for parent in file.parents if parent != root and parent.is_relative_to(root)]
    return any(
        folder.name in _LIBRARIES
        or (folder / "pyvenv.cfg").is_file()
        or (folder / "conda-meta").is_dir()
        for folder in folders
    )


def read_text(file: Path) -> str | None:
    """Returns the text of a Python file, or None if it can't be read."""
    try:
        with tokenize.open(file) as stream:
            return stream.read()
    except (OSError, SyntaxError, UnicodeDecodeError):
        return None


def place_of(path: Path, place: str) -> Path:
    """Returns the file for a relative path from `own_modules`. `path` is the study's file."""
    return Path(os.path.normpath(path.resolve().parent / place))


def texts_by_file(code: CodeDescription) -> dict[str, str]:
    """Returns the texts of a study's own modules. The keys are the modules' files."""
    return {str(place_of(_file_of(code), place)): text for place, text in code.texts.items()}


def _file_of(code: CodeDescription) -> Path:
    """Returns the study's file or, for a notebook, a file in its folder that need not exist."""
    return Path(code.path or Path(code.folder or ".") / "notebook.ipynb")


def remember_text(file: str, text: str) -> None:
    """Makes tracebacks and AutoGraph read this text as the text of a file or a cell."""
    linecache.cache[file] = (len(text), None, text.splitlines(True), file)


def import_texts(texts: Mapping[str, str]) -> None:
    """Makes Python run these texts when the files to which they belong are imported.

    The keys of `texts` are the files, which need not exist.
    """
    if texts:
        sys.meta_path.insert(0, _Finder(texts))


class _Finder(MetaPathFinder):
    """Finds a module where Python does, and makes the import run the recorded text."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = {os.path.realpath(file): text for file, text in texts.items()}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        for finder in sys.meta_path:
            if isinstance(finder, _Finder):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.origin is None or os.path.realpath(spec.origin) not in self._texts:
                    return None
                is_package = spec.submodule_search_locations is not None
                return self._spec(fullname, spec.origin, is_package)
        tail = fullname.rpartition(".")[2]
        for entry in sys.path if path is None else path:
            for file in (Path(entry, tail, "__init__.py"), Path(entry, f"{tail}.py")):
                if os.path.realpath(file) in self._texts:
                    return self._spec(fullname, str(file), file.name == "__init__.py")
            if self._is_namespace(Path(entry, tail)):
                namespace = ModuleSpec(fullname, None, is_package=True)
                namespace.submodule_search_locations = [str(Path(entry, tail))]
                return namespace
        return None

    def _is_namespace(self, folder: Path) -> bool:
        """Returns whether one of the texts is of a file in `folder`. The folder need not exist."""
        inside = os.path.join(os.path.realpath(folder), "")
        return any(file.startswith(inside) for file in self._texts)

    def _spec(self, fullname: str, file: str, is_package: bool) -> ModuleSpec | None:
        loader = _TextLoader(fullname, file, self._texts[os.path.realpath(file)])
        folders = [os.path.dirname(file)] if is_package else None
        return spec_from_file_location(
            fullname, file, loader=loader, submodule_search_locations=folders
        )


class _TextLoader(SourceFileLoader):
    """Runs a text as if it were in a file. Python's compiled files (``.pyc``) are not used.

    A line of the text that names an encoding has no effect, because the text is decoded already.
    Other files of the module's package, such as its data, are read from the disk.
    """

    def __init__(self, name: str, file: str, text: str) -> None:
        super().__init__(name, file)
        self._text = text
        remember_text(file, text)

    def get_source(self, fullname: str) -> str:
        return self._text

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self._text, self.path)


def commit_of(code: CodeDescription) -> str:
    """Returns the git commit of a study's folder; empty if it is unknown, e.g. without git."""
    command = ["git", "-C", str(_file_of(code).parent), "rev-parse", "HEAD"]
    try:
        process = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return process.stdout.strip()
