"""What the actor does on a node: runs a worker process, and passes messages and files on.

The worker process is that of a local launch, so it trains to the same bits, and it ends with this
process, which Ray ends with its driver.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import shutil
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from filelock import FileLock

from search_spaces.errors import KerastudyError, WorkerError
from studies.data.arrays.large import temporary_folder
from studies.error_texts import describe
from studies.executors.messages import ChampionSaved, Failed, Loaded, LoadStudy
from studies.executors.ray.carrying import Arrival, NodeFiles, Sent, get_files
from studies.executors.worker_process import WorkerProcess
from studies.user_code.shipping import ShippedStudy

_SECONDS_BETWEEN_LOOKS = 0.25
# As `temporary_folder` names them, so that it removes those of killed launches.
_PREFIX = "kerastudy-data-ray-"
_IN_USE = "in-use"


@dataclass(frozen=True)
class Begun:
    """The actor has its resources, and works on this node."""

    node: str
    node_id: str


@dataclass(frozen=True)
class Printed:
    """Lines that the worker process printed."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Gone:
    """The worker process has ended by itself."""

    reason: str
    killed: bool = False
    out_of_memory: bool = False


class Hosting:
    """Runs a worker process on this node; `files` are in Ray's object store."""

    def __init__(self, arrival: Arrival, files: Mapping[str, Any]) -> None:
        import ray

        self._node_id = ray.get_runtime_context().get_node_id()
        self._node = f"the node {socket.gethostname()} ({self._node_id[:8]})"
        self._arrival, self._sent_files = arrival, files
        self._items: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._process: WorkerProcess | None = None
        self._files: NodeFiles | None = None
        self._ending = False
        self._ended = threading.Event()
        self._items.put(Begun(self._node, self._node_id))
        threading.Thread(target=self._serve, daemon=True).start()

    def next(self) -> list[object]:
        """Waits for messages of the worker process, and returns all of them, in order."""
        found = [self._items.get()]
        with contextlib.suppress(queue.Empty):
            while True:
                found.append(self._items.get_nowait())
        return found

    def send(self, sent: Sent) -> None:
        """Sends a message to the worker process, its files first."""
        assert self._process is not None and self._files is not None, "it has loaded the study"
        message = sent.message
        if not isinstance(message, str):
            message = self._files.unpacked(sent)
        # If it has ended, receiving reports that.
        with contextlib.suppress(WorkerError):
            self._process.send(message)

    def end(self) -> None:
        """Ends the worker process, and removes what it needed here."""
        self._ending = True
        if self._process is not None:
            self._process.end()
        self._ended.wait(_SECONDS_BETWEEN_LOOKS * 4)

    def _serve(self) -> None:
        try:
            self._arrival.check_versions(self._node)
            self._arrival.set_variables()
            # Ray may have several nodes on one machine.
            name = f"{self._arrival.launch}-{self._node_id[:8]}"
            with temporary_folder() as own, _node_folder(name) as shared:
                with FileLock(shared / "arriving"):
                    get_files(self._sent_files, shared)
                self._run(self._loads(Path(own), shared), Path(own) / "files")
        except WorkerError as error:
            self._items.put(Gone(str(error), error.killed, error.out_of_memory))
        except KerastudyError as error:
            self._items.put(Failed(str(error)))
        except Exception as error:
            self._items.put(Gone(f"{self._node} can't run trials: {describe(error)}"))
        finally:
            self._ended.set()

    def _loads(self, own: Path, shared: Path) -> LoadStudy:
        """Returns the study to load, with the folders of this node."""
        load = replace(self._arrival.load, shared=own, data_folder=shared)
        if isinstance(load.target, ShippedStudy):
            load = replace(load, target=replace(load.target, folder=shared))
        return load

    def _run(self, load: LoadStudy, folder: Path) -> None:
        """Runs a worker process until it ends; passes on what it says."""
        files = self._files = NodeFiles(folder)
        where = self._arrival.folder
        process = self._process = WorkerProcess(
            load, where if Path(where).is_dir() else None, {}, self._print
        )
        loaded = False
        while not self._ending:
            try:
                arrived = process.connection.poll(_SECONDS_BETWEEN_LOOKS)
                message = process.receive() if arrived else None
            except (EOFError, OSError):
                message = process.receive()
            except WorkerError:
                self._put_written(files)
                raise
            self._put_written(files)
            if isinstance(message, ChampionSaved):
                message = files.saved_model(message)
            if isinstance(message, Failed) and self._node_id != self._arrival.home:
                told = f"{message.message} (This was on {self._node}.)"
                if not loaded:
                    # Something is missing here; other nodes may have it.
                    raise WorkerError(told)
                message = Failed(told)
            loaded = loaded or isinstance(message, Loaded)
            if message is not None:
                self._items.put(message)

    def _put_written(self, files: NodeFiles) -> None:
        written = files.written()
        if written is not None:
            self._items.put(written)

    def _print(self, line: str) -> None:
        self._items.put(Printed((line,)))


@contextlib.contextmanager
def _node_folder(name: str) -> Iterator[Path]:
    """Yields the folder that a launch's workers on this node share; the last one removes it."""
    with temporary_folder() as beside:
        folder = Path(beside).parent / f"{_PREFIX}{name}"
    lock = _held(folder)
    try:
        yield folder
    finally:
        try:
            # Only if no other worker uses it.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            pass
        lock.close()


def _held(folder: Path) -> IO[bytes]:
    """Makes a folder, and locks it against removal."""
    while True:
        folder.mkdir(mode=0o700, exist_ok=True)
        try:
            lock = (folder / _IN_USE).open("ab")
        except FileNotFoundError:
            # Just removed.
            continue
        fcntl.flock(lock, fcntl.LOCK_SH)
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(lock.fileno()), os.stat(folder / _IN_USE)):
                return lock
        lock.close()
