"""Finds the kind of an error in a user's code, and describes it with the line of the code."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from pathlib import Path

from studies.error_texts import describe
from studies.user_code.user_modules import is_users

# TensorFlow's messages name lines of code in this form.
_PLACE = re.compile(r'File "([^"]+)", line (\d+)')
# Errors of Python and of TensorFlow, by name, because this module does not import TensorFlow.
_OUT_OF_MEMORY = {"MemoryError", "ResourceExhaustedError"}


def explain(error: BaseException) -> str:
    """Returns e.g. "ValueError: too wide (my_study.py, line 12)".

    If the error has causes, the innermost cause follows.
    """
    errors = list(_chain(error))
    text, innermost = describe(error), describe(errors[-1])
    if innermost != text:
        text = f"{text}, caused by {innermost}"
    place = next(filter(None, map(_place_of, reversed(errors))), "")
    return f"{text} ({place})" if place else text


def out_of_memory(error: BaseException) -> bool:
    """Returns whether an error, or a cause of it, means that there was no memory left."""
    kinds = {kind.__name__ for cause in _chain(error) for kind in type(cause).__mro__}
    return not _OUT_OF_MEMORY.isdisjoint(kinds)


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
    ids: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in ids:
        ids.add(id(following))
        yield following
        hidden = following.__suppress_context__
        following = following.__cause__ or (None if hidden else following.__context__)


def _place_of(error: BaseException) -> str:
    """Returns the innermost line of the user's code in the traceback, or an empty text."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [(frame.filename, str(frame.lineno or 0)) for frame in frames]
    # If AutoGraph rewrote the function, or a graph was running, only the error's message names the
    # user's line, and the traceback does not.
    places += _PLACE.findall(str(error))
    texts = [f"{Path(file).name}, line {line}" for file, line in places if is_users(file)]
    return texts[-1] if texts else ""
