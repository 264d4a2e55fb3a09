"""A worker on a node of a Ray cluster: an actor that runs a worker process.

The actor passes messages and files between the driver and the worker process. The worker process is
the same as in a local launch, so its results are bit for bit the same. When the driver ends, Ray
ends the actor, and the worker process ends with the actor.

Nodes and driver need no common disk. Files that a fit reads go to the node with the fit's task.
Files that the fit writes go back to the driver as soon as they exist. So if a node dies, its trial
resumes from the last state.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import queue
import shutil
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from filelock import FileLock

from search_spaces.errors import KerastudyError, StudyError, WorkerError
from studies.data import temporary_folder
from studies.error_texts import describe
from studies.executors.ray.cluster_connection import set_variables
from studies.executors.worker_messages import (
    Answer,
    Failed,
    Loaded,
    LoadStudy,
    RunFits,
    SaveChampion,
)
from studies.executors.worker_process import WorkerProcess
from studies.training import deciding_variables
from studies.user_code import ShippedStudy
from tracking.records import TrialTask
from tracking.store.atomic_writing import replacing

_SECONDS_BETWEEN_LOOKS = 0.25
# `temporary_folder` removes folders with this prefix that killed launches have left.
_PREFIX, _IN_USE = "kerastudy-data-ray-", "in-use"
_VERSIONS = ("kerastudy", "tensorflow", "keras", "numpy")


@dataclass(frozen=True)
class Arrival:
    """All that a node needs to run a worker."""

    load: LoadStudy  # The paths of folders are those of the driver's machine.
    launch: str  # A name that no other launch has.
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
        self._ending, self._ended = False, threading.Event()
        # This folder has the files of the present request. No other worker uses it.
        self._folder = Path()
        self._written: tuple[Path, ...] = ()
        # The time and size of each file when it was last sent to the driver, or came from there. A
        # file that has changed since then must be sent.
        self._seen: dict[Path, tuple[int, int] | None] = {}

    def run(self, sent: Mapping[str, Any]) -> Iterator[Begun | Parcel]:
        """Yields the worker process's messages until the process ends.

        `sent` maps names to files in Ray's object store. All workers of a node share a copy.
        """
        yield Begun(self._node, self._node_id)
        try:
            self._check_versions()
            set_variables(self._arrival.variables)
            # Ray may have several nodes on one machine, so the folder's name contains the node's
            # id.
            name = f"{self._arrival.launch}-{self._node_id[:8]}"
            with temporary_folder() as own, _node_folder(Path(own).parent, name) as shared:
                _get(sent, shared)
                load = replace(self._arrival.load, shared=Path(own), data_folder=shared)
                if isinstance(load.target, ShippedStudy):
                    load = replace(load, target=replace(load.target, folder=shared))
                self._folder = Path(own) / "files"
                where = self._arrival.folder if Path(self._arrival.folder).is_dir() else None
                self._process = WorkerProcess(load, self._lines.put, where)
                yield from self._parcels(self._process)
        except WorkerError as error:
            yield Parcel(error)
        except KerastudyError as error:
            yield Parcel(Failed(str(error)))
        except Exception as error:
            yield Parcel(WorkerError(f"{self._node} can't run trials: {describe(error)}"))
        finally:
            self._ended.set()

    def send(self, parcel: Parcel) -> None:
        """Writes a parcel's files here, then sends its message to the worker process."""
        assert self._process is not None, "it has loaded the study"
        # If the process has ended, `run` reports that.
        with contextlib.suppress(WorkerError):
            self._process.send(self._unpacked(parcel))

    def end(self) -> None:
        """Ends the worker process, and waits up to a second until `run` has removed its files."""
        self._ending = True
        if self._process is not None:
            self._process.end()
        self._ended.wait(_SECONDS_BETWEEN_LOOKS * 4)

    def _check_versions(self) -> None:
        wanted, installed = self._arrival.versions, installed_versions()
        differences = [
            f"{n} {installed[n]} (here {v})" for n, v in wanted.items() if installed.get(n) != v
        ]
        if differences:
            raise WorkerError(
                f"{self._node} has {', '.join(differences)}. Install the same versions on all nodes"
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
            parcel = Parcel(message, self._files(message), printed)
            if parcel != Parcel():
                yield parcel
            if isinstance(message, WorkerError):
                return

    def _unpacked(self, parcel: Parcel) -> object:
        """Writes a parcel's files here; returns its message with their paths on this node."""
        if not isinstance(parcel.message, RunFits | SaveChampion):
            return parcel.message
        self._written = ()
        shutil.rmtree(self._folder, ignore_errors=True)
        (self._folder / CHAMPION).mkdir(parents=True)
        for name, content in parcel.files.items():
            (self._folder / name).write_bytes(content)
        message = moved(parcel.message, self._folder)
        written = tuple(written_by(message))
        self._seen = {path: _mark(path) for path in written}
        self._written = written
        return message

    def _files(self, message: object) -> dict[str, bytes]:
        """Returns the files that have changed since the last call.

        If `message` says that a champion's model is saved, returns the files of the model instead.
        """
        folder, written = self._folder, self._written
        if isinstance(message, Answer):
            folder = self._folder / CHAMPION
            written = tuple(path for path in folder.rglob("*") if path.is_file())
        files = {}
        for path in written:
            mark = _mark(path)
            if mark and self._seen.get(path) != mark:
                with contextlib.suppress(FileNotFoundError):
                    files[path.relative_to(folder).as_posix()] = path.read_bytes()
                    self._seen[path] = mark
        return files


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


def arrival_of(load: LoadStudy, launch: str, home: str) -> Arrival:
    """Returns the `Arrival` for a worker of a launch. The driver's process calls this."""
    variables = {name: os.environ.get(name) for name in (*deciding_variables(), "OMP_NUM_THREADS")}
    return Arrival(load, launch, home, installed_versions(), variables, os.getcwd())


def installed_versions() -> dict[str, str]:
    """Returns the versions that must be the same on all nodes, without importing anything."""
    versions = {"Python": platform.python_version()}
    for name in _VERSIONS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def _mark(path: Path) -> tuple[int, int] | None:
    """Returns a file's time and size, which change when the file is written.

    Returns None if the file is missing.
    """
    with contextlib.suppress(FileNotFoundError):
        status = path.stat()
        return status.st_mtime_ns, status.st_size
    return None


def _get(sent: Mapping[str, Any], folder: Path) -> None:
    """Writes files of Ray's object store into a folder, unless another worker has done so."""
    import ray

    with FileLock(folder / "arriving"):
        for name, reference in sent.items():
            if not (folder / name).exists():
                with replacing(folder / name) as partial:
                    partial.write_bytes(ray.get(reference))


@contextlib.contextmanager
def _node_folder(place: Path, name: str) -> Iterator[Path]:
    """Yields the folder that a launch's workers on this node share. The last worker removes it."""
    folder = place / f"{_PREFIX}{name}"
    with _shared_lock(folder) as lock:
        try:
            yield folder
        finally:
            # While another worker uses the folder, flock fails, and the folder is not removed.
            with contextlib.suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)


