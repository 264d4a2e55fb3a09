"""Writes states in the background: the training never waits for a disk."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from studies.training.states.training_state import TrainingState, write_state


class StateWriter:
    """Writes the newest state of a training in a thread.

    While one is being written, only the newest new one is kept.

    Attributes:
        seconds: CPU time that writing has taken so far.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._newest: deque[TrainingState] = deque(maxlen=1)
        self._thread = ThreadPoolExecutor(1, "state writer")
        self._error: Exception | None = None
        self.seconds = 0.0

    def close(self) -> None:
        """Waits until the newest state is written."""
        self._thread.shutdown()

    def put(self, state: TrainingState) -> None:
        """Takes a state to write; raises the error of an earlier one, usually an OSError."""
        self.check()
        self._newest.append(state)
        self._thread.submit(self._write)

    def check(self) -> None:
        """Raises the error with which a state could not be written, if one could not."""
        if self._error is not None:
            raise self._error

    def _write(self) -> None:
        if self._error is not None or not self._newest:
            return
        began = time.thread_time()
        try:
            write_state(self._path, self._newest.pop())
        except Exception as error:
            self._error = error
        self.seconds += time.thread_time() - began
