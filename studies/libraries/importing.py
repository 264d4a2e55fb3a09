"""Importing TensorFlow without a trace on the terminal, and Keras without parts of no use."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import Final


def import_quietly() -> None:
    """Imports TensorFlow, if it is not yet, for a process that does not train."""
    if "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("KERAS_BACKEND", "tensorflow")
        with silenced():
            import tensorflow  # noqa: F401


@contextmanager
def silenced() -> Iterator[None]:
    """Hides the output of TensorFlow's libraries while they are loaded.

    They print it before they read TF_CPP_MIN_LOG_LEVEL, and past Python's own streams.
    """
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:
        # A process without a terminal has no such stream.
        yield
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


# The packages of Keras that import them, each under all of its names.
_LATE: Final = frozenset(
    ("keras.wrappers", "keras.src.wrappers", "keras.visualization", "keras.src.visualization")
)


def load_late() -> None:
    """Makes imports of Keras leave out, until they are used, its parts that load slowly.

    For worker processes and the command line. A process of the user's imports Keras as it is.
    """
    if not any(isinstance(finder, _LateFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _LateFinder())


class _LateFinder:
    """Finds these parts of Keras as Python does, and executes them at their first use."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in _LATE else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec
