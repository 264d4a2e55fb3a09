"""Trials in several worker processes of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from search_spaces import SearchSpace
from search_spaces.errors import WorkerError
from studies.executors.executor import Handler
from studies.executors.messages import LoadedByWorkers, check_same
from studies.executors.worker import WorkerExecutor
from studies.executors.worker_process import OnOutput
from tracking.records import TrialSpec, TrialTask

_SECONDS_BETWEEN_LOOKS = 0.05


class WorkerPool(LoadedByWorkers):
    """Runs as many trials at once as it has workers. See `Executor`.

    Trials begin as soon as one worker has loaded the study; the others join when they are ready.

    Args:
        workers: At least one; started, and alike.
        on_output: Takes messages for the user.
    """

    def __init__(
        self, workers: Sequence[WorkerExecutor], on_output: OnOutput = lambda line: None
    ) -> None:
        self._workers = list(workers)
        self._on_output = on_output

    def load(self) -> None:
        """Waits until one worker has loaded the study. Raises StudyError if it cannot."""
        while all(worker.loading for worker in self._workers):
            for worker in _with_something_to_say(self._workers):
                try:
                    worker.take_loaded()
                except WorkerError as error:
                    self._do_without(worker, error)
        # The first worker must be one that has loaded the study.
        self._workers.sort(key=lambda worker: worker.loading)
        self._loaded = self._workers[0].loaded
        for worker in list(self._workers):
            self._check_alike(worker)

    def resize(self, count: int, start: Callable[[int], WorkerExecutor]) -> None:
        """Ends workers that are not needed, or starts more.

        Args:
            count: The new number, at least 1.
            start: Starts the worker of a number; existing ones have the first numbers.
        """
        for worker in self._workers[count:]:
            self._end(worker)
        for number in range(len(self._workers), count):
            self._workers.append(start(number))

    def __len__(self) -> int:
        """Returns the number of workers."""
        return len(self._workers)

    @property
    def free(self) -> int:
        """See `Executor`."""
        return len(self._free())

    def submit(self, *fits: TrialTask) -> None:
        """See `Executor`. A worker that has trained such a model before is preferred."""
        free = self._free()
        worker = next((w for w in free if w.has_trained_like(fits[0].spec)), free[0])
        worker.submit(*fits)

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        """See `Executor`."""
        for worker in self._workers:
            if worker.waits and not worker.loading:
                self._take(worker, handler)
                return
        for worker in _with_something_to_say([w for w in self._workers if not w.free], seconds):
            if worker.loading:
                self._join(worker, handler)
            else:
                self._take(worker, handler)

    @property
    def delayed(self) -> Sequence[TrialSpec]:
        """See `Executor`."""
        return [spec for worker in self._workers for spec in worker.delayed]

    def cut(self, number: int) -> bool:
        """See `Executor`."""
        return any([worker.cut(number) for worker in self._workers])

    def save_champion(
        self, spec: TrialSpec, checkpoint: Path, space: SearchSpace, folder: Path
    ) -> dict[str, float]:
        """See `Executor`."""
        return self._workers[0].save_champion(spec, checkpoint, space, folder)

    def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """See `WorkerExecutor.ask`. Only while no trial runs."""
        return self._workers[0].ask(function, *arguments)

    def close(self) -> None:
        """See `Executor`."""
        for worker in self._workers:
            worker.close()

    def _take(self, worker: WorkerExecutor, handler: Handler) -> None:
        """Takes what a worker says."""
        worker.wait(handler)

    def _join(self, worker: WorkerExecutor, handler: Handler) -> None:
        """Adds a worker that has loaded the study, or drops one that can't."""
        try:
            worker.wait(handler)
        except WorkerError as error:
            self._do_without(worker, error)
            # The trial that it should have run as a replacement.
            for spec in worker.delayed:
                handler.on_lost(spec, error)
        self._check_alike(worker)

    def _do_without(self, worker: WorkerExecutor, error: WorkerError) -> None:
        """Continues with the other workers. Mostly it lacked memory."""
        if len(self._workers) == 1:
            raise error
        self._end(worker)
        self._on_output(f"continuing with {len(self._workers)} of the workers: {error}")

    def _check_alike(self, worker: WorkerExecutor) -> None:
        """Refuses a worker that has loaded another study than the first."""
        if not worker.loading and worker in self._workers:
            check_same(self.loaded.description, worker.description)

    def _end(self, worker: WorkerExecutor) -> None:
        self._workers.remove(worker)
        worker.close()

    def _free(self) -> list[WorkerExecutor]:
        return [worker for worker in self._workers if worker.free]


def _with_something_to_say(
    workers: Sequence[WorkerExecutor], seconds: float | None = None
) -> list[WorkerExecutor]:
    """Waits until a worker has sent a message or died, or the time is up."""
    ends = None if seconds is None else time.monotonic() + seconds
    while True:
        dead = [w for w in workers if not w.process.connects and not w.process.connected]
        if dead:
            return dead
        connected = [w for w in workers if w.process.connected]
        # The others can't be waited for; they will be ready soon.
        timeout = seconds if len(connected) == len(workers) else _SECONDS_BETWEEN_LOOKS
        ready = wait([w.process.connection for w in connected], timeout)
        if ready or (ends is not None and time.monotonic() >= ends):
            return [w for w in connected if w.process.connection in ready]
