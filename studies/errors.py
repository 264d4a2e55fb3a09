"""What can go wrong in studies, as a tree.

StudyError                     the user can mend it; its text is one clear message
├── StudyFileError             the study file: not there, does not parse, raises, has no study
├── BuilderError               the model builder: no model, not compiled, an undeclared name
├── ObjectiveError             the objective: unknown, or its direction is
├── EngineError                the engine or pruner: unknown, or cannot serve this space
└── WorkerError                the worker process ended by itself
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class StudyError(Exception):
    """Base of the errors of studies; its text is one clear message for the user."""


class StudyFileError(StudyError):
    """The study file is not there, does not parse, raises, or has no study."""


class BuilderError(StudyError):
    """The builder returns no compiled Keras model, or reads what the space lacks."""


class ObjectiveError(StudyError, ValueError):
    """The objective is not among what the model logs, or its direction is unknown."""


class EngineError(StudyError, ValueError):
    """The engine or pruner is unknown, or cannot serve the space."""


class WorkerError(StudyError):
    """The worker process ended by itself, or could not be started.

    Attributes:
        killed: Whether it was killed, by a person or for want of memory, and did nothing wrong.
    """

    def __init__(self, message: str, *, killed: bool = False) -> None:
        super().__init__(message)
        self.killed = killed


def near_matches(name: str, known: Iterable[str]) -> str:
    """Returns " Did you mean …?" for a mistyped name, or what is known if nothing is near."""
    names = sorted(known)
    near = get_close_matches(name, names, n=3)
    if near:
        return f" Did you mean {' or '.join(map(repr, near))}?"
    return f" There is: {', '.join(map(repr, names))}."
