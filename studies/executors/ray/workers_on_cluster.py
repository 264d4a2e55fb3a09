"""The workers of a launch on a Ray cluster, as the driver sees them. Each one is a Ray actor."""

from __future__ import annotations

import contextlib
import math
import pickle
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from search_spaces.errors import StudyError, WorkerError
from search_spaces.texts import counted
from studies.executors.ray.cluster_connection import Cluster
from studies.executors.ray.worker_on_node import Begun, arrival_of
from studies.executors.worker_count_and_gpus import MOST_WORKERS
from studies.executors.worker_messages import LoadStudy
from studies.executors.worker_pool import LaunchWorkers, WorkerPool
from studies.executors.worker_process import OnOutput, Worker
from studies.training import environment_differences

_SECONDS_BETWEEN_LOOKS = 2.0
_SECONDS_TO_START = 30.0
_SECONDS_TO_END = 6.0
# Entries of the environment that may differ between nodes with the same class of hardware.
_MAY_DIFFER = ("device", "processor", "instructions")


def _actor_class() -> type[Any]:
    """Returns the class that Ray runs on a node.

    The class is defined in a function, so Ray pickles it by value, and the node does not import
    this module. The node must import `kerastudy` first: the driver's folder is on the node's import
    path, and may contain another package named `studies`.
    """

    class Actor:
        def run(self, arrival: bytes) -> Iterator[Any]:
            """Yields what `Host.run` yields, or a text if the node can't import kerastudy."""
            import importlib
            import pickle
            import socket

            try:
                importlib.import_module("kerastudy")
                host = importlib.import_module("studies.executors.ray.worker_on_node")
                self._host = host.Host(pickle.loads(arrival))
            except Exception as error:
                yield (
                    f"The node {socket.gethostname()} can't run trials: {type(error).__name__}: "
                    f"{error}. It needs the same version of kerastudy as this machine."
                )
                return
            yield from self._host.run()

        def send(self, message: Any) -> None:
            self._host.send(message)

        def end(self) -> None:
            self._host.end()

    return Actor


class RemoteProcess:
    """The worker process that an actor runs: like `WorkerProcess`, but on a node of the cluster.

    Messages to an actor that has died are dropped.
    """

    def __init__(self, launch: RayWorkers, actor: Any, arrival: bytes) -> None:
        self._launch, self._actor = launch, actor
        self.stream = actor.run.options(num_returns="streaming").remote(arrival)
        # Messages that have arrived, and that `receive` has not returned yet. After a WorkerError,
        # no other message follows.
        self.messages: deque[object] = deque()
        # The node's description and its id. Both are empty until Ray has reserved the actor's
        # resources on a node.
        self.node = self.node_id = ""

    def send(self, message: object) -> None:
        # The process may have ended since its last message.
        self.take_waiting_parcels(0.0)
        self._raise_if_lost()
        self._actor.send.remote(message)

    def receive(self) -> Any:
        while not self.messages:
            self._launch.look()
            self.take_waiting_parcels(_SECONDS_BETWEEN_LOOKS)
        self._raise_if_lost()
        return self.messages.popleft()

    def take_waiting_parcels(self, seconds: float) -> None:
        import ray

        while not self.messages and ray.wait([self.stream], timeout=seconds)[0]:
            self.take()
            seconds = 0.0

    def take(self) -> None:
        """Receives the actor's next parcel."""
        import ray

        try:
            parcel = ray.get(next(self.stream))
        except Exception as error:
            self.messages.append(self._launch.why_lost(error, self))
            return
        if isinstance(parcel, str):
            self.messages.append(WorkerError(parcel))
        elif isinstance(parcel, Begun):
            self.node, self.node_id = parcel.node, parcel.node_id
        else:
            for line in parcel.lines:
                self._launch.say(line)
            self.messages.extend([parcel.message] if parcel.message is not None else [])

    def end(self) -> None:
        import ray

        # The actor may be gone, or Ray itself.
        with contextlib.suppress(Exception):
            if self.node:
                ray.wait([self._actor.end.remote()], timeout=_SECONDS_TO_END)
            ray.kill(self._actor)

    def _raise_if_lost(self) -> None:
        if self.messages and isinstance(self.messages[0], WorkerError):
            raise self.messages[0]


class RayPool(WorkerPool):
    """A `WorkerPool` on a cluster. Workers that differ from the first worker are dropped."""

    def __init__(self, workers: Sequence[Worker], on_output: OnOutput, launch: RayWorkers) -> None:
        super().__init__(workers, on_output)
        self._launch = launch

    @property
    def processes(self) -> list[RemoteProcess]:
        return [_process(worker) for worker in self._workers]

    def _ready(self, workers: Sequence[Worker], seconds: float | None = None) -> Sequence[Worker]:
        import ray

        ends = None if seconds is None else time.monotonic() + seconds
        while True:
            self._launch.look()
            ready = [worker for worker in workers if _process(worker).messages]
            left = _SECONDS_BETWEEN_LOOKS if ends is None else ends - time.monotonic()
            if ready or left <= 0:
                return ready
            streams = [_process(worker).stream for worker in workers]
            readable, _ = ray.wait(streams, timeout=min(left, _SECONDS_BETWEEN_LOOKS))
            for worker in workers:
                if _process(worker).stream in readable:
                    _process(worker).take()

    def _do_without(self, worker: Worker, error: WorkerError) -> None:
        """Drops a worker. The worker's node gets no other worker, unless the process was killed."""
        node = _process(worker).node_id
        if node and not error.killed:
            self._launch.excluded.append(node)
        super()._do_without(worker, error)

    def _check_alike(self, worker: Worker) -> None:
        """Drops a worker if its study, environment or hardware differs from the first worker's."""
        loaded = worker.loaded
        if loaded is None or worker not in self._workers or worker is self._workers[0]:
            return
        try:
            super()._check_alike(worker)
            differences = [
                difference
                for difference in environment_differences(self.environment, loaded.environment)
                if not difference.startswith(_MAY_DIFFER)
            ]
            first, other = self.description.hardware, loaded.description.hardware
            if first != other:
                differences.append(f"its hardware is {other}, and the first worker's is {first}")
            if differences:
                raise StudyError("; ".join(differences))
        except StudyError as error:
            self._do_without(worker, WorkerError(f"on {_process(worker).node}: {error}"))


