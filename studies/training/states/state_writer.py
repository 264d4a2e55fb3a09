"""Writes states in the background: the training never waits for a disk."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from studies.training.states.training_state import TrainingState, write_state


class StateWriter:
    """Writes the newest state of a training in a thread.

    While one is being written, only the newest new one is kept. Use it as a context:
    leaving it waits for the last one.

    Attributes:
        seconds: CPU time that writing has taken so far.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._newest: TrainingState | None = None
        self.seconds = 0.0
        self._error: Exception | None = None
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="state writer", daemon=True)

    def __enter__(self) -> StateWriter:
        """Starts the thread."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Waits until the newest state is written."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def put(self, state: TrainingState) -> None:
        """Takes a state to write.

        Raises:
            Exception: If an earlier one could not be written: usually an OSError.
        """
        with self._changed:
            self.check()
            self._newest = state
            self._changed.notify()

    def check(self) -> None:
        """Raises the error with which a state could not be written, if one could not.

        Raises:
            Exception: That error.
        """
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._newest is not None or self._closing)
                state, self._newest = self._newest, None
            if state is None:
                return
            began = time.thread_time()
            try:
                write_state(self._path, state)
            except Exception as error:
                self._error = error
                return
            self.seconds += time.thread_time() - began
