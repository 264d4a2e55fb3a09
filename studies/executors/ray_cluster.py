"""The connection to a Ray cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Collection, Iterator, Mapping
from importlib.util import find_spec

from search_spaces.errors import StudyError
from search_spaces.texts import counted, listed
from studies.definition import RayOptions, check_address
from studies.error_texts import describe
from studies.interruption import raising_interrupts

_SECONDS_TO_CONNECT = 5.0
# After this many failed connections, the cluster's head counts as gone.
_ATTEMPTS = 3
_SECONDS_BETWEEN_ATTEMPTS = 2.0


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
    return listed(counted(has.get(name, 0), name) for name, amount in needs.items() if amount)


@contextlib.contextmanager
def connected(options: RayOptions) -> Iterator[Cluster]:
    """Connects to a Ray cluster, and disconnects at the context's end.

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
    address = _address_of(options)
    try:
        try:
            if ":" in address:
                _reach(address)
            # Ray replaces this process's handler of SIGTERM. At the end of this context, the
            # handler is restored.
            with raising_interrupts():
                ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:
            raise _no_cluster(address, error) from None
        yield Cluster(options)
    finally:
        ray.shutdown()


def _address_of(options: RayOptions) -> str:
    """Returns the cluster's address: the one that the user gave, else ``RAY_ADDRESS``."""
    address = options.address or os.environ.get("RAY_ADDRESS")
    if not address:
        raise StudyError(
            "The executor 'ray' needs the address of a Ray cluster",
            hint="Give --address auto on a machine of the cluster, or --address HOST:PORT of its "
            "head. To run on this machine alone, leave out --executor ray.",
        )
    return check_address("address", address)


def _reach(head: str) -> None:
    """Raises OSError if a cluster's head can't be reached."""
    host, _, port = head.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_CONNECT).close()


def _no_cluster(address: str, error: Exception) -> StudyError:
    why = (error.strerror if isinstance(error, OSError) else "") or describe(error).rstrip(".")
    return StudyError(
        f"There is no Ray cluster at {address!r} that this machine belongs to: {why}",
        hint="Give the address of the cluster's head, such as 10.0.0.1:6379, or 'auto' on a "
        "machine where 'ray start' has run.",
    )


def check_ray_installed() -> None:
    """Raises StudyError if Ray is not installed."""
    if find_spec("ray") is None:
        raise StudyError(
            "The executor 'ray' needs Ray, which is not installed",
            hint="Install it: pip install 'kerastudy[ray]'.",
        )
