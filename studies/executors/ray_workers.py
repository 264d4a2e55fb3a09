"""The workers of a launch on a Ray cluster: each is an actor that runs a worker process on a node.

The actor passes messages between the driver and the worker process. The worker process is the same
as in a local launch, so its results are bit for bit the same. When the driver ends, Ray ends the
actor, and the worker process ends with the actor.

Nodes and driver have a common disk, with the store and the launch's temporary folder. A fit reads
and writes its files there. So if a node dies, its trial resumes from the last state that it has
saved.
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import platform
import queue
import socket
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from search_spaces.errors import KerastudyError, StudyError, WorkerError
from search_spaces.texts import counted
from studies.error_texts import describe
from studies.executors.ray_cluster import Cluster
from studies.executors.worker_count_and_gpus import MOST_WORKERS, LaunchWorkers
from studies.executors.worker_pool import WorkerPool
from studies.executors.worker_process import (
    Failed,
    Loaded,
    LoadStudy,
    OnOutput,
    Worker,
    WorkerProcess,
)
from studies.training import deciding_variables, environment_differences

_SECONDS_BETWEEN_LOOKS = 2.0
_SECONDS_TO_START = 30.0
_SECONDS_TO_END = 6.0
# Entries of the environment that may differ between nodes with the same class of hardware.
_MAY_DIFFER = ("device", "processor", "instructions")


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
            timeout = _SECONDS_BETWEEN_LOOKS if ends is None else ends - time.monotonic()
            if ready or timeout <= 0:
                return ready
            streams = [_process(worker).stream for worker in workers]
            readable, _ = ray.wait(streams, timeout=min(timeout, _SECONDS_BETWEEN_LOOKS))
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
        arrival = pickle.dumps(_arrival_of(load, self._home))
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
        # If a node does not answer, Ray first raises ActorUnavailableError, before it counts the
        # node as dead.
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
                host = importlib.import_module("studies.executors.ray_workers")
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


_SECONDS_TO_POLL = 0.25
_VERSIONS = ("kerastudy", "tensorflow", "keras", "numpy")


@dataclass(frozen=True)
class Arrival:
    """All that a node needs to run a worker."""

    load: LoadStudy
    home: str  # Ray's id of the driver's node.
    versions: Mapping[str, str]  # The versions on the driver's machine, by name.
    # The driver's environment variables that can change results. None stands for a variable that is
    # not set. The driver's variables replace those of the node, because Ray sets some variables
    # there, such as OMP_NUM_THREADS.
    variables: Mapping[str, str | None]
    folder: str  # The driver's working folder. The worker uses it if it exists on the node.


class Host:
    """Runs a worker process on this node."""

    def __init__(self, arrival: Arrival) -> None:
        import ray

        self._arrival = arrival
        self._node_id = ray.get_runtime_context().get_node_id()
        self._node = f"the node {socket.gethostname()} ({self._node_id[:8]})"
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._process: WorkerProcess | None = None
        self._ending = False

    def run(self) -> Iterator[Begun | Parcel]:
        """Yields the worker process's messages until the process ends."""
        yield Begun(self._node, self._node_id)
        try:
            self._check_versions()
            self._check_disk()
            for name, value in self._arrival.variables.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
            where = self._arrival.folder if Path(self._arrival.folder).is_dir() else None
            self._process = WorkerProcess(self._arrival.load, self._lines.put, where, keeps=True)
            yield from self._parcels(self._process)
        except WorkerError as error:
            yield Parcel(error)
        except KerastudyError as error:
            yield Parcel(Failed(error))
        except Exception as error:
            yield Parcel(WorkerError(f"{self._node} can't run trials: {describe(error)}"))

    def send(self, message: object) -> None:
        """Sends a message to the worker process."""
        assert self._process is not None, "it has loaded the study"
        # If the process has ended, `run` reports that.
        with contextlib.suppress(WorkerError):
            self._process.send(message)

    def end(self) -> None:
        """Ends the worker process."""
        self._ending = True
        if self._process is not None:
            self._process.end()

    def _check_versions(self) -> None:
        versions, installed = self._arrival.versions, installed_versions()
        differences = [
            f"{n} {installed[n]} (here {v})" for n, v in versions.items() if installed.get(n) != v
        ]
        if differences:
            raise WorkerError(
                f"{self._node} has {', '.join(differences)}. Install the same versions on all nodes"
            )

    def _check_disk(self) -> None:
        # This folder is on the store's disk, and no other folder has its name. So a node that has
        # the folder sees this disk.
        folder = self._arrival.load.shared
        if not folder.is_dir():
            raise WorkerError(
                f"{self._node} does not see the folder {str(folder)!r}. All machines of a Ray "
                "cluster must have the disk of the store, such as a network disk, under the same "
                "path: choose the store with --store"
            )

    def _parcels(self, process: WorkerProcess) -> Iterator[Parcel]:
        loaded = False
        while not self._ending:
            message = _next(process)
            if isinstance(message, Failed) and self._node_id != self._arrival.home:
                # A WorkerError drops only this node. Other nodes may be able to load the study.
                kind = StudyError if loaded else WorkerError
                error = message.error.of_kind(kind, f"On {self._node}: ")
                message = error if isinstance(error, WorkerError) else Failed(error)
            loaded = loaded or isinstance(message, Loaded)
            printed = tuple(self._lines.get_nowait() for _ in range(self._lines.qsize()))
            if message is not None or printed:
                yield Parcel(message, printed)
            if isinstance(message, WorkerError):
                return


def _next(process: WorkerProcess) -> object:
    """Returns the next message of a process, or None if no message comes for a while.

    If the process has ended, returns a WorkerError.
    """
    # If the process has ended, `poll` fails, and `receive` reports the end.
    with contextlib.suppress(EOFError, OSError):
        if not process.connection.poll(_SECONDS_TO_POLL):
            return None
    try:
        return process.receive()
    except WorkerError as error:
        return error


def _arrival_of(load: LoadStudy, home: str) -> Arrival:
    """Returns the `Arrival` for a worker of a launch. The driver's process calls this."""
    variables = {name: os.environ.get(name) for name in (*deciding_variables(), "OMP_NUM_THREADS")}
    return Arrival(load, home, installed_versions(), variables, os.getcwd())


def installed_versions() -> dict[str, str]:
    """Returns the versions that must be the same on all nodes, without importing anything."""
    versions = {"Python": platform.python_version()}
    for name in _VERSIONS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


@dataclass(frozen=True)
class Parcel:
    """A message of the worker process, or None, and the lines that the process has printed."""

    message: object
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Begun:
    """The actor's first message: Ray has reserved its resources on this node."""

    node: str
    node_id: str
