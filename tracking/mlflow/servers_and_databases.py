"""Connections to MLflow servers and databases, and the server of `kerastudy ui`."""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

from filelock import FileLock

from search_spaces.errors import ServerAwayError, ServerRefusedError, StoreError, TrackingError
from tracking.journal import OFF
from tracking.mlflow.tags_and_names import UUID
from tracking.mlflow.views_and_descriptions import study_page, view_page
from tracking.store import Store, cached, replacing

if TYPE_CHECKING:
    from mlflow import MlflowClient

Result = TypeVar("Result")

_VARIABLE: Final = "MLFLOW_TRACKING_URI"
_SCHEMES: Final = ("http", "https")
# At lower levels, MLflow logs tracebacks, the creation of tables, and each model.
_LOG_LEVELS: Final = {
    "alembic": logging.WARNING,
    "mlflow.store.db.utils": logging.CRITICAL,
    "mlflow.tracking": logging.WARNING,
    "mlflow.store.model_registry": logging.WARNING,
    # MLflow warns if pip is missing, as in environments made by uv.
    "mlflow.utils.environment": logging.ERROR,
}


def check_server(address: Any) -> str:
    """Checks an MLflow server's address, or "off". Returns the address without a final slash."""
    if address == OFF:
        return OFF
    try:
        parts = urlsplit(address)
        is_server = parts.scheme in _SCHEMES and bool(parts.hostname) and (parts.port or 1) > 0
    except (ValueError, TypeError, AttributeError):  # Those of urlsplit.
        is_server = False
    if not is_server:
        expected = "the address of an MLflow server, such as http://127.0.0.1:5000, or off"
        hint = "(The record itself is always in the store, which --store chooses.)"
        raise TrackingError.of_setting("The tracking URI", expected, address, hint)
    if parts.username or parts.password:
        raise TrackingError(
            "The tracking URI must not contain a user or a password, as the URI is recorded",
            hint="Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead.",
        )
    return str(address).rstrip("/")


def server_of_environment() -> str | None:
    """Returns the server in ``MLFLOW_TRACKING_URI``, or None if the variable names no server.

    Raises TrackingError if the address has a user or a password in it.
    """
    address = os.environ.get(_VARIABLE, "")
    # The variable may also name a file or a database, which is ignored here.
    return check_server(address) if address.startswith(tuple(f"{s}:" for s in _SCHEMES)) else None


def open_client(address: str) -> MlflowClient:
    """Returns MLflow's client for an address. Sends no request, but imports MLflow (2 s of CPU)."""
    # If MLflow repeated a request, it might create a run twice.
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # Without this variable, MLflow prints the address of each run and each model.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    for name, level in _LOG_LEVELS.items():
        logging.getLogger(name).setLevel(level)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=address, registry_uri=address)


def open_store_client(store: Store) -> MlflowClient:
    """Returns MLflow's client for a store's own database. Creates the database if it is missing."""
    path = store.root / "mlflow.db"
    with FileLock(store.root / "mlflow.lock"):
        if path.exists():
            return open_client(_address(path))
        try:
            # Other processes must not see an incomplete database.
            with replacing(path) as partial:
                partial.write_bytes(cached(f"mlflow-{version('mlflow')}.db", _empty_database))
                client = open_client(f"sqlite:///{partial.as_posix()}")
                # No study uses MLflow's "Default" experiment. It is deleted, but its tag identifies
                # the database.
                client.set_experiment_tag("0", UUID, uuid.uuid4().hex)
                client.delete_experiment("0")
                with contextlib.closing(sqlite3.connect(partial)) as database:
                    # In WAL mode, readers such as the UI never block the exporter.
                    database.execute("PRAGMA journal_mode=WAL")
        finally:
            for extra in path.parent.glob(f"{partial.name}-*"):
                extra.unlink(missing_ok=True)
    return open_client(_address(path))


