"""A worker on a node of a Ray cluster: an actor that runs a worker process.

The actor passes messages between the driver and the worker process. The worker process is the same
as in a local launch, so its results are bit for bit the same. When the driver ends, Ray ends the
actor, and the worker process ends with the actor.

Nodes and driver have a common disk, with the store and the launch's temporary folder. A fit reads
and writes its files there. So if a node dies, its trial resumes from the last state.
"""

from __future__ import annotations

import contextlib
import os
import platform
import queue
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from search_spaces.errors import KerastudyError, WorkerError
from studies.error_texts import describe
from studies.executors.worker_messages import Failed, Loaded, LoadStudy
from studies.executors.worker_process import WorkerProcess
from studies.training import deciding_variables

_SECONDS_BETWEEN_LOOKS = 0.25
_VERSIONS = ("kerastudy", "tensorflow", "keras", "numpy")


@dataclass(frozen=True)
class Arrival:
    """All that a node needs to run a worker."""

    load: LoadStudy
    home: str  # Ray's id of the driver's node.
    versions: Mapping[str, str]  # The versions on the driver's machine, by name.
    # The driver's environment variables that can change results. None: the variable is not set.
    # They replace the node's variables, because Ray sets some of these, such as OMP_NUM_THREADS.
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
            yield Parcel(Failed(str(error)))
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
        wanted, installed = self._arrival.versions, installed_versions()
        differences = [
            f"{n} {installed[n]} (here {v})" for n, v in wanted.items() if installed.get(n) != v
        ]
        if differences:
            raise WorkerError(
                f"{self._node} has {', '.join(differences)}. Install the same versions on all nodes"
            )

    def _check_disk(self) -> None:
        # This folder has a name that no other folder has, and lies on the store's disk.
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
                why = f"{message.message} (This was on {self._node}.)"
                # A WorkerError drops only this node. Other nodes may be able to load the study.
                message = Failed(why) if loaded else WorkerError(why)
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
        if not process.connection.poll(_SECONDS_BETWEEN_LOOKS):
            return None
    try:
        return process.receive()
    except WorkerError as error:
        return error


def arrival_of(load: LoadStudy, home: str) -> Arrival:
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
