"""A worker in a thread of this process, for tests that are not about processes of workers.

The thread runs the same code as a worker's process, which would import TensorFlow first: five
seconds of CPU.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any
from unittest.mock import patch

from search_spaces import WorkerError
from studies.executors import LoadStudy, LocalWorkers, ProcessLike, serve
from studies.user_code import Target


class ThreadInPlaceOfProcess:
    """A thread that serves a study, and the connection to the thread. See `ProcessLike`."""

    def __init__(self, load: LoadStudy, on_output: Any = None) -> None:
        self.connection, theirs = Pipe()
        self._thread = threading.Thread(target=self._serve, args=(theirs, load), daemon=True)
        self._thread.start()

    @staticmethod
    def _serve(connection: Connection, load: LoadStudy) -> None:
        with connection, contextlib.suppress(EOFError, ConnectionError):
            serve(connection, load)

    def send(self, message: object) -> None:
        try:
            self.connection.send(message)
        except OSError:
            raise WorkerError("the thread of the worker has ended") from None

    def receive(self) -> Any:
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            raise WorkerError("the thread of the worker has ended") from None

    def end(self) -> None:
        self.connection.close()
        self._thread.join()


class _OneHere(LocalWorkers):
    """Workers of this machine. A single worker is a thread, if it can share this process."""

    def _start_process(self, number: int, load: LoadStudy, on_output: Any) -> Any:
        # A study with recorded modules gets a process, as imported modules would stay in this one.
        alike = isinstance(load.target, Target) and not load.target.modules
        here = self._folder in ("", os.getcwd()) or not os.path.isdir(self._folder)
        if self.count == 1 and alike and here and load.threads == 1:
            return ThreadInPlaceOfProcess(load)
        return super()._start_process(number, load, on_output)


@contextlib.contextmanager
def recorded_workers_here() -> Iterator[None]:
    """Loads recorded studies in this process, e.g. for `reproduce`, `evaluate` and `export`."""
    with patch("studies.champion.runnable_recorded_study.LocalWorkers", _OneHere):
        yield


_: type[ProcessLike] = ThreadInPlaceOfProcess
