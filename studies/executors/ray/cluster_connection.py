"""The connection to a Ray cluster, or to a Ray that the launch starts on this machine."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from search_spaces.errors import StudyError
from studies.definition import LOCAL, RayOptions, check_address
from studies.error_texts import describe
from studies.executors.worker_count_and_gpus import this_machine
from studies.interruption import raising_interrupts
from studies.library_internals.private_api_lookup import AttributePart, MissingPartError, ModulePart

_SECONDS_TO_CONNECT = 5.0
# After this many failed connections, the cluster's head counts as gone.
_ATTEMPTS = 3
_SECONDS_BETWEEN_ATTEMPTS = 2.0
# The longest path of a folder in which Ray can make its sockets. A socket's path has at most 107
# characters, and Ray needs about 70 of them below its folder.
_LONGEST_FOLDER = 25
_TOKEN_VARIABLE = "RAY_AUTH_TOKEN_PATH"
# All launches of this process share this token, because Ray reads the token only once per process.
_TOKEN = secrets.token_hex(32)


class Cluster:
    """A cluster that this process is connected to."""

    def __init__(self, options: RayOptions) -> None:
        import ray

        self._options, self._head = options, ray.get_runtime_context().gcs_address
        self.gone = False  # Whether the cluster's head has stopped answering.

    def check_head(self) -> None:
        """Raises StudyError if the cluster's head is gone.

        Ray's own calls would wait for a minute, and then kill this process without a message.
        """
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_SECONDS_BETWEEN_ATTEMPTS)
            with contextlib.suppress(OSError):
                return _reach(self._head)
        self.gone = True
        raise StudyError(
            f"The head of the Ray cluster, {self._head}, does not answer any more, so the study "
            "stops",
            hint="Nothing that is recorded is lost: launch again to resume.",
        )

    def nodes(self) -> Mapping[str, Mapping[str, float]]:
        """Returns the resources of each node that is alive, by the node's id."""
        import ray

        return {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}

    def needs(self, threads: int) -> Mapping[str, float]:
        """Returns the resources that a worker reserves, as Ray names them."""
        gpus = self._options.gpus_per_trial
        if gpus is None:
            gpus = float(any(node.get("GPU", 0) >= 1 for node in self.nodes().values()))
        return {"CPU": self._options.cpus_per_trial or threads, "GPU": gpus}

    def room(self, needs: Mapping[str, float], without: Collection[str] = ()) -> int:
        """Returns how many workers would fit on the nodes if all nodes were idle.

        Nodes whose ids are in `without` do not count.
        """
        nodes = self.nodes().items()
        return sum(_room_on(node, needs) for node_id, node in nodes if node_id not in without)

    def check_room(self, needs: Mapping[str, float]) -> None:
        """Raises StudyError if no node has the resources that a worker needs."""
        if self.room(needs):
            return
        nodes = sorted({_amounts(needs, node) for node in self.nodes().values()})
        raise StudyError(
            f"No node of the Ray cluster has {_amounts(needs)} for a trial. Its nodes have: "
            f"{'; '.join(nodes) or 'nothing'}",
            hint="Ask for less with --cpus-per-trial and --gpus-per-trial.",
        )

    def waited_for(self, count: int, workers: int, needs: Mapping[str, float]) -> str:
        """Returns a line for the user that says which resources workers wait for."""
        nodes = self.nodes().values()
        totals = {name: sum(node.get(name, 0) for node in nodes) for name in needs}
        return (
            f"{count} of {workers} workers wait for resources ({_amounts(needs)} each); the "
            f"cluster has {_amounts(needs, totals)} in all"
        )


def _room_on(node: Mapping[str, float], needs: Mapping[str, float]) -> int:
    """Returns how many workers fit on a node. A worker's share of a GPU can't span two GPUs."""
    counts = []
    for name, amount in needs.items():
        has = node.get(name, 0)
        if name == "GPU" and 0 < amount < 1:
            counts.append(int(has) * int(1 / amount + 1e-9))
        elif amount:
            counts.append(int(has / amount + 1e-9))
    return min(counts, default=0)


