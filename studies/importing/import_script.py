"""Writes a study file from a script of Keras Tuner's or Optuna's."""

from __future__ import annotations

import ast
import json
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from search_spaces.errors import StudyFileError, TrackingError
from studies.importing.excerpt import Excerpt
from studies.importing.keras_tuner_scripts import give_search
from studies.importing.optuna_scripts import give_optimization
from studies.importing.study_file import StudyFile, named
from studies.importing.watching import Search, compiled, run_to_search
from tracking.store.names import check_study_name

_MAGIC = re.compile(r"^\s*[%!]")


@dataclass(frozen=True)
class ScriptImport:
    """A study file that was made from a script.

    Attributes:
        path: The study file.
        script: The script.
        name: The study's name.
        origin: What the script used.
        notes: What is not carried over, and why.
        left_out: First lines of the script's statements that the study does not need.
        options: What to launch it with, after ``kerastudy launch FILE``.
    """

    path: Path
    script: Path
    name: str
    origin: str
    notes: tuple[str, ...]
    left_out: tuple[int, ...]
    options: str


def import_script(
    script: Path, output: Path | None, arguments: Sequence[str] = (), *, force: bool = False
) -> ScriptImport:
    """Writes a study file from a script, whose code runs up to its search.

    Args:
        script: The script, or a notebook.
        output: The study file; None: next to the script, with ``_study`` in its name.
        arguments: What the script gets on its command line.
        force: Whether to replace a file.

    Raises:
        StudyFileError: If the script can't be run or read, or does what a study can't; or if the
            file exists.
    """
    script = script.expanduser().absolute()
    place = output or script.with_name(f"{script.stem}_study.py")
    place = place.expanduser().absolute()
    if place == script:
        raise StudyFileError("The study file would replace the script: give another --output.")
    if place.is_dir() or place.suffix != ".py":
        raise StudyFileError(f"--output names a Python file. Received: {str(place)!r}.")
    if place.exists() and not force:
        raise StudyFileError(
            f"{str(place)!r} exists. Replace it with --force, or name another with --output."
        )
    source = _source(script)
    compiled(script, source)
    search = run_to_search(script, source, arguments)
    file = StudyFile(script.name, search, Excerpt(source, search), name=script.stem)
    tree = ast.parse(source)
    (give_search if search.of_keras_tuner else give_optimization)(file, tree)
    file.name = _name(file.name, script.stem)
    for each in file.excerpt.within:
        passes = "" if each.startswith("with ") else ": this is its first pass"
        file.notes.append(f"The search is within `{each}`{passes}.")
    if place.parent != script.parent:
        for name in _own_modules(script.parent):
            file.notes.append(
                f"The module {name} is next to the script, where a study file in another folder "
                "does not find it: write the study file next to it."
            )
    for line in _others(tree, search):
        file.notes.append(f"Line {line} searches too: put it first to import it.")
    text = named(file.text(), f"{shlex.quote(place.name)}{file.options}")
    compiled(place, text)
    try:
        place.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StudyFileError(f"{str(place)!r} can't be written: {error.strerror}.") from None
    return ScriptImport(
        place,
        script,
        file.name,
        file.origin,
        tuple(file.notes),
        tuple(file.excerpt.left_out()),
        file.options,
    )


def _name(wanted: str, usual: str) -> str:
    try:
        return check_study_name(wanted)
    except TrackingError:
        return usual


def _own_modules(folder: Path) -> list[str]:
    """Returns the imported modules next to a script."""
    every = {name: getattr(module, "__file__", None) for name, module in [*sys.modules.items()]}
    found = (n for n, file in every.items() if file and Path(file).parent == folder)
    return sorted(name for name in found if name != "__main__" and "_kerastudy" not in name)


def _others(tree: ast.Module, search: Search) -> list[int]:
    """Returns the lines of the script's other searches."""
    name = "search" if search.of_keras_tuner else "optimize"
    own = search.call.places[-1][0]
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == name
        if node.lineno != own
    ]


def _source(script: Path) -> str:
    """Returns a script's text; of a notebook, that of its cells without their commands."""
    if script.suffix not in (".py", ".ipynb"):
        raise StudyFileError(
            f"{str(script)!r} is no Python script or notebook, so it is not run. For a table, see "
            "kerastudy new my_study.py --data FILE."
        )
    try:
        text = script.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyFileError(f"The script {str(script)!r} cannot be read: {error}") from None
    if script.suffix != ".ipynb":
        return text
    try:
        cells = [c for c in json.loads(text)["cells"] if c["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError):
        raise StudyFileError(f"{str(script)!r} is no notebook that can be read.") from None
    found = []
    for cell in cells:
        code = "".join(cell["source"])
        if not code.startswith("%%"):
            lines = [line for line in code.splitlines() if not _MAGIC.match(line)]
            found.append("\n".join(lines))
    return "\n\n".join(found) + "\n"
