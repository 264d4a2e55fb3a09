"""A worker in a thread of this process, for commands whose worker's process is not the subject.

It is served by the same code. A process of its own would import TensorFlow first, which costs five
seconds of CPU each time.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any
from unittest.mock import patch

from search_spaces import WorkerError
from studies.executors import LoadStudy, LocalWorkers, ProcessLike, serve, worker
from studies.user_code import Target


class ThreadInPlaceOfProcess:
    """A thread that serves a study, and the connection to it. See `ProcessLike`."""

    def __init__(self, load: LoadStudy) -> None:
        self.connection, theirs = Pipe()
        self._thread = threading.Thread(target=self._serve, args=(theirs, load), daemon=True)
        self._thread.start()

    connects, connected = False, True

    @staticmethod
    def _serve(connection: Connection, load: LoadStudy) -> None:
        with connection, contextlib.suppress(EOFError, ConnectionError):
            serve(connection, load)

    def send(self, message: object) -> None:
        """See `ProcessLike`."""
        try:
            self.connection.send(message)
        except OSError:
            raise WorkerError("the thread of the worker has ended") from None

    def receive(self) -> Any:
        """See `ProcessLike`."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            raise WorkerError("the thread of the worker has ended") from None

    def kill(self) -> None:
        """See `ProcessLike`."""
        raise AssertionError("a thread can't be killed")

    def end(self) -> None:
        """See `ProcessLike`."""
        self.connection.close()
        self._thread.join()


class _Here(worker.WorkerExecutor):
    """With a thread where a process would change nothing of this one."""

    def _start_here(self, load: LoadStudy) -> Any:
        # Recorded modules stay in the process that has imported them.
        alike = isinstance(load.target, Target) and not load.target.modules
        if alike and self._folder in (None, os.getcwd()) and load.threads == 1:
            return ThreadInPlaceOfProcess(load)
        return super()._start_here(load)


class _OneHere(LocalWorkers):
    """Workers of this machine; a single one is in this process."""

    def _start_worker(self, number: int) -> worker.WorkerExecutor:
        if self._count > 1:
            return super()._start_worker(number)
        with patch("studies.executors.pool.WorkerExecutor", _Here):
            return super()._start_worker(number)


@contextlib.contextmanager
def recorded_workers_here() -> Iterator[None]:
    """Loads recorded studies in this process: to reproduce, evaluate, export, promote, …."""
    with patch("studies.champion.recorded.LocalWorkers", _OneHere):
        yield


_: type[ProcessLike] = ThreadInPlaceOfProcess
