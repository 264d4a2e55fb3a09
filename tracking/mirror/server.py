"""An MLflow server: its address, its client, and what may go wrong with it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from search_spaces.errors import ServerAwayError, ServerRefusedError, TrackingError
from tracking.mlflow_parts import quieten
from tracking.tags import NO_SERVER

if TYPE_CHECKING:
    from mlflow import MlflowClient

_VARIABLE: Final = "MLFLOW_TRACKING_URI"
_SCHEMES: Final = ("http", "https")
_TIMEOUT: Final = "MLFLOW_HTTP_REQUEST_TIMEOUT"
_SECONDS_AT_FIRST: Final = 10


def check_server(address: str) -> str:
    """Returns the address of an MLflow server, without a slash at its end; "off" unchanged."""
    if address == NO_SERVER:
        return address
    try:
        parts = urlsplit(address)
        known = parts.scheme in _SCHEMES and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        known = False
    if not known:
        raise TrackingError(
            "The tracking URI must be the address of an MLflow server, such as "
            f"http://127.0.0.1:5000, or off. Received: {address!r}. (The record itself is always "
            "in the store, which --store chooses.)"
        )
    if parts.username or parts.password:
        raise TrackingError(
            "The tracking URI must not hold a user and a password, since it is recorded: give "
            "them by MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
        )
    return address.rstrip("/")


def server_of_environment() -> str | None:
    """Returns the server that ``MLFLOW_TRACKING_URI`` names; None if it names none.

    Raises TrackingError if its address has a user or a password in it.
    """
    address = os.environ.get(_VARIABLE, "")
    # It may also name files and databases, which are no servers.
    return check_server(address) if address.startswith(tuple(f"{s}:" for s in _SCHEMES)) else None


def open_server(address: str) -> MlflowClient:
    """Returns MLflow's client for a server; sends nothing yet."""
    # MLflow would retry for minutes, in silence; the caller retries, with a message.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # It prints each run that ends, and each model.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    quieten()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=address, registry_uri=address)


@contextlib.contextmanager
def not_waiting_long() -> Iterator[None]:
    """Shortens the timeout of requests to seconds, as someone waits for the answer.

    Files that are sent may take MLflow's two minutes.
    """
    if _TIMEOUT in os.environ:
        yield
        return
    os.environ[_TIMEOUT] = str(_SECONDS_AT_FIRST)
    try:
        yield
    finally:
        del os.environ[_TIMEOUT]


@contextlib.contextmanager
def as_server_errors(address: str) -> Iterator[None]:
    """Turns a server's failure into ServerAwayError, to try again, or ServerRefusedError."""
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
                f"The MLflow server {address} does not answer as it should: {_in_a_line(error)}."
            ) from error
        advice = ""
        if status in (401, 403):
            advice = (
                " Log in by MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
                "MLFLOW_TRACKING_TOKEN."
            )
        raise ServerRefusedError(
            f"The MLflow server {address} refuses what it is sent: {_in_a_line(error)}.{advice}"
        ) from error
    except Exception as error:
        # Storage of artifacts outside the server may lack its library or its password.
        raise ServerRefusedError(
            f"The study can't be sent to the MLflow server {address}: "
            f"{type(error).__name__}: {_in_a_line(error)}."
        ) from error


def _status(error: Exception) -> int:
    """Returns the HTTP status behind an error; 500 if there was no answer."""
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        return int(error.get_http_status_code())
    response = getattr(error, "response", None)
    return 500 if response is None else int(response.status_code)


def _in_a_line(error: BaseException) -> str:
    """Returns an error's text; for a connection's, that of its root cause."""
    from requests import RequestException

    while isinstance(below := error.__cause__ or error.__context__, (RequestException, OSError)):
        error = below
    if isinstance(error, RequestException) and error.args:
        reason = getattr(error.args[0], "reason", error)
        # urllib3 puts the connection object in front.
        text = str(reason).partition("): ")[2] or str(reason)
    else:
        text = str(error)
    return (text or type(error).__name__).splitlines()[0][:300].rstrip(".")
