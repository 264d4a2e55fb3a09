"""Describes errors of a user's code in one line, with the line of the user's file."""

from __future__ import annotations

import functools
import inspect
import re
import sysconfig
import traceback
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from search_spaces.errors import BuilderError
from studies.error_texts import describe
from studies.user_code.package_name_clashes import NAMES, OURS

# TensorFlow's messages name lines of code like this.
_PLACE = re.compile(r'File "([^"]+)", line (\d+)')
_CATALOG = Path(__file__).parents[1] / "catalog"
LIBRARIES: Final = frozenset(("site-packages", "dist-packages"))
"""Folders of installed packages."""
# Errors of Python and TensorFlow, by name, as this module does not import TensorFlow.
_OUT_OF_MEMORY = {"MemoryError", "ResourceExhaustedError"}


def explain(error: BaseException, build: Any = None) -> str:
    """Returns an error's message, its innermost cause, and the line of the user's code.

    An example: ``ValueError: too wide (my_study.py, line 12)``. If the traceback has no line of the
    user's code, the builder is named.
    """
    errors = list(_chain(error))
    text = describe(error)
    innermost = describe(errors[-1])
    if innermost != text:
        text = f"{text}, caused by {innermost}"
    places = [*filter(None, map(_place_of, reversed(errors))), _place_of_builder(build)]
    return f"{text} ({places[0]})" if places[0] else text


def out_of_memory(error: BaseException) -> bool:
    """Returns whether an error means that there was no memory left."""
    kinds = {kind.__name__ for each in _chain(error) for kind in type(each).__mro__}
    return not _OUT_OF_MEMORY.isdisjoint(kinds)


def is_fatal(error: BaseException) -> bool:
    """Returns whether an error is Keras Tuner's ``FatalError``, which ends a search."""
    return _is(error, "keras_tuner", "FatalError")


def fatal(error: BaseException) -> BuilderError:
    """Returns the study's error for a ``FatalError`` of Keras Tuner."""
    return BuilderError(f"The study's code ended the search: {explain(error)}.")


def gives_up_trial(error: BaseException) -> bool:
    """Returns whether an error is Keras Tuner's ``FailedTrialError``, which gives up a trial."""
    return _is(error, "keras_tuner", "FailedTrialError")


def prunes_trial(error: BaseException) -> bool:
    """Returns whether an error is Optuna's ``TrialPruned``."""
    return _is(error, "optuna", "TrialPruned")


def _is(error: BaseException, library: str, name: str) -> bool:
    return any(
        kind.__name__ == name and kind.__module__.partition(".")[0] == library
        for kind in type(error).__mro__
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yields an error and its causes, as Python shows them."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        hidden = following.__suppress_context__
        following = following.__cause__ or (None if hidden else following.__context__)


def _place_of(error: BaseException) -> str:
    """Returns the innermost line of the user's code in the traceback, or an empty text."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [(frame.filename, frame.lineno or 0) for frame in frames]
    # For functions that AutoGraph rewrote, and operations in graphs, only the message names the
    # line.
    places += [(file, int(line)) for file, line in _PLACE.findall(str(error))]
    own = [(file, line) for file, line in places if is_users(file)]
    return f"{Path(own[-1][0]).name}, line {own[-1][1]}" if own else ""


def _place_of_builder(build: Any) -> str:
    code = getattr(builder_function(build), "__code__", None)
    if code is None or not is_users(code.co_filename):
        return ""
    return f"{code.co_name} in {Path(code.co_filename).name}, line {code.co_firstlineno}"


def builder_function(build: Any) -> Any:
    """Returns the function behind a builder, which may be an object with a method."""
    while isinstance(build, functools.partial):
        build = build.func
    if inspect.isroutine(build):
        return inspect.unwrap(build)
    # Keras Tuner sets its own `build` on each HyperModel object. The class has the user's.
    return getattr(type(build), "build", None) or type(build).__call__


@cache
def is_users(file: str) -> bool:
    """Returns whether a file is a user's or the catalog's, and no library's or kerastudy's."""
    path = Path(file)
    if file.startswith("<") or path.name.startswith("__autograph_generated_file"):
        return False
    if path.is_relative_to(_CATALOG):
        return True
    libraries = [
        sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")
    ]
    return not (
        is_ours(path.resolve())
        or any(map(path.is_relative_to, libraries))
        or LIBRARIES & set(path.parts)
    )


def is_ours(file: Path) -> bool:
    """Returns whether a file is kerastudy's, the catalog's files included."""
    return file == OURS / "kerastudy.py" or any(file.is_relative_to(OURS / name) for name in NAMES)
