"""A launch's workers on a Ray cluster: their number and resources."""

from __future__ import annotations

import os
import pickle
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search_spaces.errors import StudyError, WorkerError
from studies.executors.messages import LoadStudy
from studies.executors.ray import actor
from studies.executors.ray.carrying import Arrival, put_files
from studies.executors.ray.cluster import Cluster
from studies.executors.ray.pool import RayPool, Watch
from studies.executors.ray.remote import RemoteProcess
from studies.executors.sizing import MOST_WORKERS, asked_workers
from studies.executors.worker import WorkerExecutor
from studies.executors.worker_process import OnOutput
from studies.user_code.loading import with_modules
from studies.user_code.shipping import ShippedStudy
from studies.user_code.targets import Target
from tracking.records import StudyDescription


class RayWorkers:
    """Starts the workers of a launch on a cluster, as `LocalWorkers` does on this machine.

    `workers` is None for as many as the cluster has room for, up to 16. `shared` is a folder of
    this machine, for the launch alone. With `any_hardware` workers may have different hardware.
    Raises StudyError if no node has the resources of a worker.
    """

    def __init__(
        self,
        target: Target | ShippedStudy,
        *,
        cluster: Cluster,
        overrides: Mapping[str, Any],
        data: str,
        trials: int | None,
        threads: int | None,
        workers: int | None,
        shared: Path,
        on_output: OnOutput,
        any_hardware: bool = False,
    ) -> None:
        import ray

        # By value: see there.
        ray.cloudpickle.register_pickle_by_value(actor)
        self._actor = ray.remote(actor.Worker)
        self._cluster, self._overrides, self._data = cluster, overrides, data
        self._shared, self._on_output, self._threads = shared, on_output, threads
        self._any_hardware = any_hardware
        self._asked = asked_workers(workers)
        self._launch = secrets.token_hex(8)
        self._home = ray.get_runtime_context().get_node_id()
        sent = sorted(target.folder.iterdir()) if isinstance(target, ShippedStudy) else ()
        self._files = put_files(path for path in sent if path.is_file())
        # With all texts: a node need not see this machine's files.
        self._target = with_modules(target) if isinstance(target, Target) else target.with_modules()
        self._excluded: list[str] = []
        wanted = cluster.resources(threads or 1)
        cluster.check_room(wanted)
        self._most = self._asked or min(MOST_WORKERS, trials or MOST_WORKERS)
        self._room = cluster.room(wanted)
        self.pool = self._start_pool(self._asked or max(1, min(self._most, self._room)))

    def load(self) -> None:
        """Waits until one worker has loaded the study. Raises StudyError if none can."""
        self.pool.load()

    def suit(self, *, threads: int | None, finished: int) -> None:
        """Adapts them to the study, as `LocalWorkers.suit` does."""
        if threads is not None and threads != self.pool.description.threads:
            self.close()
            self._threads = threads
            self.pool = self._start_pool(len(self.pool))
            self.load()
        description = self.pool.description
        wanted = self._cluster.resources(description.threads)
        self._room = self._cluster.room(wanted)
        assert self.pool.watch is not None, "it was started with the pool"
        self.pool.watch.want(wanted)
        if self._asked is None:
            left = description.trials - finished
            self._most = max(1, min(self._most, left))
            fit = max(1, min(self._most, self._room))
            self.pool.resize(min(len(self.pool), fit), self._start_worker)
        self._on_output(self._described(description))
        self.pool.grow = self._grow

    def close(self) -> None:
        if self.pool.watch is not None:
            self.pool.watch.close()
            if self.pool.watch.gone:
                # Ray would wait for its head.
                return
        self.pool.close()

    def _start_pool(self, count: int) -> RayPool:
        pool = RayPool(
            [self._start_worker(number) for number in range(count)],
            self._on_output,
            self._excluded.append,
            self._any_hardware,
        )
        wanted = self._cluster.resources(self._threads or 1)
        pool.watch = Watch(self._cluster, wanted, lambda: pool.remote, self._on_output)
        return pool

    def _start_worker(self, number: int) -> WorkerExecutor:
        return WorkerExecutor(
            self._target,
            overrides=self._overrides,
            data=self._data,
            threads=self._threads,
            shared=self._shared,
            on_output=self._on_output,
            start=self._start_process,
        )

    def _start_process(self, load: LoadStudy) -> RemoteProcess:
        self._check_there()
        wanted = self._cluster.resources(load.threads)
        self._cluster.check_room(wanted)
        arrival = pickle.dumps(Arrival.of(load, self._launch, os.getcwd(), self._home))
        options: dict[str, Any] = {
            "num_cpus": wanted["CPU"],
            "num_gpus": wanted["GPU"],
            # Messages go in both directions, and one more ends it.
            "max_concurrency": 4,
        }
        if self._excluded:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(self._excluded)})"}
        return RemoteProcess(
            lambda: self._actor.options(**options).remote(arrival, self._files),
            self._on_output,
            self._why_lost,
        )

    def _why_lost(self, error: Exception, node: str) -> WorkerError:
        watch = self.pool.watch if hasattr(self, "pool") else None
        if watch is not None and watch.gone:
            return WorkerError(watch.gone, killed=True)
        where = node or "a node of the cluster"
        if "node has died" in str(error) or getattr(error, "preempted", False):
            return WorkerError(f"{where} is gone", killed=True, machine_gone=True)
        return WorkerError(f"the worker on {where} ended: {_short(error)}", killed=True)

    def _check_there(self) -> None:
        watch = self.pool.watch if hasattr(self, "pool") else None
        if watch is not None and watch.gone:
            raise StudyError(watch.gone)

    def _grow(self) -> None:
        """Adds workers for nodes that have joined."""
        self._check_there()
        assert self.pool.watch is not None, "it was started with the pool"
        room, before = self.pool.watch.room, self._room
        self._room = room
        if room > before and len(self.pool) < self._most:
            self.pool.resize(min(self._most, max(len(self.pool), room)), self._start_worker)

    def _described(self, description: StudyDescription) -> str:
        count, threads = len(self.pool), description.threads
        nodes = len(self._cluster.nodes())
        return (
            f"{count} worker{'' if count == 1 else 's'} of {threads} "
            f"thread{'' if threads == 1 else 's'} "
            f"(Ray: {nodes} node{'' if nodes == 1 else 's'}, room for {self._room})"
        )


def _short(error: Exception) -> str:
    """Returns the last line of Ray's message, which says why."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__).rstrip(".")
