"""The MLflow UI on a store: started, on loopback unless asked, and stopped cleanly."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from search_spaces.errors import StoreError
from tracking.mlflow.pages import view_page
from tracking.mlflow.token_app import NAME, VARIABLE
from tracking.store.folder import Store

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 5000
_SECONDS_TO_START = 120.0
_SECONDS_TO_STOP = 10.0


@dataclass(frozen=True)
class Place:
    """Where a server listens, and the token that a browser must know, or an empty one."""

    host: str
    port: int
    token: str = ""

    @property
    def address(self) -> str:
        """The server's address, for a browser on any machine that can reach it."""
        name = socket.gethostname() if self.host == "0.0.0.0" else self.host
        return f"http://{name}:{self.port}"

    def page(self, part: str) -> str:
        """Returns the address of a page of the UI, with the token; a part begins with a #."""
        return f"{self.address}/{self.token and f'?token={self.token}'}{part}"

    @property
    def studies_page(self) -> str:
        """The address of the list of studies; MLflow's home page is about other things."""
        return self.page("#/experiments?workflowType=machine_learning")

    def study_page(self, experiment_id: str, view: str) -> str:
        """Returns the address of a prepared view of a study."""
        return self.page(view_page(experiment_id, view))


def free_place(host: str = LOOPBACK, port: int | None = None, *, token: bool = False) -> Place:
    """Returns a place where a server can listen: at a port, or at 5000 or the next that is free.

    The host ``0.0.0.0`` stands for all addresses of this machine. Elsewhere than on loopback there
    always is a token.
    """
    for each in [port] if port is not None else [*range(DEFAULT_PORT, DEFAULT_PORT + 50), 0]:
        with contextlib.closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, each))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    continue
                raise StoreError(
                    f"A server can't listen on {host!r}, port {each}: {error.strerror or error}. "
                    "Choose an address of this machine with --host, and a port with --port."
                ) from None
            found = int(probe.getsockname()[1])
            made = secrets.token_urlsafe(24) if token or not _is_loopback(host) else ""
            return Place(host, found, made)
    raise StoreError(f"Port {port} is taken. Choose another with --port, or leave it out.")


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


@contextlib.contextmanager
def serving(
    store: Store, place: Place, stopped: threading.Event
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs MLflow's server on a store: healthy on entering, ended on leaving.

    It has one worker, and neither telemetry nor job execution. Setting `stopped` ends it, even
    while it starts: an exception from a signal could come before the new process can be ended.
    """
    options = []
    if place.token:
        # Pages of other sites lack the cookie, whatever they call this server.
        options = ["--app-name", NAME, "--allowed-hosts", "*"]
        options += ["--cors-allowed-origins", f"http://*:{place.port}"]
    with tempfile.TemporaryDirectory(prefix="kerastudy-ui-") as folder:
        log = Path(folder, "log")
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "mlflow", "server"),
                    *("--backend-store-uri", store.mlflow_uri),
                    *("--host", place.host, "--port", str(place.port)),
                    *("--workers", "1", "--default-artifact-root", store.artifacts_uri),
                    *options,
                ],
                env={
                    **os.environ,
                    "MLFLOW_DISABLE_TELEMETRY": "true",
                    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
                    VARIABLE: place.token,
                },
                # An empty folder, as its server imports modules from where it runs.
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                # Its workers end with it, and Ctrl-C does not reach them first.
                start_new_session=True,
            )
        try:
            _wait_until_healthy(process, place, log, stopped)
            yield process
        finally:
            _stop(process)


def _wait_until_healthy(
    process: subprocess.Popen[bytes], place: Place, log: Path, stopped: threading.Event
) -> None:
    # Not through a proxy: it would look for the server on its own machine.
    direct = build_opener(ProxyHandler({}))
    host = LOOPBACK if place.host == "0.0.0.0" else place.host
    deadline = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < deadline and process.poll() is None:
        if stopped.is_set():
            return
        try:
            with direct.open(f"http://{host}:{place.port}/health", timeout=1) as answer:
                if answer.status == 200:
                    return
        except (URLError, OSError):
            stopped.wait(0.1)
    last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it printed nothing"]
    raise StoreError(f"MLflow's server did not start: {last[0]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    for stop in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        with contextlib.suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, stop)
            else:
                process.send_signal(stop)
        try:
            process.wait(_SECONDS_TO_STOP)
            return
        except subprocess.TimeoutExpired:
            continue
