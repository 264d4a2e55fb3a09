"""From a target on the command line to a study.

A target is a catalog name (``digits``), a file (``my_study.py``), or a file and the name of the
variable in it (``my_study.py:wide``). Files are loaded by their path, under a module name of ours,
so that a user's ``studies/`` folder and ours don't collide.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import linecache
import os
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from search_spaces.errors import StudyFileError
from search_spaces.suggestions import suggestion
from studies.catalog import COURSE
from studies.definition.study_definition import StudyDefinition
from studies.user_code.causes import builder_function
from studies.user_code.optuna_scripts import (
    is_objective,
    objectives_of,
    optimizing_nothing,
    study_of,
)
from studies.user_code.own_modules import names_used, own_modules, place_of
from studies.user_code.recorded_modules import import_texts
from studies.user_code.same_names import add_packages_of
from studies.user_code.self_launching import Loading, StudyLaunched, loading
from tracking.records import CodeDescription

_CATALOG = Path(__file__).parents[1] / "catalog"
_HINTS = {
    ".ipynb": " Launch a notebook's study in the notebook: study.launch().",
    ".npz": " Give data by --data: kerastudy {command} TARGET --data FILE.npz.",
    ".csv": " Give data by --data: kerastudy {command} TARGET --data FILE.csv --target COLUMN.",
}


@dataclass(frozen=True)
class Target:
    """Where a study is defined.

    Attributes:
        path: The file; it need not exist if ``source`` is given.
        variable: The variable that holds the study, or empty to find it.
        source: Recorded text to run instead of the file's.
        study_name: Which study to take if there are several and ``variable`` is empty.
        modules: Recorded texts to run instead of the modules' present ones, by their files.
    """

    path: str
    variable: str = ""
    source: str | None = None
    study_name: str = ""
    modules: Mapping[str, str] = field(default_factory=dict)


def catalog_names() -> list[str]:
    """Returns the names of the ready studies, in the order of the course."""
    return [name for names in catalog_chapters().values() for name in names]


def catalog_chapters() -> dict[str, list[str]]:
    """Returns the names of the ready studies by chapter; those of none come last."""
    files = {f.stem.replace("_", "-") for f in _CATALOG.glob("*.py") if f.stem[0] != "_"}
    found = {
        chapter: [name for name in names if name in files] for chapter, names in COURSE.items()
    }
    found["More"] = sorted(files.difference(*found.values()))
    return {chapter: names for chapter, names in found.items() if names}


def catalog_questions() -> dict[str, str]:
    """Returns what each ready study asks: the first line of its docstring. Nothing is imported."""
    found = {}
    for name in catalog_names():
        text = (_CATALOG / f"{name.replace('-', '_')}.py").read_text(encoding="utf-8")
        found[name] = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    return found


def resolve_target(text: str, command: str = "launch") -> Target:
    """Finds what a target names, without running anything.

    Args:
        text: The target.
        command: The user's, for messages.

    Raises:
        StudyFileError: There is no such file or catalog name.
    """
    if text in catalog_names():
        return Target(str(_CATALOG / f"{text.replace('-', '_')}.py"))
    path, variable = _split(text)
    file = Path(path).expanduser()
    if file.suffix == ".py" and file.is_file():
        return Target(str(file.absolute()), variable)
    raise StudyFileError(_no_target(text, path, file, command))


_A_TARGET = "A target is a Python file (my_study.py, my_study.py:variable) or a catalog name."


def _no_target(text: str, path: str, file: Path, command: str) -> str:
    """Returns why there is no such target, and what the user may mean."""
    hint = _HINTS.get(file.suffix.lower(), "").format(command=command)
    if not text:
        return f"The target is empty. {_A_TARGET}"
    if file.is_dir():
        studies = sorted(each.name for each in file.glob("*.py") if _defines_studies(each))
        example = f", such as {os.path.join(path, studies[0])}" if studies else ""
        return f"{path!r} is a folder. {_A_TARGET} Name a file in the folder{example}."
    if file.is_file():
        return f"{path!r} is no Python file, so it is not run. {_A_TARGET}{hint}"
    python_file = file.with_name(f"{file.name}.py")
    if python_file.is_file():
        return f"There is no file {path!r}. Did you mean {str(python_file)!r}?"
    if not file.suffix and os.sep not in path:
        known = suggestion(text, catalog_names())
        return f"There is no study {text!r} in the catalog, and no such file. {known}"
    # Without the ending, which all files share.
    neighbours = [each.stem for each in file.parent.glob("*.py")] if file.parent.is_dir() else []
    near = get_close_matches(file.stem, neighbours, n=1, cutoff=0.7)
    meant = f" Did you mean {str(file.with_name(near[0] + '.py'))!r}?" if near else ""
    return f"There is no study file {path!r}.{meant} {_A_TARGET}{hint}"


def what_is_loaded(target: Target) -> str:
    """Returns the message to show while TensorFlow and the target are loaded."""
    path = Path(target.path)
    if path.parent == _CATALOG:
        return f"loading TensorFlow and {path.stem.replace('_', '-')}"
    here = Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    return f"loading TensorFlow and {shown}"


def load_study(target: Target) -> tuple[StudyDefinition, CodeDescription]:
    """Runs a study file and returns its study.

    Raises StudyFileError if the file does not parse, raises, or has no study; or several, and the
    target does not name one.
    """
    path, target = Path(target.path), with_source(target)
    source = target.source
    assert source is not None
    file = _run(path, source, target)
    study, variable = _find(file, target, source)
    modules = own_modules(path, source, file.module.__package__ or "", target.modules)
    return study, CodeDescription.of(
        str(path), variable, source, modules, study_name=study.name, folder=os.getcwd()
    )


def with_source(target: Target) -> Target:
    """Returns a target with the present text of its file, if it has none yet."""
    if target.source is not None:
        return target
    try:
        return replace(target, source=Path(target.path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise StudyFileError(f"The study file {target.path!r} cannot be read: {error}") from None


def with_modules(target: Target) -> Target:
    """Returns a target with the present texts of its file and of its own modules.

    So it can be loaded where these files do not exist.
    """
    target, path = with_source(target), Path(target.path)
    assert target.source is not None
    found = own_modules(path, target.source, _package_of(path), target.modules)
    texts = {str(place_of(path, place)): text for place, text in found.items()}
    return replace(target, modules={**texts, **target.modules})


def describe_code(study: StudyDefinition, defined_name: str) -> CodeDescription:
    """Returns the code of a study that was made in this process.

    It is its file's text; in a notebook, that of the cell that defines its builder. The study may
    be launched under another name than the defined one.
    """
    function = builder_function(study.build)
    try:
        path = Path(inspect.getsourcefile(function) or "")
    except (TypeError, OSError):
        path = Path()
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    # The script that launches is where the study is defined, even if it imports its builder.
    if main and Path(main).suffix == ".py" and _defines_studies(Path(main)):
        path = Path(main)
    if path.is_file():
        source, place = path.read_text(encoding="utf-8"), str(path.absolute())
        modules = own_modules(Path(place), source)
    else:
        source, place = _cell_of(function), ""
        # Cells of a notebook share imports.
        imports = "".join(f"import {name}\n" for name in names_used(function))
        modules = own_modules(Path.cwd() / "notebook.ipynb", f"{imports}{source}")
    return CodeDescription.of(
        place, "", source, modules, study_name=defined_name, folder=os.getcwd()
    )


def _cell_of(function: Any) -> str:
    """Returns the text of the notebook's cell that a function is defined in, or an empty text."""
    try:
        return "".join(inspect.findsource(function)[0])
    except (TypeError, OSError):
        return ""


