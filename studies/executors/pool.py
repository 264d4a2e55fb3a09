"""Trials in several worker processes; the workers of a launch on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from search_spaces import SearchSpace
from search_spaces.errors import WorkerError
from studies.executors.executor import Handler
from studies.executors.messages import LoadedByWorkers, check_same
from studies.executors.sizing import (
    Machine,
    asked_workers,
    described_workers,
    suited_workers,
    this_machine,
    too_many,
    variables_of,
)
from studies.executors.worker import WorkerExecutor
from studies.executors.worker_process import OnOutput
from studies.user_code.shipping import ShippedStudy
from studies.user_code.targets import Target
from tracking.records import TrialSpec, TrialTask

_SECONDS_BETWEEN_LOOKS = 0.05


class WorkerPool(LoadedByWorkers):
    """An `Executor` that runs as many trials at once as it has workers.

    All workers are alike, and started. Trials begin as soon as one worker has loaded the study; the
    others join when they are ready.
    """

    def __init__(
        self, workers: Sequence[WorkerExecutor], on_output: OnOutput = lambda line: None
    ) -> None:
        self._workers = list(workers)
        self._on_output = on_output

    def load(self) -> None:
        """Waits until one worker has loaded the study. Raises StudyError if none can."""
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
        """Ends spare workers, or starts more: `start` gets each new worker's number."""
        for worker in self._workers[count:]:
            self._end(worker)
        for number in range(len(self._workers), count):
            self._workers.append(start(number))

    def __len__(self) -> int:
        """Returns the number of workers."""
        return len(self._workers)

    @property
    def free(self) -> int:
        return len(self._free())

    def submit(self, *fits: TrialTask) -> None:
        """Takes a job; prefers a worker that has trained such a model before."""
        free = self._free()
        worker = next((w for w in free if w.has_trained_like(fits[0].spec)), free[0])
        worker.submit(*fits)

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
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
        return [spec for worker in self._workers for spec in worker.delayed]

    def cut(self, number: int) -> bool:
        return any([worker.cut(number) for worker in self._workers])

    def save_champion(
        self, spec: TrialSpec, checkpoint: Path, space: SearchSpace, folder: Path
    ) -> dict[str, float]:
        return self._workers[0].save_champion(spec, checkpoint, space, folder)

    def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls a function with the session of a worker; only while no trial runs."""
        return self._workers[0].ask(function, *arguments)

    def close(self) -> None:
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


class LocalWorkers:
    """Starts the workers of a launch, and adapts them to the study once it is loaded.

    Processes start before the study is loaded, as importing TensorFlow takes longest. `data` is a
    file in place of the study's own data, or empty. `trials` and `threads` are None if unknown;
    `workers` is None if the machine and the study decide. The workers share data in the folder
    `shared`, and run in `folder` (empty or missing: this process's).
    """

    def __init__(
        self,
        target: Target | ShippedStudy,
        *,
        overrides: Mapping[str, Any],
        data: str,
        trials: int | None,
        threads: int | None,
        workers: int | None,
        shared: Path,
        on_output: OnOutput,
        folder: str = "",
    ) -> None:
        self._folder = folder
        self._target = target
        self._overrides = overrides
        self._data = data
        self._shared = shared
        self._on_output = on_output
        self._asked = asked_workers(workers)
        self._machine = this_machine()
        self._threads = threads
        suited = suited_workers(self._machine, trials=trials, threads=threads or 1)
        self._count = self._asked or suited
        # This process has its own work at first. If it has no core for that, the last worker starts
        # later, so that the first trial begins earlier.
        self.pool = self._start_pool(min(self._count, max(1, self._machine.cores - 1)))

    def start_all(self) -> None:
        """Starts the last worker, if it has not started yet."""
        self.pool.resize(self._count, self._start_worker)

    def load(self) -> None:
        """Waits until one worker has loaded the study. Raises StudyError if none can."""
        self.start_all()
        self.pool.load()
        if self._machine.gpus and not self.pool.loaded.gpus:
            # For example with TensorFlow's build for CPUs.
            self._machine = Machine(self._machine.cores, self._machine.memory)

    def suit(self, *, threads: int | None, finished: int) -> None:
        """Adapts them to the study: their threads, and their number unless the user chose it.

        `threads` are those of the record, which trials keep; None: those of the loaded study.
        `finished` is the number of trials in the record.
        """
        if threads is not None and threads != self.pool.description.threads:
            self.pool.close()
            self._threads = threads
            self.pool = self._start_pool(self._count)
            self.load()
        description = self.pool.description
        if self._asked is not None:
            warning = too_many(self._machine, self._asked, description.threads)
            if warning:
                self._on_output(f"warning: {warning}")
            return
        count = suited_workers(
            self._machine,
            trials=description.trials - finished,
            threads=description.threads,
            model_bytes=self.pool.loaded.model_bytes,
        )
        self.pool.resize(count, self._start_worker)
        self._on_output(described_workers(self._machine, count, description.threads))

    def close(self) -> None:
        self.pool.close()

    def _start_pool(self, count: int) -> WorkerPool:
        return WorkerPool([self._start_worker(n) for n in range(count)], self._on_output)

    def _start_worker(self, number: int) -> WorkerExecutor:
        return WorkerExecutor(
            self._target,
            overrides=self._overrides,
            data=self._data,
            threads=self._threads,
            folder=self._folder,
            shared=self._shared,
            variables=variables_of(self._machine.gpus, number),
            on_output=self._on_output,
        )
