"""The environment that is recorded with a trial, because the trial's exact values depend on it.

The environment consists of versions, the processor and its instructions, Keras's settings, and
environment variables that TensorFlow's results depend on. Only listed variables are read, as others
may contain passwords (e.g. Terraform's ``TF_VAR_…``).
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

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
