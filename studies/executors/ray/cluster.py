"""The connection to a Ray cluster, or a Ray of this machine that lives as long as its launch."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.errors import StudyError
from search_spaces.library_parts import AttributePart, MissingPartError, ModulePart
from studies.error_texts import describe
from studies.executors.ray.options import LOCAL, RayOptions, check_address
from studies.executors.sizing import this_machine

_SECONDS_TO_CONNECT = 5.0
# Below its folder, Ray's sockets have names of about 70 characters; with it, 107 are the most.
_LONGEST_FOLDER = 35


@dataclass(frozen=True)
class Cluster:
    """A cluster that this process is connected to."""

    options: RayOptions
    head: tuple[str, int]  # Host and port.
    local: bool  # Whether it is this launch's own.

    def resources(self, threads: int) -> Mapping[str, float]:
        """Returns the resources that a worker reserves, as Ray names them."""
        gpus = self.options.gpus_per_trial
        if gpus is None:
            gpus = float(any(node.get("GPU", 0) >= 1 for node in self.nodes()))
        return {"CPU": self.options.cpus_per_trial or threads, "GPU": gpus}

    def nodes(self) -> list[Mapping[str, float]]:
        """Returns the resources of each node."""
        import ray

        return [node["Resources"] for node in ray.nodes() if node["Alive"]]

    def room(self, wanted: Mapping[str, float]) -> int:
        """Returns how many workers with these resources fit, if nothing else runs."""
        return sum(_fits(node, wanted) for node in self.nodes())

    def check_room(self, wanted: Mapping[str, float]) -> None:
        """Raises StudyError if no node has the resources of a worker."""
        nodes = self.nodes()
        if any(_fits(node, wanted) for node in nodes):
            return
        names = [name for name, amount in wanted.items() if amount]
        shown = {" and ".join(_amount(name, node.get(name, 0)) for name in names) for node in nodes}
        raise StudyError(
            f"No node of the Ray cluster has {_amounts(wanted)} for a trial. Its nodes have: "
            f"{'; '.join(sorted(shown)) or 'nothing'}. Ask for less with --cpus-per-trial and "
            "--gpus-per-trial."
        )

    def answers(self) -> bool:
        """Returns whether its head can be reached."""
        try:
            socket.create_connection(self.head, timeout=_SECONDS_TO_CONNECT).close()
        except OSError:
            return False
        return True

    def waited_for(self, count: int, workers: int, wanted: Mapping[str, float]) -> str:
        """Returns what workers wait for, for people to read."""
        nodes = self.nodes()
        whole = {name: sum(node.get(name, 0) for node in nodes) for name in wanted}
        return (
            f"{count} of {workers} workers wait for resources ({_amounts(wanted)} each); the "
            f"cluster has {_amounts(whole)} in all"
        )


@contextlib.contextmanager
def connected(options: RayOptions) -> Iterator[Cluster]:
    """Connects to a cluster, or starts one on this machine; ends what it began.

    A connection that this process has already is used, and stays.
    """
    # Before it is imported.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # A call that comes after the end would connect again, and wait for a head that may be gone.
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    import ray

    if ray.is_initialized():
        yield Cluster(options, _head(), local=False)
        return
    address = options.place
    folder = _folder() if address == LOCAL else None
    try:
        with silent():
            _connect(address, folder)
            yield Cluster(options, _head(), local=address == LOCAL)
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _connect(address: str, folder: str | None) -> None:
    import ray

    # It may be that of RAY_ADDRESS.
    check_address(address)
    host, _, port = address.rpartition(":")
    if port.isdigit():
        _check_reachable(address, host.strip("[]"), int(port))
    own: dict[str, Any] = {}
    if folder is not None:
        own = {
            "num_cpus": this_machine().cores,
            "include_dashboard": False,
            "_temp_dir": folder,
        }
    with _keeping_signals():
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **own)
        except Exception as error:
            if folder is not None:
                raise StudyError(
                    f"Ray can't be started on this machine: {describe(error)}."
                ) from None
            if _asks_for_token(error):
                raise StudyError(
                    f"The Ray cluster at {address!r} asks for another token. Set "
                    "RAY_AUTH_MODE=token here, and RAY_AUTH_TOKEN_PATH to a file with the "
                    "cluster's token unless it is in ~/.ray/auth_token."
                ) from None
            raise StudyError(
                f"There is no Ray cluster at {address!r} that this machine belongs to: "
                f"{describe(error).rstrip('.')}. Start Ray here with 'ray start', or leave the "
                "address out for a Ray of this machine alone."
            ) from None


def _asks_for_token(error: BaseException | None) -> bool:
    """Returns whether a cluster has refused this process for its token, or for lack of one."""
    while error is not None:
        if type(error).__name__ == "AuthenticationError" or "AuthenticationError" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _check_reachable(address: str, host: str, port: int) -> None:
    try:
        socket.create_connection((host, port), timeout=_SECONDS_TO_CONNECT).close()
    except OSError as error:
        raise StudyError(
            f"There is no Ray cluster at {address!r}: {error.strerror or error}. The address is "
            "that of its head, such as 10.0.0.1:6379, or 'auto' on a machine of the cluster."
        ) from None


@contextlib.contextmanager
def _keeping_signals() -> Iterator[None]:
    """Keeps this process's reaction to SIGTERM, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _head() -> tuple[str, int]:
    import ray

    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    return host.strip("[]"), int(port)


def _folder() -> str:
    """Makes a folder for a Ray of this machine, with a short path."""
    place = tempfile.gettempdir()
    return tempfile.mkdtemp(prefix="ks-", dir=place if len(place) <= _LONGEST_FOLDER else "/tmp")


def _fits(node: Mapping[str, float], wanted: Mapping[str, float]) -> int:
    """Returns how many workers fit on a node. Shares of a GPU are of one GPU each."""
    counts = []
    for name, amount in wanted.items():
        has = node.get(name, 0)
        if not amount:
            continue
        share = name == "GPU" and amount < 1
        counts.append(int(has) * int(1 / amount + 1e-9) if share else int(has / amount + 1e-9))
    return min(counts, default=0)


def _amounts(amounts: Mapping[str, float]) -> str:
    return " and ".join(_amount(name, amount) for name, amount in amounts.items() if amount)


def _amount(name: str, amount: float) -> str:
    return f"{amount:g} {name}{'' if amount <= 1 and amount else 's'}"


_worker = ModulePart("ray", "ray._private", "worker")
_prints = AttributePart("ray", "ray._private.worker", "_worker_logs_enabled")


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Keeps Ray from printing about nodes that die: twenty lines each, on standard output.

    The public setting turns off only the lines of workers. Does nothing if Ray lacks the private
    one.
    """
    try:
        worker = _worker.get()
        before = _prints.of(worker)
    except MissingPartError:
        yield
        return
    _prints.set(worker, False)
    try:
        yield
    finally:
        _prints.set(worker, before)
