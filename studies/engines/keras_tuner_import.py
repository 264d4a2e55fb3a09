"""Imports Keras Tuner, and so TensorFlow, into a process that does not train."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from studies.libraries.importing import silenced


def import_keras_tuner() -> None:
    """Imports Keras Tuner, once, without a trace on the terminal or in the environment.

    The environment is restored, since worker processes inherit it. TensorFlow, if it
    was not imported before, sees no GPU in this process: only workers train, and it would reserve
    their memory. Where this process trains itself, TensorFlow has been imported before.
    """
    if "keras_tuner" in sys.modules:
        return
    first = "tensorflow" not in sys.modules
    wanted = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    if "keras" not in sys.modules:
        # Keras's backend in the user's settings may not be installed.
        wanted["KERAS_BACKEND"] = "tensorflow"
    with _environment(wanted), silenced() if first else nullcontext():
        import keras_tuner  # noqa: F401
        import tensorflow as tf

        if first:
            tf.config.set_visible_devices([], "GPU")


@contextmanager
def _environment(wanted: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ[name] for name in wanted if name in os.environ}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name in wanted:
            del os.environ[name]
        os.environ.update(before)