def _amounts(needs: Mapping[str, float], resources: Mapping[str, float] | None = None) -> str:
    """Returns the amounts of the needed resources as a text, such as "2 CPUs and 1 GPU".

    With the `resources` of a node or of the cluster, the text says instead how much of each needed
    resource is there.
    """
    has = needs if resources is None else resources
    amounts = [(name, has.get(name, 0)) for name, amount in needs.items() if amount]
    return " and ".join(f"{n:g} {name}{'' if n <= 1 and n else 's'}" for name, n in amounts)


@contextlib.contextmanager
def connected(options: RayOptions) -> Iterator[Cluster]:
    """Connects to a Ray cluster, or starts one on this machine. Disconnects at the context's end.

    If this process is connected already, the existing connection is used, and stays open.
    """
    # Ray reads these variables when it is imported.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # By default, a Ray call after `ray.shutdown` would connect again, even to a dead head.
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    import ray

    if ray.is_initialized():
        yield Cluster(options)
        return
    address = options.place
    # The address may come from RAY_ADDRESS, which nothing has checked yet.
    check_address("address", address)
    with contextlib.ExitStack() as stack:
        arguments = stack.enter_context(_local_ray()) if address == LOCAL else {}
        stack.callback(ray.shutdown)
        stack.enter_context(silent())
        try:
            if ":" in address:
                _reach(address)
            # Ray replaces this process's handler of SIGTERM. At the end of this context, the
            # handler is restored.
            with raising_interrupts():
                ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **arguments)
        except Exception as error:
            raise StudyError(_why_not(address, error)) from None
        yield Cluster(options)


@contextlib.contextmanager
def _local_ray() -> Iterator[dict[str, Any]]:
    """Yields the arguments that start Ray on this machine; removes Ray's folder at the end.

    If the user has no authentication token, Ray would write one into the home folder, and the
    user's other clusters would ask for it. So the token is written into Ray's folder.
    """
    place = tempfile.gettempdir()
    # Ray's sockets must have short paths.
    short = place if len(place) <= _LONGEST_FOLDER else "/tmp"
    before = {name: os.environ.get(name) for name in ("RAY_AUTH_MODE", _TOKEN_VARIABLE)}
    with tempfile.TemporaryDirectory(prefix="ks-", dir=short, ignore_cleanup_errors=True) as folder:
        try:
            users = any(name in os.environ for name in ("RAY_AUTH_TOKEN", _TOKEN_VARIABLE))
            if not users and not (Path.home() / ".ray" / "auth_token").exists():
                token = Path(folder, "token")
                token.touch(mode=0o600)
                token.write_text(_TOKEN, encoding="ascii")
                os.environ[_TOKEN_VARIABLE] = str(token)
            cores = this_machine().cores
            # Other users may enter the folder that Ray makes, so it lies in a private folder.
            yield {"num_cpus": cores, "include_dashboard": False, "_temp_dir": f"{folder}/r"}
        finally:
            set_variables(before)


def set_variables(variables: Mapping[str, str | None]) -> None:
    """Sets environment variables of this process; None removes a variable."""
    for name, value in variables.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


def _reach(head: str) -> None:
    """Raises OSError if a cluster's head can't be reached."""
    host, _, port = head.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_CONNECT).close()


def _why_not(address: str, error: Exception) -> str:
    why = (error.strerror if isinstance(error, OSError) else "") or describe(error).rstrip(".")
    if address == LOCAL:
        return f"Ray can't be started on this machine: {why}."
    return (
        f"There is no Ray cluster at {address!r} that this machine belongs to: {why}. Give the "
        "address of the cluster's head, such as 10.0.0.1:6379, or 'auto' on a machine where 'ray "
        "start' has run. Without an address, Ray is started on this machine alone."
    )


_worker = ModulePart("ray", "ray._private", "worker")
_prints = AttributePart("ray", "ray._private.worker", "_worker_logs_enabled")


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Keeps Ray from printing twenty lines for each node that dies.

    Ray's public setting `log_to_driver` only hides the output of workers, so this changes a private
    setting, if the installed Ray has it.
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


def check_ray_installed() -> None:
    """Raises StudyError if Ray is not installed."""
    if find_spec("ray") is None:
        raise StudyError(
            "The executor 'ray' needs Ray, which is not installed",
            hint="Install it: pip install 'kerastudy[ray]'.",
        )
