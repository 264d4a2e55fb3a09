"""A real MLflow server, which tests stop and start again."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from mlflow import MlflowClient
from user_commands import environment

_SECONDS_TO_START = 300


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class MlflowServer:
    """A server whose artifacts, log and, by default, database are in a folder.

    Clients upload artifacts to the server, and don't write into its folder.
    """

    def __init__(self, folder: Path, database: str | None = None) -> None:
        self._folder = folder
        self._database = database or f"sqlite:///{(folder / 'server.db').as_posix()}"
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.address = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Starts the server, and returns when it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "mlflow", "server", "--workers", "1"),
                    *("--backend-store-uri", self._database),
                    *("--artifacts-destination", str(self._folder / "artifacts")),
                    *("--host", "127.0.0.1", "--port", str(self._port)),
                ],
                cwd=self._folder,
                env=environment(
                    MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"
                ),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        direct = build_opener(ProxyHandler({}))
        deadline = time.monotonic() + _SECONDS_TO_START
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with direct.open(f"{self.address}/health", timeout=1):
                    return
            except (URLError, OSError):
                time.sleep(0.1)
        self.kill()
        raise AssertionError((self._folder / "log").read_text(errors="replace"))

    def kill(self) -> None:
        """Kills the server."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=self.address, registry_uri=self.address)
