"""Lets a user have packages with the names of ours: `search_spaces`, `studies`, `tracking`.

In `sys.modules`, these names are ours, whatever is on the path. A user's package of the same name
is searched after ours:

- Its modules can be imported from the package, unless ours has a module of the same name.
- Names that our package lacks are looked up in the user's ``__init__.py``.

The same holds for modules, such as ``studies/data.py``. If both define a name, ours is imported,
with a warning.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, Final

NAMES: Final = ("search_spaces", "studies", "tracking")
OURS: Final = Path(__file__).resolve().parents[2]
_ABSENT: Final = object()

# The user's folders and files that have the name of a module of ours, by this name.
_theirs: Final[dict[str, list[Path]]] = {}
# The modules that have run from these files, by file.
_loaded: Final[dict[Path, ModuleType]] = {}
# The entries of `sys.path` that have been searched.
_looked_into: Final[set[str]] = set()


def give_way() -> None:
    """Makes a user's packages that are named like ours importable, once they are on the path."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    for name in NAMES:
        _let_in(sys.modules[name])


def add_packages_of(root: Path) -> None:
    """Makes a folder's packages that are named like ours importable.

    Packages of another installation of kerastudy are left out.
    """
    if not (root / "studies" / "user_code" / Path(__file__).name).is_file():
        for name in NAMES:
            if (root / name).is_dir():
                _add(name, root / name)


def places_of(name: str) -> list[Path]:
    """Returns the user's folders and files with the name of a module of ours."""
    if name.partition(".")[0] in NAMES:
        _follow_path()
    return list(_theirs.get(name, ()))


def put_behind(imported: Mapping[str, ModuleType]) -> None:
    """Lets in the user's modules that were imported before ours took their names."""
    for name, module in imported.items():
        origin = None if module.__spec__ is None else module.__spec__.origin
        if not _is_ours(name):
            sys.modules[name] = module
        elif origin is not None:
            _loaded[Path(origin).absolute()] = module
    for name in NAMES:
        for folder in getattr(imported.get(name), "__path__", ()):
            _add(name, Path(folder).absolute())


def _add(name: str, place: Path) -> None:
    if place in _theirs.get(name, ()) or place.resolve() == _place_of_ours(name):
        return
    _theirs.setdefault(name, []).append(place)
    if name in sys.modules:
        _let_in(sys.modules[name])
    for submodule in _submodules_of_ours(name) if place.is_dir() else ():
        for theirs in (place / submodule, place / f"{submodule}.py"):
            if theirs.exists():
                _add(f"{name}.{submodule}", theirs)


class _Finder(MetaPathFinder):
    """Finds modules of a package that both the user and we have."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns the spec of our module or, if we have none, of the user's."""
        package, _, _ = fullname.rpartition(".")
        if package in NAMES:
            _follow_path()
        if package not in _theirs:
            return None
        ours = PathFinder.find_spec(fullname, [str(_place_of_ours(package))])
        if ours is not None:
            if fullname in _theirs and ours.loader is not None:
                run = ours.loader.exec_module

                def run_and_let_in(module: ModuleType) -> None:
                    run(module)
                    _let_in(module)

                # Each spec has its own loader, so no other import changes.
                ours.loader.exec_module = run_and_let_in  # type: ignore[method-assign]
            return ours
        # In Python, a package runs before its modules.
        for _ in _modules(package):
            pass
        folders = [str(place) for place in _theirs[package] if place.is_dir()]
        return PathFinder.find_spec(fullname, folders)


class _Shared(ModuleType):
    """A module of ours that also has the names that only the user's module defines."""

    def __getattr__(self, name: str) -> Any:
        dunder = name.startswith("__") and name.endswith("__")
        # For a module of ours this raises, so that Python imports it.
        if not dunder and not _is_ours(f"{self.__name__}.{name}"):
            for theirs in _modules(self.__name__):
                value = getattr(theirs, name, _ABSENT)
                if value is not _ABSENT:
                    return value
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __setattr__(self, name: str, value: object) -> None:
        """Sets a name.

        Python sets an imported module on its package. A user's module is set on the user's package.
        """
        if isinstance(value, ModuleType) and not _is_ours(f"{self.__name__}.{name}"):
            file = Path(getattr(value, "__file__", None) or "")
            for place in _theirs.get(self.__name__, ()):
                package = _loaded.get(place / "__init__.py")
                if package is not None and file.is_relative_to(place):
                    setattr(package, name, value)
                    return
        super().__setattr__(name, value)


def _let_in(module: ModuleType) -> None:
    """Adds to our module the names that only the user's module defines."""
    module.__class__ = _Shared
    if not hasattr(module, "__path__"):
        # The user's may be a package, and importing from it needs a path. Ours has no modules.
        module.__path__ = []


def _modules(name: str) -> Iterator[ModuleType]:
    """Yields the user's modules with this name. Runs those that have not run yet."""
    _follow_path()
    for place in _theirs.get(name, ()):
        file = place / "__init__.py" if place.is_dir() else place
        if file not in _loaded and file.is_file():
            _run(name, file)
        if file in _loaded:
            yield _loaded[file]


def _follow_path() -> None:
    for entry in sys.path:
        if entry not in _looked_into:
            _looked_into.add(entry)
            # An empty entry means the current folder.
            add_packages_of(Path(entry or ".").absolute())


def _run(name: str, file: Path) -> None:
    folder = [str(file.parent)] if file.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=folder)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Modules of the package may import it while it runs.
    _loaded[file] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del _loaded[file]
        raise
    both = [
        each
        for each, value in vars(module).items()
        if not each.startswith("_")
        and (_is_ours(f"{name}.{each}") or each in vars(sys.modules[name]))
        and getattr(sys.modules[name], each, None) is not value
    ]
    if both:
        warnings.warn(
            f"{str(file)!r} and kerastudy's own package {name!r} both define "
            f"{', '.join(sorted(both))}: by the name {name!r}, kerastudy's are imported. Rename "
            "yours, or import them from another module.",
            stacklevel=2,
        )


def _is_ours(name: str) -> bool:
    place = _place_of_ours(name)
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def _place_of_ours(name: str) -> Path:
    """Returns the path of our package's folder, or of our module without its suffix."""
    return OURS.joinpath(*name.split("."))


def _submodules_of_ours(name: str) -> list[str]:
    folder = _place_of_ours(name)
    names = (entry.stem for entry in (folder.iterdir() if folder.is_dir() else ()))
    return [each for each in names if each != "__init__" and _is_ours(f"{name}.{each}")]
