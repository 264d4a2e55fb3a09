"""The MLflow UI on a store: started on loopback, stopped cleanly."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from search_spaces.errors import StoreError
from tracking.runs.pages import view_page
from tracking.store.folder import Store

HOST = "127.0.0.1"
DEFAULT_PORT = 5000
_SECONDS_TO_START = 120.0
_SECONDS_TO_STOP = 10.0


def free_port(wanted: int | None) -> int:
    """Returns a free port.

    Args:
        wanted: 1 to 65535, that port or an error; None for 5000 or the next that is free.

    Raises:
        StoreError: If the wanted port is taken.
    """
    for port in [wanted] if wanted is not None else [*range(DEFAULT_PORT, DEFAULT_PORT + 50), 0]:
        with contextlib.closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StoreError(f"Port {wanted} is taken. Choose another with --port, or leave it out.")


@contextlib.contextmanager
def serving(store: Store, port: int, stopped: threading.Event) -> Iterator[subprocess.Popen[bytes]]:
    """Runs MLflow's server on a store: healthy on entering, ended on leaving.

    It listens on loopback alone, with one worker, and without telemetry or job execution.

    Args:
        store: The store.
        port: A free port.
        stopped: Set it to stop the server, even while it starts. (An exception from a signal could
            come before the new process can be ended.)

    Raises:
        StoreError: If the server ends or does not answer within two minutes.
    """
    with tempfile.NamedTemporaryFile(prefix="kerastudy-ui-", suffix=".log") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "mlflow", "server"),
                *("--backend-store-uri", store.mlflow_uri, "--host", HOST, "--port", str(port)),
                *("--workers", "1", "--default-artifact-root", store.artifacts_uri),
            ],
            env={
                **os.environ,
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Its workers end with it, and Ctrl-C does not reach them first.
            start_new_session=True,
        )
        try:
            _wait_until_healthy(process, port, Path(log.name), stopped)
            yield process
        finally:
            _stop(process)


def studies_page(port: int) -> str:
    """Returns the address of the list of studies; MLflow's home page is about other things."""
    return f"http://{HOST}:{port}/#/experiments?workflowType=machine_learning"


def study_page(port: int, experiment_id: str, view: str = "") -> str:
    """Returns the address of a study's page.

    Args:
        port: The server's.
        experiment_id: The study's experiment.
        view: A prepared view; empty: the plain page.
    """
    return f"http://{HOST}:{port}/{view_page(experiment_id, view)}"


def _wait_until_healthy(
    process: subprocess.Popen[bytes], port: int, log: Path, stopped: threading.Event
) -> None:
    # Not through a proxy: it would look for the server on its own machine.
    direct = build_opener(ProxyHandler({}))
    deadline = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < deadline and process.poll() is None:
        if stopped.is_set():
            return
        try:
            with direct.open(f"http://{HOST}:{port}/health", timeout=1) as answer:
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
