"""Settings of the whole process that affect training: Keras's, TensorFlow's, variables.

A builder may set them (`keras.mixed_precision.set_global_policy`). They would last in a worker, and
the next trial would depend on the one before it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

_remembered: Final[dict[str, Any]] = {}
# Environment variables that builders changed, with former values; None: they were not set.
_changed: Final[dict[str, str | None]] = {}


def remember() -> None:
    """Remembers the present settings as those that each trial begins with."""
    _changed.clear()
    _remembered.clear()
    _remembered.update({name: get() for name, (get, _) in _settings().items()})


def restore() -> None:
    """Restores settings that changed since `remember`; does nothing without it."""
    for name, value in _changed.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    _changed.clear()
    for name, (get, put) in _settings().items() if _remembered else ():
        if _comparable(get()) != _comparable(_remembered[name]):
            put(_remembered[name])


@contextlib.contextmanager
def keeping() -> Iterator[None]:
    """Restores all settings afterwards, for a study's code that runs within the user's own."""
    before, environment = dict(_remembered), dict(os.environ)
    remember()
    settings = dict(_remembered)
    try:
        yield
    finally:
        _remembered.update(settings)
        now = dict(os.environ)
        names = [n for n in {*environment, *now} if environment.get(n) != now.get(n)]
        _changed.update({name: environment.get(name) for name in names})
        restore()
        _remembered.clear()
        _remembered.update(before)


def present() -> tuple[tuple[str, object], ...]:
    """Returns the present settings, to compare."""
    return tuple((name, _comparable(get())) for name, (get, _) in _settings().items())


@contextlib.contextmanager
def noting_environment() -> Iterator[None]:
    """Notes which environment variables change within, for `restore`."""
    before = dict(os.environ)
    try:
        yield
    finally:
        after = dict(os.environ)
        for name in {*before, *after}:
            if before.get(name) != after.get(name):
                _changed.setdefault(name, before.get(name))


def _settings() -> Mapping[str, tuple[Callable[[], Any], Callable[[Any], None]]]:
    """Returns functions to read and to set each setting."""
    import keras
    import tensorflow as tf

    config = keras.config

    def set_flash_attention(enabled: bool | None) -> None:
        if enabled is False:
            config.disable_flash_attention()
        else:
            config.enable_flash_attention()

    return {
        "floatx": (config.floatx, config.set_floatx),
        "epsilon": (config.epsilon, config.set_epsilon),
        "image_data_format": (config.image_data_format, config.set_image_data_format),
        # After floatx, on which it depends.
        "dtype_policy": (config.dtype_policy, config.set_dtype_policy),
        "flash_attention": (config.is_flash_attention_enabled, set_flash_attention),
        "max_epochs": (config.max_epochs, config.set_max_epochs),
        "max_steps_per_epoch": (config.max_steps_per_epoch, config.set_max_steps_per_epoch),
        "functions_run_eagerly": (tf.config.functions_run_eagerly, tf.config.run_functions_eagerly),
        "jit": (tf.config.optimizer.get_jit, tf.config.optimizer.set_jit),
        "tensor_float_32": (
            tf.config.experimental.tensor_float_32_execution_enabled,
            tf.config.experimental.enable_tensor_float_32_execution,
        ),
        "soft_device_placement": (
            tf.config.get_soft_device_placement,
            tf.config.set_soft_device_placement,
        ),
    }


def _comparable(value: Any) -> object:
    """Returns a setting as a value to compare: policies are objects without equality."""
    return getattr(value, "name", value)
