"""Sets and restores settings of TensorFlow and Keras.

TensorFlow is made deterministic, with a fixed number of threads. Settings that a trial's code
changes, such as `keras.config.set_floatx`, are restored before the next trial.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from search_spaces.errors import StudyError
from studies.library_internals import tensorflow_internals

# The settings that each trial begins with, by name.
_remembered: Final[dict[str, Any]] = {}


def prepare_environment(threads: int) -> None:
    """Sets environment variables that TensorFlow reads when it is imported."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Without this variable, one worker would take all memory of the GPU. This is untested, as no
    # GPU was available.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))


def configure_tensorflow(threads: int | None) -> int:
    """Makes TensorFlow deterministic and sets its number of threads. Returns the number.

    `threads` None means the number that TensorFlow already uses, or 1 if it has not run yet. Raises
    StudyError if TensorFlow has run with another number.
    """
    import keras
    import tensorflow as tf

    # TensorFlow warns that each trial traces its model again. That is intended, so hide warnings.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if keras.backend.backend() != "tensorflow":
        raise StudyError(
            "kerastudy trains with Keras on TensorFlow, and Keras runs on "
            f"{keras.backend.backend()!r} here. Set KERAS_BACKEND=tensorflow before Keras is "
            "imported."
        )
    tf.config.experimental.enable_op_determinism()
    tensorflow_internals.keep_order_of_large_sums()
    threading = tf.config.threading
    try:
        threading.set_intra_op_parallelism_threads(threads or 1)
        threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        # TensorFlow has run already, so its number of threads can't change any more. The number 0
        # means a thread for each core.
        running = threading.get_intra_op_parallelism_threads() or os.cpu_count() or 1
        if threads is not None and running != threads:
            raise StudyError(
                f"This study runs with {threads} thread(s) per trial, but TensorFlow has run in "
                f"this process with {running}, and the number changes results. Launch before the "
                "first use of TensorFlow, or with executor='worker'. In a study's file, call "
                f"tf.config.threading.set_intra_op_parallelism_threads({threads}) first."
            ) from None
        return running
    return threads or 1


def change_threads(before: int, threads: int) -> None:
    """Changes the number of threads of TensorFlow and of other libraries."""
    if threads == before:
        return
    configure_tensorflow(threads)
    # Don't change the variable if the user has set it to another number.
    if os.environ.get("OMP_NUM_THREADS") == str(before):
        from threadpoolctl import threadpool_limits

        os.environ["OMP_NUM_THREADS"] = str(threads)
        # Some libraries have read the variable already, so they need this call.
        threadpool_limits(threads)


def remember_settings() -> None:
    """Remembers the present settings, so that each later trial begins with them."""
    _remembered.clear()
    _remembered.update({name: get() for name, (get, _) in _settings().items()})


def restore_settings() -> None:
    """Restores the remembered settings if there are any."""
    for name, (get, put) in _settings().items() if _remembered else ():
        if _comparable(get()) != _comparable(_remembered[name]):
            put(_remembered[name])


def present_settings() -> tuple[tuple[str, object], ...]:
    """Returns the names and values of the present settings, in a form that can be compared."""
    return tuple((name, _comparable(get())) for name, (get, _) in _settings().items())


def _settings() -> Mapping[str, tuple[Callable[[], Any], Callable[[Any], None]]]:
    """Returns the functions that read and set each setting."""
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
        # `set_floatx` may change the dtype policy, so restore the policy after floatx.
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
    """Returns a value in a form that can be compared, e.g. the name of a dtype policy."""
    return getattr(value, "name", value)