def _empty_database() -> bytes:
    """Returns the bytes of a new MLflow database, which MLflow takes 1.4 s to create."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mlflow.db"
        open_client(f"sqlite:///{path.as_posix()}").get_experiment("0")
        return path.read_bytes()


# The inodes of the database files that this process has opened, by path.
_opened: Final[dict[Path, list[int]]] = {}


def _address(path: Path) -> str:
    """Returns the address of a database file. Another file at the same path gets another address.

    Once MLflow has opened the file at an address, MLflow keeps using this file for the address,
    even if the file was moved or deleted since.
    """
    files, file = _opened.setdefault(path, []), path.stat().st_ino
    if file not in files:
        files.append(file)
    return f"sqlite:///{path.parent.as_posix()}{'/.' * files.index(file)}/{path.name}"


def set_aside(store: Store) -> None:
    """Renames the MLflow database of a store that was moved or copied, to former-mlflow.db.

    The database contains absolute addresses of artifacts, which MLflow can't change. After the
    renaming, the exporter fills a new database from the journals.
    """
    with FileLock(store.root / "mlflow.lock"):
        for name in ("mlflow.db", "mlflow.db-wal", "mlflow.db-shm", "mlartifacts"):
            former = store.root / f"former-{name}"
            if (store.root / name).exists():
                if former.is_dir():
                    shutil.rmtree(former)
                os.replace(store.root / name, former)


def identity_of(client: MlflowClient) -> str:
    """Returns the identity of an MLflow database, from its "Default" experiment.

    In a store's own database, the identity is a tag of this experiment. In other databases, it is
    the experiment's creation time. The text is empty if the experiment was deleted for good, e.g.
    by `mlflow gc`.
    """
    default = unless_missing(lambda: client.get_experiment("0"))
    return "" if default is None else default.tags.get(UUID) or str(default.creation_time)


def unless_missing(get: Callable[[], Result]) -> Result | None:
    """Returns the result of a request to MLflow, or None if MLflow does not have the object."""
    from mlflow.exceptions import MlflowException

    try:
        return get()
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def under_free_name(name: str, create: Callable[[str], Result]) -> Result:
    """Creates an object of MLflow. If another object has the name, the name becomes ``NAME (2)``.

    MLflow keeps the names of deleted experiments.
    """
    from mlflow.exceptions import MlflowException

    for number in itertools.count(1):
        try:
            return create(name if number == 1 else f"{name} ({number})")
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
    raise AssertionError("the numbers do not end")


@contextlib.contextmanager
def as_server_errors(place: str) -> Iterator[None]:
    """Turns errors of MLflow into ServerAwayError (try again later) or ServerRefusedError.

    `place` names the destination, such as ``"MLflow server http://127.0.0.1:5000"``.
    """
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    try:
        yield
    except TrackingError:
        raise
    except (MlflowException, RequestException) as error:
        status = _status(error)
        if status >= 500 or status in (408, 429):
            raise ServerAwayError(
                f"The {place} does not answer as it should: {_in_a_line(error)}."
            ) from error
        advice = (
            "Log in by MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
            "MLFLOW_TRACKING_TOKEN."
        )
        raise ServerRefusedError(
            f"The {place} refuses a request: {_in_a_line(error)}.",
            hint=advice if status in (401, 403) else "",
        ) from error
    except Exception as error:
        # If the server stores artifacts elsewhere, e.g. in S3, a Python package or a password for
        # S3 may be missing here.
        raise ServerRefusedError(
            f"The study can't be sent to the {place}: {type(error).__name__}: {_in_a_line(error)}."
        ) from error


def _status(error: Exception) -> int:
    """Returns the HTTP status of an error, or 500 if the server gave no answer."""
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        return int(error.get_http_status_code())
    response = getattr(error, "response", None)
    return 500 if response is None else int(response.status_code)


def _in_a_line(error: BaseException) -> str:
    """Returns the text of an error's root cause, in one line."""
    from requests import RequestException

    while isinstance(below := error.__cause__ or error.__context__, (RequestException, OSError)):
        error = below
    if isinstance(error, RequestException) and error.args:
        reason = getattr(error.args[0], "reason", error)
        # urllib3's text begins with the connection object, e.g. "HTTPConnection(…): ".
        text = str(reason).partition("): ")[2] or str(reason)
    else:
        text = str(error)
    return (text or type(error).__name__).splitlines()[0][:300].rstrip(".")


LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 5000
_SECONDS_TO_START = 120.0
_SECONDS_TO_STOP = 10.0


@dataclass(frozen=True)
class Place:
    """The port on which a server of this machine listens."""

    port: int

    @property
    def address(self) -> str:
        """The server's address, for a browser on this machine."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def studies_page(self) -> str:
        """The address of MLflow's list of experiments, which are the studies."""
        return f"{self.address}/#/experiments?workflowType=machine_learning"

    def study_page(self, experiment_id: str, view: str = "") -> str:
        """Returns the address of a study's page, or of a prepared view."""
        page = view_page(experiment_id, view) if view else study_page(experiment_id)
        return f"{self.address}/{page}"


def free_place(port: int | None = None) -> Place:
    """Returns a place whose port is free: `port`, or by default the first free port from 5000."""
    for number in [port] if port is not None else [*range(DEFAULT_PORT, DEFAULT_PORT + 50), 0]:
        try:
            with socket.create_server((LOOPBACK, number)) as probe:
                return Place(int(probe.getsockname()[1]))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise StoreError(
                    f"A server can't listen on port {number}: {error.strerror or error}",
                    hint="Choose another port with --port.",
                ) from None
    raise StoreError(f"Port {port} is taken", hint="Choose another port, or leave out --port.")


@contextlib.contextmanager
def serving(
    store: Store, place: Place, stopped: threading.Event
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs MLflow's server on a store's database within the context.

    If `stopped` is set, the wait for the server's start ends. Signal handlers should set it: if
    they raised an exception instead, the new process might keep running.
    """
    with tempfile.TemporaryDirectory(prefix="kerastudy-ui-") as folder:
        log = Path(folder, "log")
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "mlflow", "server"),
                    *("--backend-store-uri", store.mlflow_uri),
                    *("--host", LOOPBACK, "--port", str(place.port)),
                    *("--workers", "1", "--default-artifact-root", store.artifacts_uri),
                ],
                env={
                    **os.environ,
                    "MLFLOW_DISABLE_TELEMETRY": "true",
                    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
                },
                # The server imports modules from its working folder, so this folder is empty.
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                # Ctrl-C does not reach the new session. `_stop` ends all processes in it.
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
    # The request must not go through a proxy, for which 127.0.0.1 is another machine.
    direct = build_opener(ProxyHandler({}))
    deadline = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < deadline and process.poll() is None:
        if stopped.is_set():
            return
        try:
            with direct.open(f"{place.address}/health", timeout=1) as answer:
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
