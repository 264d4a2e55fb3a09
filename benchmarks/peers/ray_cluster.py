"""A Ray cluster of this machine that several systems use, one after the other."""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ADDRESS_VARIABLE = "RAY_ADDRESS"
_AUTH_MODE_VARIABLE, _TOKEN_VARIABLE = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"
_SECONDS_TO_START = 120
_SECONDS_TO_CONNECT = 5.0
# `ray start --head --block` would end if the path of the environment has a space.
_HEAD = """
import sys
import ray
ray.init("local", num_cpus=int(sys.argv[1]), include_dashboard=False, _temp_dir=sys.argv[2])
print("its address:", ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class RayCluster:
    """A cluster of one node.

    Attributes:
        environment: The variables that processes need to connect to it.
        process: The process that starts all others.
        address: The head's address.
    """

    environment: Mapping[str, str]
    process: subprocess.Popen[bytes]
    address: str

    def check(self) -> None:
        """Raises RuntimeError if its head has died: its jobs might wait for ever."""
        host, _, port = self.address.rpartition(":")
        with contextlib.suppress(OSError):
            socket.create_connection((host, int(port)), _SECONDS_TO_CONNECT).close()
            if self.process.poll() is None:
                return
        raise RuntimeError(f"the head of its Ray cluster, {self.address}, has died")


@contextlib.contextmanager
def ray_cluster(cpus: int, environment: Mapping[str, str], log: Path) -> Iterator[RayCluster]:
    """Starts a cluster; ends it.

    Args:
        cpus: How many trials it has room for.
        environment: The environment of its processes, and so of the trials.
        log: Takes its output.

    Raises:
        RuntimeError: If it does not start.
    """
    # Ray's sockets lie in its folder, and their paths must be short.
    folder = tempfile.mkdtemp(prefix="ks-", dir="/tmp")
    # By default, newer versions of Ray may ask for the user's own token.
    token = Path(folder) / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32), encoding="ascii")
    with_token = {_AUTH_MODE_VARIABLE: "token", _TOKEN_VARIABLE: str(token)}
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                # Ray opens its folder to everybody; the folder around it stays private.
                [sys.executable, "-c", _HEAD, str(cpus), f"{folder}/r"],
                env={**environment, **with_token},
                # The head reads from this pipe, and so ends with this process.
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            address = _address(process, log)
            yield RayCluster({ADDRESS_VARIABLE: address, **with_token}, process, address)
        finally:
            # The head ends the cluster's other processes.
            process.terminate()
            process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Waits until a cluster runs; returns its address."""
    until = time.monotonic() + _SECONDS_TO_START
    while process.poll() is None and time.monotonic() < until:
        if match := re.search(r"^its address: (\S+)$", log.read_text("utf-8"), re.MULTILINE):
            return match[1]
        time.sleep(0.1)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    raise RuntimeError("Ray did not start: " + " ".join(lines[-3:]))