def _defines_studies(path: Path) -> bool:
    return path.is_file() and "Study(" in path.read_text(encoding="utf-8", errors="replace")


def _split(text: str) -> tuple[str, str]:
    path, colon, variable = text.rpartition(":")
    # "C:\studies\mine.py" has a colon that belongs to the path.
    if colon and variable.isidentifier() and not Path(text).exists():
        return path, variable
    return text, ""


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
    # For its relative imports.
    module.__package__ = _package_of(path)
    # Pickles and keras.saving look modules up by name.
    sys.modules[name] = module
    if target.source is not None:
        # Python and TensorFlow's AutoGraph read a function's text here: it must be the running one.
        linecache.cache[str(path)] = (len(source), None, source.splitlines(True), str(path))
    file = Loading(module, target.variable, target.study_name)
    try:
        import_from(path.parent)
        import_texts(target.modules)
        # The file may be in a package with the name of ours.
        add_packages_of(path.parent.parent)
        with loading(file), optimizing_nothing(module, target.variable, source):
            exec(code, module.__dict__)
    except StudyLaunched:
        pass
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise StudyFileError(_where_raised(path, error)) from None
    return file


def _where_raised(path: Path, error: BaseException) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    line = f", line {frames[-1].lineno}" if frames else ""
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"The study file {str(path)!r} raised{line}: {what}"


def import_from(folder: Path) -> None:
    """Lets a study file import modules next to it.

    The folder goes to the end of the path: a file there with the name of a module of ours or of a
    library must not replace that. If the folder has packages with the names of ours, they are found
    after ours; see `same_names`.
    """
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _package_of(path: Path) -> str:
    """Returns the package of a file, and makes it importable; empty if there is none."""
    root = path.parent
    while (root / "__init__.py").is_file() and root.name.isidentifier():
        root = root.parent
    if root == path.parent:
        return ""
    import_from(root)
    return ".".join(path.parent.relative_to(root).parts)


def _find(file: Loading, target: Target, source: str) -> tuple[StudyDefinition, str]:
    found = {
        name: value
        for name, value in vars(file.module).items()
        if isinstance(value, StudyDefinition) and not name.startswith("_")
    }
    path = target.path
    if target.variable:
        if target.variable in found:
            return found[target.variable], target.variable
        named = vars(file.module).get(target.variable)
        if is_objective(named):
            return study_of(Path(path), target.variable, named, source), target.variable
        hint = suggestion(target.variable, found) if found else "It has no study at all."
        raise StudyFileError(f"{path!r} has no study {target.variable!r}. {hint}")
    if file.launched is not None:
        names = [name for name, study in found.items() if study is file.launched]
        return file.launched, names[0] if names else ""
    if target.study_name:
        found = {n: s for n, s in found.items() if s.name == target.study_name}
    if len({id(study) for study in found.values()}) == 1:
        return next((study, name) for name, study in found.items())
    if target.study_name and not found:
        raise StudyFileError(
            f"{path!r} has no study named {target.study_name!r} at its top level, where it can be "
            "loaded from: not within a function or a main guard."
        )
    if not found:
        objectives = objectives_of(file.module)
        if objectives:
            raise StudyFileError(
                f"{path!r} has no study. If {objectives[0]} is an objective of Optuna's, name it: "
                f"{path}:{objectives[0]}."
            )
        raise StudyFileError(
            f"{path!r} has no study. Make one at the top level of the file: "
            "study = kerastudy.Study(...)."
        )
    raise StudyFileError(
        f"{path!r} has {len(found)} studies: name one, as in {path}:{next(iter(found))}. "
        f"There is: {', '.join(found)}."
    )