def _process(worker: Worker) -> RemoteProcess:
    return cast(RemoteProcess, worker.process)


class RayWorkers(LaunchWorkers):
    """The workers of a launch on a cluster. More workers start as nodes join.

    Raises StudyError if no node has the resources that a worker needs.
    """

    pool: RayPool

    def __init__(
        self,
        load: LoadStudy,
        *,
        cluster: Cluster,
        **of_launch: Any,
    ) -> None:
        import ray

        self._cluster = cluster
        self._actor = ray.remote(_actor_class())
        self._home = ray.get_runtime_context().get_node_id()
        # Nodes with these ids can't run the study.
        self.excluded: list[str] = []
        # `_looked` is the time of the last `look`. `_all_began` is the last time at which all
        # workers had their resources. Once the user has been told that workers wait, `_all_began`
        # becomes infinite, so that the user is not told again.
        self._looked = self._all_began = time.monotonic()
        self._grows = False
        self._most = MOST_WORKERS
        super().__init__(load, **of_launch)
        self._room = self._find_room()

    def suit(self, *, threads: int | None, finished: int) -> None:
        super().suit(threads=threads, finished=finished)
        self._grows, self._room = True, self._find_room()

    def close(self) -> None:
        # If the cluster's head is gone, Ray would wait for it.
        if not self._cluster.gone:
            super().close()

    def say(self, line: str) -> None:
        with contextlib.suppress(Exception):
            self._on_output(line)

    def look(self) -> None:
        """Checks, at most every two seconds, the cluster's head, new nodes, and waiting workers."""
        now = time.monotonic()
        if now < self._looked + _SECONDS_BETWEEN_LOOKS:
            return
        self._looked = now
        self._cluster.check_head()
        before, self._room = self._room, self._find_room()
        if self._grows and before < self._room:
            count = min(self._asked or self._most, max(len(self.pool), self._room))
            self.pool.resize(count, self._start_worker)
        waiting = sum(not process.node for process in self.pool.processes)
        if not waiting:
            self._all_began = now
        elif now > self._all_began + _SECONDS_TO_START:
            self._all_began = math.inf
            self._on_output(self._cluster.waited_for(waiting, len(self.pool), self._needs))

    @property
    def _needs(self) -> Mapping[str, float]:
        return self._cluster.needs(self._load.threads)

    def _find_room(self) -> int:
        return self._cluster.room(self._needs, self.excluded)

    def _suited(self, trials: int | None, model_bytes: int = 0) -> int:
        if trials is not None:
            self._most = max(1, min(self._most, trials))
        return max(1, min(self._most, self._find_room()))

    def _described(self) -> str:
        threads = counted(self._load.threads, "thread")
        nodes = counted(len(self._cluster.nodes()), "node")
        room = f"(Ray: {nodes}, room for {self._find_room()})"
        return f"{counted(len(self.pool), 'worker')} of {threads} {room}"

    def _start_pool(self, count: int) -> RayPool:
        workers = [self._start_worker(number) for number in range(count)]
        return RayPool(workers, self._on_output, self)

    def _start_process(self, number: int, load: LoadStudy, on_output: OnOutput) -> RemoteProcess:
        self._cluster.check_head()
        needs = self._cluster.needs(load.threads)
        self._cluster.check_room(needs)
        arrival = pickle.dumps(arrival_of(load, self._home))
        labels = {"ray.io/node-id": f"!in({','.join(self.excluded)})"} if self.excluded else None
        actor = self._actor.options(
            num_cpus=needs["CPU"],
            num_gpus=needs["GPU"],
            # The three calls that run at once are `run`, `send` and `end`.
            max_concurrency=3,
            label_selector=labels,
        ).remote()
        return RemoteProcess(self, actor, arrival)

    def why_lost(self, error: Exception, process: RemoteProcess) -> WorkerError:
        """Returns an error that says why an actor died, and whether its machine is gone."""
        from ray.exceptions import ActorUnavailableError

        self._cluster.check_head()
        where = process.node or "a node of the cluster"
        # Ray raises ActorUnavailableError as long as it only knows that the node does not answer.
        if (
            isinstance(error, ActorUnavailableError)
            or getattr(error, "preempted", False)
            or (process.node_id and process.node_id not in self._cluster.nodes())
        ):
            return WorkerError(f"{where} is gone", killed=True, machine_gone=True)
        # The last line of Ray's message says why.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = (lines[-1] if lines else type(error).__name__).rstrip(".")
        return WorkerError(f"the worker on {where} ended: {why}", killed=True)
