"""Imports TensorFlow without output, and delays the import of slow parts of Keras."""

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
    """Imports TensorFlow without output, in a process that does not train."""
    if "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("KERAS_BACKEND", "tensorflow")
        with silenced():
            import tensorflow  # noqa: F401


@contextmanager
def silenced() -> Iterator[None]:
    """Hides the output of TensorFlow's libraries while they are loaded.

    The libraries print before they read TF_CPP_MIN_LOG_LEVEL, and they don't use `sys.stderr`. So
    this context redirects the standard error of the whole process.
    """
    sys.stderr.flush()
    try:
        stderr = os.dup(2)
    except OSError:
        # A process without a terminal may have no standard error.
        yield
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nothing)


# The packages of Keras that load slowly. Each has a public and a private name.
_LATE: Final = frozenset(
    ("keras.wrappers", "keras.src.wrappers", "keras.visualization", "keras.src.visualization")
)


def load_late() -> None:
    """Makes `import keras` delay packages that load slowly until their first use.

    Only worker processes and the command line call this function. In a user's own process, Keras is
    imported as usual.
    """
    if not any(isinstance(finder, _LateFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _LateFinder())


class _LateFinder:
    """Finds the packages in `_LATE`, and delays their execution to their first use."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in _LATE else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec
