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


@dataclass(frozen=True)
class RayCluster:
    """A cluster of one node.

    Attributes:
        environment: What processes need to connect to it.
        pid: The process that all its others come from.
    """

    environment: Mapping[str, str]
    pid: int


@contextlib.contextmanager
def ray_cluster(cpus: int, environment: Mapping[str, str], log: Path) -> Iterator[RayCluster]:
    """Starts a cluster with ``ray start --head``; ends it.

    Args:
        cpus: How many trials it has room for.
        environment: Of its processes, and so of the trials.
        log: Takes its output.

    Raises:
        RuntimeError: If it does not start.
    """
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    # Ray's sockets lie in its folder, and their paths must be short.
    folder = tempfile.mkdtemp(prefix="ks-", dir="/tmp")
    # By default newer versions may ask for the user's own one, or not.
    token = Path(folder) / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32), encoding="ascii")
    with_token = {_AUTH_MODE_VARIABLE: "token", _TOKEN_VARIABLE: str(token)}
    command = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
        *(f"--port={port}", f"--num-cpus={cpus}", f"--temp-dir={folder}"),
        *("--include-dashboard=false", "--disable-usage-stats"),
    ]
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                env={**environment, **with_token},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield RayCluster({ADDRESS_VARIABLE: _address(process, log), **with_token}, process.pid)
        finally:
            # It ends the others.
            process.terminate()
            process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Waits until a cluster runs; returns its address."""
    until = time.monotonic() + _SECONDS_TO_START
    while process.poll() is None and time.monotonic() < until:
        if found := re.search(r"ray start --address='(\S+)'", log.read_text(encoding="utf-8")):
            return found[1]
        time.sleep(0.1)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    raise RuntimeError("Ray did not start: " + " ".join(lines[-3:]))
