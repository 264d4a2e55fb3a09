"""The GPUs of this machine, found without TensorFlow, and their division among workers.

Written for NVIDIA's GPUs; untested on one, as there was none. Tests check the variables that a
worker gets.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

DEVICES_VARIABLE = "CUDA_VISIBLE_DEVICES"
"""CUDA reads it when TensorFlow starts: numbers or identifiers of GPUs, separated by commas."""

# NVIDIA's driver for Linux has a folder here for each GPU that this process may use.
_DRIVER = Path("/proc/driver/nvidia/gpus")
_SECONDS_TO_LIST = 10.0


def visible_gpus(environment: Mapping[str, str], driver: Path = _DRIVER) -> tuple[str, ...]:
    """Returns the GPUs that a process with this environment may use, as CUDA names them."""
    given = environment.get(DEVICES_VARIABLE)
    if given is not None:
        return _named(given)
    try:
        count = sum(1 for _ in driver.iterdir())
    except OSError:
        # No such driver; but a program may list them, as under WSL.
        count = _listed_by_program()
    return tuple(str(number) for number in range(count))


def variables_of(gpus: Sequence[str], worker: int) -> dict[str, str]:
    """Returns the GPU variables for a worker's environment: one GPU each, in turn.

    Args:
        gpus: The GPUs of the machine.
        worker: The worker's number, from 0.
    """
    return {DEVICES_VARIABLE: gpus[worker % len(gpus)]} if gpus else {}


def _named(given: str) -> tuple[str, ...]:
    """Reads `DEVICES_VARIABLE`. CUDA ignores everything after an impossible number.

    Source: https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#env-vars
    """
    names: list[str] = []
    for name in (each.strip() for each in given.split(",")):
        if not name or name.startswith("-") or name in names:
            break
        names.append(name)
    return tuple(names)


def _listed_by_program() -> int:
    program = shutil.which("nvidia-smi")
    if program is None:
        return 0
    try:
        done = subprocess.run(
            [program, "-L"], capture_output=True, text=True, timeout=_SECONDS_TO_LIST, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith("GPU ") for line in done.stdout.splitlines())
