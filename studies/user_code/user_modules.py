"""A study's own modules: those that its file imports from its folder or repository.

The imports in each file are read, also those within functions and branches. So the same files give
the same modules in every process. Imports by computed names are not found. Texts of the modules are
recorded, and can be imported instead of the files. The git commit of the code is recorded too.
"""

from __future__ import annotations

import ast
import linecache
import os
import pkgutil
import shutil
import subprocess
import sys
import sysconfig
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path, PurePath
from types import ModuleType
from typing import Any, NamedTuple

from studies.user_code.package_name_clashes import NAMES, places_of
from studies.user_code.user_errors import LIBRARIES, is_ours
from tracking.records import CodeDescription

# The folders of Python's own modules. A repository, e.g. a home folder, may contain them.
_PYTHONS = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")]
_BY_NAME = ("import_module", "__import__")


class _Found(NamedTuple):
    """A module's file, and the package from which its relative imports start."""

    file: Path
    package: str


def own_modules(
    path: Path, source: str, package: str = "", texts: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Returns the texts of a study's own modules, by their paths from its folder.

    Own modules are in the file's folder or its repository, but in no virtual environment or
    site-packages there. The file's imports must have run, or be on the path. For a notebook, `path`
    is a file in its folder that need not exist. `texts`, by file, replace those in the files.
    """
    roots = _roots(path)
    replacements = {os.path.realpath(file): text for file, text in (texts or {}).items()}
    own: dict[str, str] = {}
    foreign: set[str] = set()
    waiting = [(source, package)]
    while waiting:
        for name in imported_names(*waiting.pop()):
            if name.partition(".")[0] in foreign:
                continue
            modules = [(_own_place(m.file, roots, path), m) for m in _resolved(name, path.parent)]
            if modules and name not in NAMES and all(place is None for place, _ in modules):
                # It is a library, so skip its modules.
                foreign.add(name)
            for place, module in modules:
                text = None
                if place not in own:
                    text = replacements.get(os.path.realpath(module.file)) or _text(module.file)
                if place is not None and text is not None:
                    own[place] = text
                    waiting.append((text, module.package))
    return dict(sorted(own.items()))


def imported_names(source: str, package: str = "", *, parents: bool = True) -> list[str]:
    """Returns the names of modules that a text may import, parents first.

    Relative imports start from `package`. A text that does not parse imports nothing.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    names: dict[str, None] = {}

    def add(name: str) -> None:
        parts = name.split(".")
        first = 0 if parents else len(parts) - 1
        names.update(dict.fromkeys(".".join(parts[: i + 1]) for i in range(first, len(parts))))

    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                add(alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level]
            base = ".".join(
                [*(above if node.level else []), *([node.module] if node.module else [])]
            )
            add(base)
            for alias in node.names:
                # The name may be a module of that package.
                add(f"{base}.{alias.name}".strip("."))
        elif isinstance(node, ast.Call) and node.args:
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            argument = getattr(node.args[0], "value", None)
            if called in _BY_NAME and isinstance(argument, str) and argument and argument[0] != ".":
                add(argument)
    return [name for name in names if name]


def imported_modules(folder: Path) -> dict[str, str]:
    """Returns the texts of a notebook's own modules that this process has imported.

    Any cell may have imported them, and the text of other cells is unknown here.
    """
    notebook = folder / "notebook.ipynb"
    roots = _roots(notebook)
    texts: dict[str, str] = {}
    for module in tuple(sys.modules.values()):
        file = getattr(module, "__file__", None) or ""
        if not file.endswith(".py") or any(library in file for library in LIBRARIES):
            continue
        place, text = _own_place(Path(file), roots, notebook), _text(Path(file))
        if place is not None and text is not None:
            texts[place] = text
    return dict(sorted(texts.items()))


def _resolved(name: str, folder: Path) -> Iterator[_Found]:
    """Yields the files that a module was imported from, or that an import would run."""
    parent, _, _ = name.rpartition(".")
    # A user's module may have the name of one of ours.
    for place in places_of(name):
        theirs = place / "__init__.py" if place.is_dir() else place
        if theirs.is_file():
            yield _Found(theirs, name if place.is_dir() else parent)
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
        yield _Found(Path(file), name if is_package else parent)


def _search(name: str, folder: Path) -> tuple[Path | None, list[str]]:
    """Finds a module without importing it or its packages.

    Returns its file, if it has one, and the folders of its modules, if it is a package.
    """
    parent = name.rpartition(".")[0]
    places: list[str] = [*sys.path, str(folder)]
    if parent:
        loaded = sys.modules.get(parent)
        within = _search(parent, folder)[1] if loaded is None else getattr(loaded, "__path__", ())
        places = [*within, *map(str, places_of(parent))]
    namespace: list[str] = []
    for place in places:
        # `PathFinder` would need the parents of namespace packages to be imported.
        finder: Any = pkgutil.get_importer(place)
        spec = None if finder is None else finder.find_spec(name)
        if spec is not None and spec.loader is not None:
            file = None if spec.origin is None else Path(spec.origin)
            return file, list(spec.submodule_search_locations or ())
        namespace += [] if spec is None else spec.submodule_search_locations or ()
    return None, namespace


class _Roots(NamedTuple):
    """A study's folder, and the roots of its own modules: that folder and its repository."""

    folder: Path
    roots: list[Path]


def _roots(path: Path) -> list[_Roots]:
    pairs = []
    for file in (Path(os.path.abspath(path)), path.resolve()):
        repository = next((p for p in file.parents if (p / ".git").exists()), None)
        roots = [file.parent, *([] if repository is None else [repository])]
        pairs.append(_Roots(file.parent, roots))
    return pairs


def _own_place(file: Path, roots: Sequence[_Roots], path: Path) -> str | None:
    """Returns a file's path from the study's folder, or None if it is not the study's own."""
    resolved = file.resolve()
    if file.suffix != ".py" or is_ours(resolved) or resolved == path.resolve():
        return None
    if any(resolved.is_relative_to(place) for place in _PYTHONS):
        return None
    # A link's own place comes first.
    for each in (Path(os.path.abspath(file)), resolved):
        for folder, own in roots:
            if any(each.is_relative_to(r) and not _is_installed(each, r) for r in own):
                return PurePath(os.path.relpath(each, folder)).as_posix()
    return None


def _is_installed(file: Path, root: Path) -> bool:
    below = file.relative_to(root).parts[:-1]
    if any(part in LIBRARIES for part in below):
        return True
    folders = (root.joinpath(*below[: i + 1]) for i in range(len(below)))
    return any((f / "pyvenv.cfg").is_file() or (f / "conda-meta").is_dir() for f in folders)


def _text(file: Path) -> str | None:
    try:
        with tokenize.open(file) as stream:
            return stream.read()
    except (OSError, SyntaxError, UnicodeDecodeError):
        return None


def place_of(path: Path, place: str) -> Path:
    """Returns the file of a path that `own_modules` returned."""
    by_name = Path(os.path.normpath(path.parent / place))
    by_link = Path(os.path.normpath(path.resolve().parent / place))
    return by_link if by_link.is_file() and not by_name.is_file() else by_name


def text_of(path: Path, place: str) -> str | None:
    """Returns the present text of a file that `own_modules` found, or None."""
    return _text(place_of(path, place))


def import_texts(texts: Mapping[str, str]) -> None:
    """Makes imports run these texts instead of the files, which need not exist."""
    if texts:
        sys.meta_path.insert(0, _Finder(texts))


class _Finder(MetaPathFinder):
    """Finds a module where Python does, and makes it run its recorded text."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = {os.path.realpath(file): text for file, text in texts.items()}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
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
                namespace = ModuleSpec(fullname, None, is_package=True)
                namespace.submodule_search_locations = [str(Path(entry, tail))]
                return namespace
        return None

    def _is_namespace(self, folder: Path) -> bool:
        """Returns whether there are recorded texts for files in a folder, which need not exist."""
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
    """Runs a text as if it were in its file. Compiled files are not used."""

    def __init__(self, file: str, text: str) -> None:
        self._file, self._text = file, text
        # AutoGraph reads a function's text from this cache.
        linecache.cache[file] = (len(text), None, text.splitlines(True), file)

    def get_filename(self, fullname: str) -> str:
        return self._file

    def get_data(self, path: str) -> bytes:
        return self._text.encode()


# git takes up to two seconds in a repository of a hundred thousand files.
_SECONDS = 10.0


def commit_of(code: CodeDescription) -> dict[str, str]:
    """Returns the commit of a study's code, and whether the code is dirty, if known.

    The code is dirty if a tracked file has changed, or if one of the study's own files is not
    tracked. Other untracked files, such as a store, don't count.
    """
    unknown = {"commit": "", "dirty": ""}
    path = Path(code.path or Path(code.folder or ".") / "notebook")
    git = shutil.which("git")
    if git is None or not path.parent.is_dir():
        return unknown
    files = [str(path)] if code.path else []
    files += [str(place_of(path, place)) for place in code.modules or {}]
    commit = _asked(git, path.parent, "rev-parse", "HEAD")
    if not commit:
        return unknown
    changed = _asked(git, path.parent, "status", "--porcelain", "--untracked-files=no")
    if not changed and files:
        tracked = _asked(git, path.parent, "ls-files", "--error-unmatch", "--", *files)
        changed = "untracked" if tracked is None else ""
    return {"commit": commit.strip(), "dirty": "false" if changed == "" else "true"}


def _asked(git: str, folder: Path, *arguments: str) -> str | None:
    # A repository's `core.fsmonitor` may name a program, which git would run.
    command = [git, "-c", "core.fsmonitor=false", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
