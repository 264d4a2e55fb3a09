"""The executor with several workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, cast

from search_spaces import SearchSpace
from search_spaces.errors import WorkerError
from studies.executors.executor_protocol_and_jobs import Handler
from studies.executors.worker_process import (
    Loaded,
    LoadStudy,
    OnOutput,
    Worker,
    WorkerProcess,
    check_same,
)
from tracking.records import StudyDescription, TrialSpec, TrialTask

# Starting a worker takes 5 s of CPU time, which is too much if few short trials are left. So one
# worker starts first. After _SECONDS_TO_JUDGE of training, the time that it would need for the
# remaining trials is estimated. If this time is at least _SECONDS_WORTH, more workers start.
_SECONDS_TO_JUDGE, _SECONDS_WORTH = 3.0, 10.0


class WorkerPool:
    """An `Executor` that runs as many trials at once as it has workers.

    Trials begin as soon as one worker has loaded the study. The other workers join once they have
    loaded it too.

    Attributes:
        loaded: The answer of the first worker that has loaded the study.
    """

    loaded: Loaded

    def __init__(self, workers: Sequence[Worker], on_output: OnOutput = lambda line: None) -> None:
        self._workers = list(workers)
        self._on_output = on_output
        # A function that starts more workers, and the number of jobs that were left when `grow` was
        # called. None if no more workers will start.
        self._later: tuple[Callable[[], None], int] | None = None
        self._began, self._submitted = 0.0, 0

    def load(self) -> None:
        """Waits until one worker has loaded the study. If none can, raises the study's error."""
        while all(worker.loading for worker in self._workers):
            for worker in self._ready(self._workers):
                try:
                    worker.take_loaded()
                except WorkerError as error:
                    self._do_without(worker, error)
        # Other methods use the first worker, so it must be one that has loaded the study.
        self._workers.sort(key=lambda worker: worker.loading)
        self.loaded = cast(Loaded, self._workers[0].loaded)
        for worker in list(self._workers):
            self._check_alike(worker)

    def resize(self, count: int, start: Callable[[int], Worker]) -> None:
        """Ends workers, or starts more by ``start(number)``, until there are `count` workers."""
        for worker in self._workers[count:]:
            self._end(worker)
        for number in range(len(self._workers), count):
            self._workers.append(start(number))

    def grow(self, count: int, start: Callable[[int], Worker], jobs: int) -> None:
        """Starts workers as `resize` does, but later, while jobs run, and only if that saves time.

        `jobs` is the number of jobs that are left.
        """
        if count > len(self._workers):
            self._later = partial(self.resize, count, start), jobs

    def __len__(self) -> int:
        """Returns the number of workers."""
        return len(self._workers)

    @property
    def description(self) -> StudyDescription:
        return self.loaded.description

    @property
    def environment(self) -> Mapping[str, str]:
        return self.loaded.environment

    @property
    def load_study(self) -> LoadStudy:
        """The message that makes a worker load the same study as the first worker."""
        return self._workers[0].load_study

    @property
    def free(self) -> int:
        return sum(worker.free for worker in self._workers)

    def submit(self, *fits: TrialTask) -> None:
        """Gives a job to a free worker, if possible to one that has compiled a similar model."""
        free = [worker for worker in self._workers if worker.free]
        worker = next((w for w in free if w.has_trained_like(fits[0].spec)), free[0])
        worker.submit(*fits)
        self._began = self._began or time.monotonic()
        self._submitted += 1

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        if self._later is not None:
            self._grow_if_worth(*self._later)
            seconds = _SECONDS_TO_JUDGE if seconds is None else min(seconds, _SECONDS_TO_JUDGE)
        for worker in self._workers:
            if worker.waiting and not worker.loading:
                worker.wait(handler)
                return
        for worker in self._ready([w for w in self._workers if not w.free], seconds):
            if worker.loading:
                self._join(worker, handler)
            else:
                worker.wait(handler)

    def save_champion(
        self, spec: TrialSpec, checkpoint: Path, space: SearchSpace, folder: Path
    ) -> dict[str, float]:
        return self._workers[0].save_champion(spec, checkpoint, space, folder)

    def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls `Worker.ask` of the first worker. No trial may be running."""
        return self._workers[0].ask(function, *arguments)

    def close(self) -> None:
        """Ends all workers at the same time."""
        with ThreadPoolExecutor() as closing:
            list(closing.map(Worker.close, self._workers))

    def _ready(self, workers: Sequence[Worker], seconds: float | None = None) -> Sequence[Worker]:
        """Waits at most `seconds` for messages; returns the workers that have sent one or died."""
        connections = {cast(WorkerProcess, w.process).connection: w for w in workers}
        ready = wait(connections, seconds)
        return [worker for connection, worker in connections.items() if connection in ready]

    def _grow_if_worth(self, start: Callable[[], None], jobs: int) -> None:
        seconds = time.monotonic() - self._began
        ended = self._submitted - sum(not worker.free for worker in self._workers)
        if seconds < _SECONDS_TO_JUDGE:
            return
        if seconds / max(ended, 1) * (jobs - ended) >= _SECONDS_WORTH:
            start()
            self._later = None

    def _join(self, worker: Worker, handler: Handler) -> None:
        """Receives a worker's answer to `load_study`. Drops a worker that can't load the study."""
        try:
            worker.wait(handler)
        except WorkerError as error:
            self._do_without(worker, error)
            if worker.waiting:
                # A process of this worker died before it took its job, and the process that
                # replaced it can't load the study. So another worker must run the job.
                handler.on_lost(worker.waiting.fits[0].spec, error)
        self._check_alike(worker)

    def _do_without(self, worker: Worker, error: WorkerError) -> None:
        """Drops a worker that can't load the study, usually for lack of memory.

        Raises the error if this is the only worker.
        """
        if len(self._workers) == 1:
            raise error
        self._end(worker)
        self._on_output(f"continuing with {len(self._workers)} of the workers: {error}")

    def _check_alike(self, worker: Worker) -> None:
        """Raises StudyError if a worker has loaded other code or data than the first worker."""
        if worker.loaded is not None and worker in self._workers:
            check_same(self.description, worker.loaded.description)

    def _end(self, worker: Worker) -> None:
        self._workers.remove(worker)
        worker.close()
