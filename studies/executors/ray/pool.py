"""The pool of a launch's workers on a Ray cluster, and the watch over the cluster."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from search_spaces.errors import StudyError, WorkerError
from studies.executors.executor import Handler
from studies.executors.pool import WorkerPool
from studies.executors.ray.cluster import Cluster
from studies.executors.ray.remote import RemoteProcess
from studies.executors.worker import WorkerExecutor
from studies.executors.worker_process import OnOutput
from studies.training.process.environment import environment_differences

_SECONDS_TO_GROW = 2.0
_SECONDS_TO_END = 6.0
# A node's name and place may differ, and its exact processor within a class.
_MAY_DIFFER = ("device", "processor", "instructions")


class RayPool(WorkerPool):
    """A `WorkerPool` on a cluster, which takes more workers as nodes join.

    `exclude` takes Ray's id of a node that can't run the study; with `any_hardware` workers may
    have different hardware.
    """

    def __init__(
        self,
        workers: Sequence[WorkerExecutor],
        on_output: OnOutput,
        exclude: Callable[[str], None],
        any_hardware: bool = False,
    ) -> None:
        super().__init__(workers, on_output)
        self._exclude, self._any_hardware = exclude, any_hardware
        self.watch: Watch | None = None
        self.grow: Callable[[], None] = lambda: None

    @property
    def remote(self) -> list[RemoteProcess]:
        """The workers' processes."""
        return [cast(RemoteProcess, worker.process) for worker in self._workers]

    def load(self) -> None:
        """Waits until one worker has loaded the study; if none can, raises the last reason."""
        say, told = self._on_output, list[str]()
        self._on_output = told.append
        try:
            super().load()
        finally:
            self._on_output = say
        for line in told:
            say(line)

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        self.grow()
        super().wait(handler, min(seconds or _SECONDS_TO_GROW, _SECONDS_TO_GROW))

    def close(self) -> None:
        """Ends all workers at the same time."""
        import ray

        with contextlib.suppress(Exception):
            ending = [each for process in self.remote if (each := process.begin_to_end())]
            if ending:
                ray.wait(ending, num_returns=len(ending), timeout=_SECONDS_TO_END)
        super().close()

    def _take(self, worker: WorkerExecutor, handler: Handler) -> None:
        """Takes what a worker says; after files, the next message may be long in coming."""
        if worker.waits or not cast(RemoteProcess, worker.process).takes_files_alone():
            worker.wait(handler)

    def _do_without(self, worker: WorkerExecutor, error: WorkerError) -> None:
        """Continues without a worker, whose node gets no other of this launch."""
        node = cast(RemoteProcess, worker.process).node_id
        if node and not error.killed:
            self._exclude(node)
        super()._do_without(worker, error)

    def _check_alike(self, worker: WorkerExecutor) -> None:
        """Does without a worker that has loaded another study, or has other settings."""
        if worker.loading or worker not in self._workers or worker is self._workers[0]:
            return
        node = cast(RemoteProcess, worker.process).node
        try:
            super()._check_alike(worker)
        except StudyError as error:
            self._do_without(worker, WorkerError(f"on {node}: {error}"))
            return
        found = [
            each
            for each in environment_differences(self.loaded.environment, worker.environment)
            if not each.startswith(_MAY_DIFFER)
        ]
        ours, its = self.loaded.description.hardware, worker.description.hardware
        if ours != its and not self._any_hardware:
            found.append(
                f"its hardware is {its}, and the first worker's is {ours}; add --any-hardware to "
                "use both, though bits may differ"
            )
        if found:
            self._do_without(worker, WorkerError(f"on {node}: {'; '.join(found)}"))


_SECONDS_BETWEEN_LOOKS = 2.0
_LOOKS_TO_START = 30
# A head that does not answer so often is gone.
_ATTEMPTS = 3


class Watch:
    """Notices nodes that join, workers that wait for resources, and a head that is gone."""

    def __init__(
        self,
        cluster: Cluster,
        wanted: Mapping[str, float],
        workers: Callable[[], Sequence[RemoteProcess]],
        say: OnOutput,
    ) -> None:
        self._cluster, self._wanted, self._workers, self._say = cluster, wanted, workers, say
        # How many workers fit.
        self.room = cluster.room(wanted)
        # Why the cluster can't be used any more, or empty.
        self.gone = ""
        self._said = 0
        self._waited = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def want(self, wanted: Mapping[str, float]) -> None:
        """Takes the resources of a worker, once the study's threads are known."""
        self._wanted, self.room = wanted, self._cluster.room(wanted)

    def close(self) -> None:
        self._over.set()
        self._thread.join(_SECONDS_BETWEEN_LOOKS)

    def _follow(self) -> None:
        failures = 0
        while not self._over.wait(_SECONDS_BETWEEN_LOOKS):
            if not self._cluster.answers():
                failures += 1
                if failures == _ATTEMPTS:
                    self._give_up()
                    return
                continue
            failures = 0
            # Ray may be shutting down.
            with contextlib.suppress(Exception):
                self.room = self._cluster.room(self._wanted)
                self._look_at_waiting()

    def _give_up(self) -> None:
        host, port = self._cluster.head
        self.gone = (
            f"The head of the Ray cluster, {host}:{port}, does not answer any more, so the study "
            "stops. Nothing that is recorded is lost: launch again to resume."
        )
        for worker in self._workers():
            worker.lose(WorkerError(self.gone, killed=True))

    def _look_at_waiting(self) -> None:
        workers = self._workers()
        waiting = sum(not worker.begun for worker in workers)
        self._waited = self._waited + 1 if waiting else 0
        # Where there is room, starting takes a while; or others have it.
        lacking = waiting if self._waited > _LOOKS_TO_START else len(workers) - self.room
        if waiting and lacking > self._said:
            self._say(self._cluster.waited_for(lacking, len(workers), self._wanted))
            self._said = lacking
        elif not waiting:
            self._said = 0