def _shared_lock(folder: Path) -> IO[bytes]:
    """Makes a folder; returns a file in it whose shared lock prevents the folder's removal."""
    while True:
        folder.mkdir(mode=0o700, exist_ok=True)
        # Another worker may remove the folder meanwhile.
        with contextlib.suppress(FileNotFoundError):
            lock = (folder / _IN_USE).open("ab")
            fcntl.flock(lock, fcntl.LOCK_SH)
            if os.path.samestat(os.fstat(lock.fileno()), os.stat(folder / _IN_USE)):
                return lock
            lock.close()


# A champion's model is in this folder on a node, next to the request's files.
CHAMPION = "champion"
_FILES = ("state", "checkpoint", "scores")


@dataclass(frozen=True)
class Parcel:
    """A message, and files by name. A parcel from a node also has lines that the worker printed."""

    message: object = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Begun:
    """The actor's first message: Ray has reserved its resources on this node."""

    node: str
    node_id: str


def packed(message: object) -> Parcel:
    """Returns a message together with the files that it names, if they exist."""
    paths: list[Path | None] = []
    if isinstance(message, RunFits):
        paths = [fit.state for fit in message.fits]
    elif isinstance(message, SaveChampion):
        paths = [message.checkpoint]
    return Parcel(message, {p.name: p.read_bytes() for p in paths if p is not None and p.exists()})


def moved(request: RunFits | SaveChampion, folder: Path) -> RunFits | SaveChampion:
    """Returns a copy of a request whose files are in another folder."""
    if isinstance(request, SaveChampion):
        model = folder / CHAMPION / request.folder.name
        return replace(request, checkpoint=folder / request.checkpoint.name, folder=model)

    def moved_fit(fit: TrialTask) -> TrialTask:
        paths: dict[str, Any] = {name: getattr(fit, name) for name in _FILES}
        return replace(fit, **{name: path and folder / path.name for name, path in paths.items()})

    return RunFits(tuple(moved_fit(fit) for fit in request.fits))


def written_by(request: object) -> Iterator[Path]:
    """Yields the files that a job's fits write."""
    if isinstance(request, RunFits):
        for fit in request.fits:
            yield from filter(None, (fit.state, fit.checkpoint, fit.scores))


def put(files: Mapping[str, bytes], request: object) -> None:
    """Writes files that came from a node, to the paths that the request has on this machine."""
    paths = {path.name: path for path in written_by(request)}
    if isinstance(request, SaveChampion):
        paths = {name: request.folder.parent / name for name in files}
    states = {fit.state for fit in request.fits} if isinstance(request, RunFits) else set()
    for name in files.keys() & paths:
        path = paths[name]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # The previous state is kept too, as by a worker on this machine.
            with replacing(path, keeping=path in states) as partial:
                partial.write_bytes(files[name])
        except OSError as error:
            raise StudyError(
                f"{str(path)!r} cannot be written: {error}",
                hint="Free disk space, then launch again to resume.",
            ) from None
