"""A Ray cluster of several nodes on this machine, of one CPU each."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any
from unittest import mock

import psutil

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
HEAD = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 * 2**20}
NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
_ATTEMPTS = 4


@contextlib.contextmanager
def ray_cluster(nodes: int, *, connect: bool = True) -> Iterator[Any]:
    """Yields a cluster whose head is one of the nodes. If `connect`, this process is connected."""
    import ray
    from ray.cluster_utils import Cluster

    # The path is short, because the paths of sockets in it must be.
    folder = tempfile.mkdtemp(prefix="ks-", dir="/tmp")
    # Ray notes the latest cluster of a machine in this folder, and does not create it.
    os.mkdir(os.path.join(folder, "ray"))
    with mock.patch.dict(os.environ, RAY_TMPDIR=folder):
        cluster = Cluster(initialize_head=True, head_node_args={**HEAD, "temp_dir": folder})
    try:
        for _ in range(nodes - 1):
            add_node(cluster)
        cluster.wait_for_nodes()
        if connect:
            ray.init(cluster.address, log_to_driver=False, logging_level="error")
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def add_node(cluster: Any, **options: Any) -> Any:
    """Starts a node, and does not wait until it is ready.

    Ray gives up after half a minute, as on a busy machine. Then the start is tried again.
    """
    for _ in range(_ATTEMPTS - 1):
        with contextlib.suppress(Exception):
            return cluster.add_node(wait=False, **NODE, **options)
    return cluster.add_node(wait=False, **NODE, **options)


def worker_processes() -> list[psutil.Process]:
    """Returns the worker processes on the nodes of this process's clusters."""
    workers = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or ()
        if any("worker_main.py" in word for word in words):
            # The workers of a local launch have another parent.
            parent = process.parent()
            if parent is not None and "ray::" in " ".join(parent.cmdline()):
                workers.append(process)
    return workers
