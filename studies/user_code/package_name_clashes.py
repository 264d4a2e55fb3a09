"""Makes a user's packages importable even if kerastudy's packages have the same names.

kerastudy's packages are `search_spaces`, `studies` and `tracking`. `sys.modules["studies"]` is
always kerastudy's package, whatever is in `sys.path`. If a user has a package `studies`, too:

- `studies.x` is the user's module, unless kerastudy has a module of that name.
- `from studies import x` also finds the names in the user's ``studies/__init__.py``.

The same holds for a module that both packages have, such as `studies.data`. If both kerastudy and
the user define a name, imports give kerastudy's object, with a warning.
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
"""The folder of kerastudy's packages."""

# The user's folders and files that have the name of a module of kerastudy, by the module's name.
_user_places: Final[dict[str, list[Path]]] = {}
# The user's modules that have already run, by their files.
_user_modules: Final[dict[Path, ModuleType]] = {}
# The entries of `sys.path` that have already been searched for the user's packages.
_searched: Final[set[str]] = set()


def share_package_names() -> None:
    """Makes the user's packages in the folders of `sys.path` importable.

    Folders that are added to `sys.path` later are searched when they are needed.
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    for name in NAMES:
        _add_user_names(sys.modules[name])


def add_packages_of(root: Path) -> None:
    """Makes the user's packages in a folder importable.

    A folder that has another copy of kerastudy is ignored.
    """
    if not (root / "kerastudy.py").is_file():
        for name in NAMES:
            if (root / name).is_dir():
                _add_place(name, root / name)


def places_of(name: str) -> list[Path]:
    """Returns the user's folders and files that have the same name as a module of kerastudy."""
    if name.partition(".")[0] in NAMES:
        _search_path()
    return list(_user_places.get(name, ()))


def keep_imported(imported: Mapping[str, ModuleType]) -> None:
    """Keeps modules importable that the user imported before kerastudy took their names."""
    for name, module in imported.items():
        origin = None if module.__spec__ is None else module.__spec__.origin
        if not _is_ours(name):
            sys.modules[name] = module
        elif origin is not None:
            _user_modules[Path(origin).absolute()] = module
    for name in NAMES:
        for folder in getattr(imported.get(name), "__path__", ()):
            _add_place(name, Path(folder).absolute())


def _add_place(name: str, place: Path) -> None:
    if place in _user_places.get(name, ()) or place.resolve() == _place_of_ours(name):
        return
    _user_places.setdefault(name, []).append(place)
    if name in sys.modules:
        _add_user_names(sys.modules[name])
    if place.is_dir() and _place_of_ours(name).is_dir():
        for submodule in {entry.stem for entry in _place_of_ours(name).iterdir()} - {"__init__"}:
            for user_place in (place / submodule, place / f"{submodule}.py"):
                if user_place.exists() and _is_ours(f"{name}.{submodule}"):
                    _add_place(f"{name}.{submodule}", user_place)


class _Finder(MetaPathFinder):
    """Finds modules of packages that both the user and kerastudy have."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Finds a module in kerastudy's package or else in the user's, as Python's finders do."""
        package, _, _ = fullname.rpartition(".")
        if package in NAMES:
            _search_path()
        if package not in _user_places:
            return None
        ours = PathFinder.find_spec(fullname, [str(_place_of_ours(package))])
        if ours is not None:
            if fullname in _user_places and ours.loader is not None:
                run = ours.loader.exec_module

                def run_and_share(module: ModuleType) -> None:
                    run(module)
                    _add_user_names(module)

                # Each spec has a loader of its own, so this changes no other import.
                ours.loader.exec_module = run_and_share  # type: ignore[method-assign]
            return ours
        # As always in Python, the user's package runs before its modules.
        list(_modules_of(package))
        folders = [str(place) for place in _user_places[package] if place.is_dir()]
        return PathFinder.find_spec(fullname, folders)


class _SharedModule(ModuleType):
    """A module of kerastudy that also has the names in the user's module of the same name.

    If both modules define a name, kerastudy's value is used.
    """

    def __getattr__(self, name: str) -> Any:
        dunder = name.startswith("__") and name.endswith("__")
        # For `from studies import data`, this raises AttributeError, so that Python then imports
        # kerastudy's module `studies.data`.
        if not dunder and not _is_ours(f"{self.__name__}.{name}"):
            for module in _modules_of(self.__name__):
                if hasattr(module, name):
                    return getattr(module, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __setattr__(self, name: str, value: object) -> None:
        """Sets an attribute. A user's module is set in the user's package, not in this module.

        After an import, Python makes the imported module an attribute of its package.
        """
        if isinstance(value, ModuleType) and not _is_ours(f"{self.__name__}.{name}"):
            file = Path(getattr(value, "__file__", None) or "")
            for place in _user_places.get(self.__name__, ()):
                package = _user_modules.get(place / "__init__.py")
                if package is not None and file.is_relative_to(place):
                    setattr(package, name, value)
                    return
        super().__setattr__(name, value)


def _add_user_names(module: ModuleType) -> None:
    module.__class__ = _SharedModule
    if not hasattr(module, "__path__"):
        # The user's module of this name may be a package. To find its submodules, `import` needs a
        # `__path__`.
        module.__path__ = []


def _modules_of(name: str) -> Iterator[ModuleType]:
    """Yields the user's modules with this name. Runs the modules that have not run yet."""
    _search_path()
    for place in _user_places.get(name, ()):
        file = place / "__init__.py" if place.is_dir() else place
        if file not in _user_modules and file.is_file():
            _run(name, file)
        if file in _user_modules:
            yield _user_modules[file]


def _search_path() -> None:
    for entry in sys.path:
        if entry not in _searched:
            _searched.add(entry)
            # An empty entry means the current folder.
            add_packages_of(Path(entry or ".").absolute())


def _run(name: str, file: Path) -> None:
    folder = [str(file.parent)] if file.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=folder)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Note the module before it runs, because the submodules of a package may import it meanwhile.
    _user_modules[file] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del _user_modules[file]
        raise
    ours = sys.modules[name]
    both = [
        key
        for key, value in vars(module).items()
        if not key.startswith("_")
        and (_is_ours(f"{name}.{key}") or key in vars(ours))
        and getattr(ours, key, None) is not value
    ]
    if both:
        warnings.warn(
            f"{str(file)!r} and kerastudy's own package {name!r} both define "
            f"{', '.join(sorted(both))}: imports from {name!r} give kerastudy's. Rename "
            "yours, or move them to another module.",
            stacklevel=2,
        )


def _is_ours(name: str) -> bool:
    place = _place_of_ours(name)
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def _place_of_ours(name: str) -> Path:
    """Returns the path of kerastudy's package or, without the suffix `.py`, of its module."""
    return OURS.joinpath(*name.split("."))
