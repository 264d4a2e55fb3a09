"""Looks after the cluster while a study runs, in a thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence

from search_spaces.errors import WorkerError
from studies.executors.ray.cluster import Cluster
from studies.executors.ray.remote import RemoteProcess
from studies.executors.worker_process import OnOutput

_SECONDS_BETWEEN_LOOKS = 2.0
_LOOKS_TO_START = 30
# A head that does not answer so often is gone.
_ATTEMPTS = 3


class Watch:
    """Notices nodes that join, workers that wait for resources, and a head that is gone.

    Args:
        cluster: The cluster.
        wanted: The resources of a worker.
        workers: Returns the present workers.
        say: Takes messages for the user.
    """

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
        """Ends it."""
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
