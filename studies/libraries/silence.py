"""Importing TensorFlow without a trace on the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def import_quietly() -> None:
    """Imports TensorFlow, if it is not yet, for a process that does not train."""
    if "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("KERAS_BACKEND", "tensorflow")
        with silenced():
            import tensorflow  # noqa: F401


@contextmanager
def silenced() -> Iterator[None]:
    """Hides what TensorFlow's libraries print while they are loaded.

    They print it before they read TF_CPP_MIN_LOG_LEVEL, and past Python's own streams.
    """
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:
        # There is no such stream, as in a process without a terminal.
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
