"""Settings of TensorFlow and Keras, and the environment that is recorded with a trial.

A trial's exact values depend on both. TensorFlow is made deterministic, with a fixed number of
threads. Settings that a trial's code changes, such as `keras.config.set_floatx`, are restored
before the next trial. The recorded environment consists of versions, the processor and its
instructions, Keras's settings, and environment variables that TensorFlow's results depend on. Only
listed variables are read, as others may contain passwords (e.g. Terraform's ``TF_VAR_…``).
"""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from search_spaces.errors import StudyError
from search_spaces.texts import counted
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
            "kerastudy trains with Keras on TensorFlow, but Keras runs on "
            f"{keras.backend.backend()!r} here",
            hint="Set KERAS_BACKEND=tensorflow before Keras is imported.",
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
                f"This study runs with {counted(threads, 'thread')} per trial, but TensorFlow "
                f"has run in this process with {running}, and the number changes results. Launch "
                "before the first use of TensorFlow, or with executor='worker'. In a study's file, "
                f"call tf.config.threading.set_intra_op_parallelism_threads({threads}) first."
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


_PACKAGES = ("kerastudy", "keras", "tensorflow", "numpy", "optuna", "mlflow", "scikit-learn")
# These variables decide which instructions oneDNN uses and in which order it adds, what code XLA
# makes, and which kernels run (mostly on GPUs).
_VARIABLES = """
    TF_ENABLE_ONEDNN_OPTS ONEDNN_MAX_CPU_ISA DNNL_MAX_CPU_ISA ONEDNN_DEFAULT_FPMATH_MODE
    XLA_FLAGS TF_XLA_FLAGS
    TF_DETERMINISTIC_OPS TF_CUDNN_DETERMINISTIC TF_CUDNN_USE_AUTOTUNE TF_CONV2D_USE_FP16_ACCUMULATE
    TF_DISABLE_RZ_CHECK TF_DISABLE_SCATTER_OP_DETERMINISM
    TF_DISABLE_SEGMENT_REDUCTION_OP_DETERMINISM_EXCEPTIONS TF_ENABLE_LAYOUT_OPT
    TF_ENABLE_MAXPOOL_NANPROP TF_USE_CUBLASLT TF_USE_CUDNN_BATCHNORM_SPATIAL_PERSISTENT
    TF_USE_DEEP_CONV2D TF_USE_DETERMINISTIC_SEGMENT_REDUCTIONS TF_USE_LEGACY_KERAS
    NVIDIA_TF32_OVERRIDE CUBLAS_WORKSPACE_CONFIG
""".split()
# The prefixes of CPU instructions that decide the choice of kernels (Intel, AMD, ARM).
_INSTRUCTIONS = ("avx", "fma", "f16c", "amx", "asimd", "sve", "sme", "bf16", "i8mm", "fphp")
# The prefixes of vector instructions, the widest first.
_WIDEST = ("amx", "avx512", "avx2", "avx", "sve", "asimd")


def environment() -> dict[str, str]:
    """Returns the facts on which a trial's exact values may depend, by name."""
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {
        **versions,
        "system": platform.system(),
        "machine": platform.machine(),
        **_processor_family(),
        "keras settings": _keras_settings(),
        "variables": " ".join(f"{n}={text}" for n, text in deciding_variables().items() if text),
        "device": _device(),
    }


def deciding_variables() -> dict[str, str | None]:
    """Returns the environment variables that change results, by name. Unset variables are None."""
    return {name: os.environ.get(name) for name in _VARIABLES}


def hardware_class() -> str:
    """Returns this machine's class of hardware. In a class, equal trainings give equal bits.

    The class is the GPU's model or, without a GPU, the processor's family and widest instructions.
    """
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return _device()
    processor = _processor_family()
    instructions = processor["instructions"].split()
    widest = next((w for w in _WIDEST if any(i.startswith(w) for i in instructions)), "")
    return f"{processor['processor']} {widest}".strip()


def environment_differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Returns the differences between a recorded environment and the present one, as phrases.

    Entries that were not recorded are ignored.
    """
    return [
        f"{name} was {before[name] or 'none'} and is {now.get(name, 'not known') or 'none'}"
        for name in before
        if before[name] != now.get(name)
    ]


def _keras_settings() -> str:
    import keras

    config = keras.config
    return (
        f"backend={config.backend()} floatx={config.floatx()} epsilon={config.epsilon()} "
        f"image_data_format={config.image_data_format()} dtype_policy={config.dtype_policy().name}"
    )


def _device() -> str:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        return str(details.get("device_name", gpus[0].name))
    return _processor_facts().get("model name") or platform.processor() or platform.machine()


def _processor_family() -> dict[str, str]:
    facts = _processor_facts()
    names = ("vendor_id", "cpu family", "model", "CPU implementer", "CPU architecture", "CPU part")
    family = " ".join(f"{name} {facts[name]}" for name in names if name in facts)
    flags = (facts.get("flags") or facts.get("Features") or "").split()
    return {
        "processor": family or platform.processor(),
        "instructions": " ".join(sorted({f for f in flags if f.startswith(_INSTRUCTIONS)})),
    }


def _processor_facts() -> dict[str, str]:
    """Returns Linux's description of the first processor, or an empty dict on other systems."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    facts: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        facts.setdefault(name.strip(), value.strip())
    return facts
