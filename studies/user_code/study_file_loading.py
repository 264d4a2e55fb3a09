"""Runs a study file, or a script for Keras Tuner or Optuna, to get its study.

The file runs as a module with a generated name, ``_kerastudy_study_…``, that no other module has.

Workers run the file too, and so does `reproduce`. They need the study, but must not launch it. So
loading ends where the file launches the wanted study (``study.launch()`` at the top level), or
where a script calls ``tuner.search(…)`` or ``study.optimize(…)``. Earlier launches of other studies
are skipped.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NoReturn

from search_spaces.errors import StudyFileError
from search_spaces.texts import suggestion
from studies.definition import StudyDefinition
from studies.error_texts import describe
from studies.user_code.optuna_and_keras_tuner_scripts import (
    Search,
    as_program,
    libraries_searched,
    searches_replaced,
    study_of_search,
)
from studies.user_code.package_name_clashes import add_packages_of
from studies.user_code.study_targets import Target, source_in, with_source
from studies.user_code.user_modules import (
    import_texts,
    imported_modules,
    own_modules,
    read_text,
    remember_text,
)
from tracking.records import CodeDescription

if TYPE_CHECKING:
    from tracking.history import StudyHistory


def load_study(target: Target) -> tuple[StudyDefinition, CodeDescription]:
    """Runs a study file, or a script up to its search. Returns the study and its code.

    Raises:
        StudyFileError: The file does not parse, raises an error, or has no study. Or it has several
            studies, and the target does not say which.
    """
    path, target = Path(target.path), with_source(target)
    source = target.source
    assert source is not None
    file = _run(path, source, target)
    if file.search is not None:
        variable = target.variable
        study, notes = study_of_search(path, variable, file.search)
    else:
        (study, variable), notes = _find(file, target), ()
    modules = own_modules(path, source, file.module.__package__ or "", target.modules)
    code = CodeDescription.of(
        str(path), variable, source, modules, study_name=study.name, folder=os.getcwd()
    )
    return study, replace(code, said=notes)


def describe_code(study: StudyDefinition, defined_name: str) -> CodeDescription:
    """Returns the code of a study that was made in this process.

    The code is the text of the study's file or, in a notebook, of the cell that defines the
    builder. `defined_name` is the study's name in this text. A launch may rename the study.
    """
    function = _builder_function(study.build)
    path, cell = Path(), ""
    with suppress(TypeError, OSError):
        path = Path(inspect.getsourcefile(function) or "")
        cell = "".join(inspect.findsource(function)[0])
    main = getattr(sys.modules.get("__main__"), "__file__", None) or ""
    # If the main script defines studies, the script is taken as this study's file, even if the
    # builder is imported from another file.
    if main.endswith(".py") and "Study(" in (read_text(Path(main)) or ""):
        path = Path(main)
    if path.is_file():
        source, place = source_in(path), str(path.resolve())
        modules = own_modules(Path(place), source)
    else:
        source, place = cell, ""
        modules = imported_modules(Path.cwd())
    return CodeDescription.of(
        place, "", source, modules, study_name=defined_name, folder=os.getcwd()
    )


def _builder_function(build: Any) -> Any:
    """Returns the function of a builder, which may be a `partial` or a `HyperModel`."""
    while isinstance(build, functools.partial):
        build = build.func
    if inspect.isroutine(build):
        return inspect.unwrap(build)
    # On each HyperModel object, Keras Tuner replaces the method `build` by its own. The user's
    # `build` is in the class.
    return getattr(type(build), "build", None) or type(build).__call__


def _run(path: Path, source: str, target: Target) -> Loading:
    try:
        code = compile(source, str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise StudyFileError(
            f"The study file {str(path)!r} does not parse{line}: {getattr(error, 'msg', error)}."
        ) from None
    name = f"_kerastudy_study_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    module = ModuleType(name)
    module.__file__ = str(path)
    # Relative imports in the file start from this package.
    module.__package__ = _package_of(path)
    # Pickle and `keras.saving` look modules up by name.
    sys.modules[name] = module
    # The text that runs may differ from the text in the file. Tracebacks and AutoGraph must read
    # the text that runs.
    remember_text(str(path), source)
    file = Loading(module, target.variable, target.study_name)
    _files.append(file)
    try:
        import_from(path.parent)
        import_texts(target.modules)
        # The file may be in a user's package that has the same name as a package of kerastudy.
        add_packages_of(path.parent.parent)
        libraries = libraries_searched(path, source, module.__package__ or "", target.modules)
        program = as_program(module, path) if libraries else nullcontext()
        with searches_replaced(libraries, file.on_search), program:
            exec(code, module.__dict__)
    except StudyLaunched:
        pass
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # While a script is loaded, its searches give no results, so code after a search may
        # fail. If the target names a function, `_find` raises an error that says more.
        file.fault = _where_raised(path, error)
        if file.search is None and not callable(vars(module).get(target.variable)):
            raise StudyFileError(file.fault) from None
    finally:
        _files.pop()
    return file


def _where_raised(path: Path, error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    line = f", line {lines[-1]}" if lines else ""
    return f"The study file {str(path)!r} raised{line}: {describe(error)}"


def import_from(folder: Path) -> None:
    """Lets a study file import modules from its folder.

    The folder goes to the end of `sys.path`, so that no file in the folder replaces a module of
    kerastudy or of a library.
    """
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _package_of(path: Path) -> str:
    """Returns the name of the package that a file is in, and makes the package importable.

    Returns an empty text if the file is in no package.
    """
    root = path.parent
    while (root / "__init__.py").is_file() and root.name.isidentifier():
        root = root.parent
    if root == path.parent:
        return ""
    import_from(root)
    return ".".join(path.parent.relative_to(root).parts)


def _find(file: Loading, target: Target) -> tuple[StudyDefinition, str]:
    studies = {
        name: value
        for name, value in vars(file.module).items()
        if isinstance(value, StudyDefinition) and not name.startswith("_")
    }
    path = target.path
    if target.variable:
        if target.variable in studies:
            return studies[target.variable], target.variable
        hint = suggestion(target.variable, studies) if studies else "It has no study at all."
        if callable(vars(file.module).get(target.variable)):
            hint = (
                "No search that the file reaches calls this function. If it is an objective "
                "function, make a study of it at the top level of the file: study = "
                f"kerastudy.Study({Path(path).stem!r}, objective_function={target.variable}, "
                "direction=…)."
            )
            if file.fault:
                hint += (
                    f" {file.fault}. Searches of other functions are skipped, so they have no "
                    "results."
                )
        raise StudyFileError(f"{path!r} has no study {target.variable!r}", hint=hint)
    if file.launched is not None:
        names = [name for name, study in studies.items() if study is file.launched]
        return file.launched, names[0] if names else ""
    if target.study_name:
        studies = {n: s for n, s in studies.items() if s.name == target.study_name}
    if len({id(study) for study in studies.values()}) == 1:
        return next((study, name) for name, study in studies.items())
    if studies:
        raise StudyFileError(
            f"{path!r} has {len(studies)} studies: {', '.join(studies)}",
            hint=f"Name one, such as {path}:{next(iter(studies))}.",
        )
    if target.study_name:
        raise StudyFileError(
            f"{path!r} has no study named {target.study_name!r} at its top level",
            hint="Make the study there, not within a function or a main guard.",
        )
    raise StudyFileError(
        f"{path!r} has no study",
        hint="Make one at the top level of the file: study = kerastudy.Study(...). Or launch a "
        "script that calls Keras Tuner's tuner.search(...) or Optuna's study.optimize(...).",
    )


class StudyLaunched(BaseException):
    """Ends the loading of a file at the wanted launch or search.

    This class is no `Exception`, so that ``except Exception`` in the file does not catch it.
    """


@dataclass
class Loading:
    """A file that is being loaded, and the variable or the name of the wanted study.

    If variable and name are empty, the wanted study is the first study that the file launches or,
    in a script, the study of the first search.

    Attributes:
        launched: The study whose launch ended the loading.
        search: The script's search that ended the loading.
        fault: The error that ended the loading, and its line, or empty.
    """

    module: ModuleType
    variable: str
    study_name: str
    launched: StudyDefinition | None = None
    search: Search | None = None
    fault: str = ""

    def ends_at(self, study: StudyDefinition) -> bool:
        """Returns whether loading ends at this launch of a study."""
        if self.variable:
            return self.variable in vars(self.module)
        if self.study_name in ("", study.name):
            self.launched = self.launched or study
            return True
        values = vars(self.module).values()
        return self.study_name in [v.name for v in values if isinstance(v, StudyDefinition)]

    def on_search(self, search: Search) -> None:
        """Raises StudyLaunched if this is the wanted search. Otherwise skips the search."""
        target = vars(self.module).get(self.variable)
        if self.variable and target is not search.owner and target is not search.function:
            return
        # A script that catches BaseException may search again. Only the first search counts.
        self.search = self.search or search
        raise StudyLaunched


# The files that are being loaded. A file may load another file, so the last one counts.
_files: Final[list[Loading]] = []


def launched_while_loading(study: StudyDefinition) -> StudyHistory | None:
    """Returns a stand-in for the result of a launch in a file that is being loaded.

    Returns None if no file is being loaded. Raises StudyLaunched if `study` is the wanted study.
    """
    if not _files:
        return None
    if _files[-1].ends_at(study):
        raise StudyLaunched
    goal = _files[-1].variable or _files[-1].study_name
    return _NotLaunched(study.name, goal)  # type: ignore[return-value]


class _NotLaunched:
    """The result of `launch` for a study that the file launches before the wanted study.

    This object, and its attributes, can be printed. Code that needs a value raises StudyFileError.
    """

    def __init__(self, study: str, wanted: str) -> None:
        self._refusal = (
            f"the study {study!r} has no result while its file is loaded for the study "
            f"{wanted!r}. Put code that needs the result after the launch of {wanted!r}, or into "
            "another file"
        )
        self._study = study

    def _refuse(self, *_: object) -> NoReturn:
        raise StudyFileError(self._refusal)

    def _same(self, *_: object, **__: object) -> Any:
        return self

    def __getattr__(self, name: str) -> Any:
        # Python looks up names with `__` to see which protocols an object supports. This object
        # supports only the protocols whose methods are defined below.
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __repr__(self) -> str:
        return f"<study {self._study!r}, not launched>"

    def __format__(self, _format: str) -> str:
        return repr(self)

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0

    # Scripts print sums and ratios of results, so these operators return this object.
    __call__ = __getitem__ = _same
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _same
    __truediv__ = __rtruediv__ = __neg__ = __abs__ = __round__ = _same
    # If these methods returned a value, code that branches on the value could define a wrong
    # study. So they raise an error.
    __bool__ = __float__ = __int__ = __index__ = __array__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __contains__ = _refuse
    __eq__ = _refuse
    __hash__ = None  # type: ignore[assignment]
