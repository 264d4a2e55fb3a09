"""Trials in several worker processes: a pool of them, and the workers of a launch."""

from __future__ import annotations

import abc
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, cast

from search_spaces import SearchSpace
from search_spaces.errors import WorkerError
from studies.executors.job_runner import Handler
from studies.executors.worker_count import (
    Machine,
    asked_workers,
    described_workers,
    suited_workers,
    this_machine,
    too_many,
    variables_of,
)
from studies.executors.worker_messages import LoadedByWorkers, LoadStudy, check_same
from studies.executors.worker_process import OnOutput, ProcessLike, WorkerExecutor, WorkerProcess
from studies.user_code import ShippedStudy, Target
from tracking.records import TrialSpec, TrialTask

_SECONDS_BETWEEN_LOOKS = 0.05
# Another worker takes 5 s of CPU to start. It is worth them if the trials left take one worker
# _SECONDS_WORTH, judged by the first _SECONDS_TO_JUDGE.
_SECONDS_TO_JUDGE, _SECONDS_WORTH = 3.0, 10.0


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
        # Starts the further workers, and for how many jobs; None if all have started.
        self._later: tuple[Callable[[], None], int] | None = None
        self._began, self._submitted = 0.0, 0

    def load(self) -> None:
        """Waits until one worker has loaded the study. Raises StudyError if none can."""
        while all(worker.loading for worker in self._workers):
            for worker in self._ready(self._workers):
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

    def grow(self, count: int, start: Callable[[int], WorkerExecutor], jobs: int) -> None:
        """Starts more workers while jobs run, if the jobs left take long enough to be worth it."""
        if count > len(self._workers):
            self._later = partial(self.resize, count, start), jobs

    def __len__(self) -> int:
        """Returns the number of workers."""
        return len(self._workers)

    @property
    def target(self) -> Target | ShippedStudy:
        """The study, with the source that the first worker has loaded."""
        return self._workers[0].target

    @property
    def free(self) -> int:
        return len(self._free())

    def submit(self, *fits: TrialTask) -> None:
        """Gives a job to a free worker, preferably one that has trained such a model before."""
        free = self._free()
        worker = next((w for w in free if w.has_trained_like(fits[0].spec)), free[0])
        worker.submit(*fits)
        self._began = self._began or time.monotonic()
        self._submitted += 1

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        if self._later is not None:
            self._grow_if_worth(*self._later)
            seconds = _SECONDS_TO_JUDGE if seconds is None else min(seconds, _SECONDS_TO_JUDGE)
        for worker in self._workers:
            if worker.waits and not worker.loading:
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
        """Calls a function with a worker's session. Call this only while no trial runs."""
        return self._workers[0].ask(function, *arguments)

    def close(self) -> None:
        """Ends all workers at the same time."""
        with ThreadPoolExecutor() as closing:
            list(closing.map(WorkerExecutor.close, self._workers))

    def _ready(
        self, workers: Sequence[WorkerExecutor], seconds: float | None = None
    ) -> Sequence[WorkerExecutor]:
        """Waits at most `seconds` for messages; returns the workers that have sent one or died."""
        ends = None if seconds is None else time.monotonic() + seconds
        processes = {worker: cast(WorkerProcess, worker.process) for worker in workers}
        while True:
            dead = [w for w, p in processes.items() if not p.connects and not p.connected]
            if dead:
                return dead
            connected = {w: p.connection for w, p in processes.items() if p.connected}
            # Workers that have not connected yet can't be waited for, but connect soon.
            timeout = seconds if len(connected) == len(workers) else _SECONDS_BETWEEN_LOOKS
            ready = wait(connected.values(), timeout)
            if ready or (ends is not None and time.monotonic() >= ends):
                return [w for w, connection in connected.items() if connection in ready]

    def _grow_if_worth(self, start: Callable[[], None], jobs: int) -> None:
        seconds = time.monotonic() - self._began
        ended = self._submitted - sum(not worker.free for worker in self._workers)
        if seconds < _SECONDS_TO_JUDGE:
            return
        if seconds / max(ended, 1) * (jobs - ended) >= _SECONDS_WORTH:
            start()
            self._later = None

    def _join(self, worker: WorkerExecutor, handler: Handler) -> None:
        """Adds a worker that has loaded the study, or drops one that can't."""
        try:
            worker.wait(handler)
        except WorkerError as error:
            self._do_without(worker, error)
            # The worker replaced another one, and a trial was waiting for it.
            for spec in worker.delayed:
                handler.on_lost(spec, error)
        self._check_alike(worker)

    def _do_without(self, worker: WorkerExecutor, error: WorkerError) -> None:
        """Continues without a worker that can't load the study, mostly for lack of memory."""
        if len(self._workers) == 1:
            raise error
        self._end(worker)
        self._on_output(f"continuing with {len(self._workers)} of the workers: {error}")

    def _check_alike(self, worker: WorkerExecutor) -> None:
        """Raises StudyError if a worker has loaded another study than the first worker."""
        if not worker.loading and worker in self._workers:
            check_same(self.loaded.description, worker.description)

    def _end(self, worker: WorkerExecutor) -> None:
        self._workers.remove(worker)
        worker.close()

    def _free(self) -> list[WorkerExecutor]:
        return [worker for worker in self._workers if worker.free]


class LaunchWorkers(abc.ABC):
    """Starts the workers of a launch, and adapts them to the study once it is loaded.

    Processes start before the study is loaded, as importing TensorFlow takes longest. `data` is a
    file that replaces the study's own data, or empty. `trials` and `threads` are None if unknown;
    `workers` is None for a suitable number. The workers share data in the folder `shared`.
    """

    pool: WorkerPool

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
    ) -> None:
        self._target, self._overrides, self._data = target, overrides, data
        self._shared, self._on_output, self._threads = shared, on_output, threads
        self._asked = asked_workers(workers)
        self._count = self._asked or self._suited(trials)
        self.pool = self._start_pool(self._asked or self._first())

    def load(self) -> None:
        """Waits until one worker has loaded the study. Raises StudyError if none can."""
        self.pool.load()

    def suit(self, *, threads: int | None, finished: int) -> None:
        """Adapts the workers' threads to the study, and their number unless the user chose it.

        `threads` is the recorded number, which trials keep; None: the number of the loaded study.
        `finished` is the number of trials in the record.
        """
        if threads is not None and threads != self.pool.description.threads:
            self.pool.close()
            self._threads = threads
            self.pool = self._start_pool(self._asked or self._first())
            self.load()
        description = self.pool.description
        self._threads = description.threads
        # Workers that start later run the same source, even if the user's modules change.
        self._target = self.pool.target
        if self._asked is None:
            left, model_bytes = description.trials - finished, self.pool.loaded.model_bytes
            self._count = self._suited(left, model_bytes)
            self.pool.resize(min(self._first(), self._count), self._start_worker)
            self.pool.grow(self._count, self._start_worker, left)
        if line := self._described():
            self._on_output(line)

    @property
    def count(self) -> int:
        """The number of workers, with those that start later."""
        return self._count

    def close(self) -> None:
        self.pool.close()

    def _first(self) -> int:
        """Returns how many workers start before the first trial."""
        return self._count

    @abc.abstractmethod
    def _suited(self, trials: int | None, model_bytes: int = 0) -> int:
        """Returns the number of workers that suit the trials left and the default model's size."""

    @abc.abstractmethod
    def _described(self) -> str:
        """Returns the workers' number and resources, for people to read."""

    def _start_pool(self, count: int) -> WorkerPool:
        return WorkerPool([self._start_worker(n) for n in range(count)], self._on_output)

    def _start_worker(self, number: int) -> WorkerExecutor:
        return WorkerExecutor(
            self._target,
            overrides=self._overrides,
            data=self._data,
            threads=self._threads,
            shared=self._shared,
            on_output=self._on_output,
            start=partial(self._start_process, number),
        )

    @abc.abstractmethod
    def _start_process(self, number: int, load: LoadStudy, on_output: OnOutput) -> ProcessLike:
        """Starts the process of the worker with this number."""


class LocalWorkers(LaunchWorkers):
    """The workers of a launch on this machine.

    They run in `folder`, or in this process's folder if `folder` is empty or does not exist. One
    starts first, and the others once the trials left are worth it. With `at_once`, all start first.
    """

    def __init__(
        self,
        target: Target | ShippedStudy,
        *,
        folder: str = "",
        at_once: bool = False,
        **of_launch: Any,
    ) -> None:
        self._folder, self._machine, self._at_once = folder, this_machine(), at_once
        super().__init__(target, **of_launch)

    def _first(self) -> int:
        # Trials that need a GPU are long.
        return self._count if self._at_once or self._machine.gpus else 1

    def load(self) -> None:
        super().load()
        if self._machine.gpus and not self.pool.loaded.gpus:
            # This may be TensorFlow's build for CPUs.
            self._machine = Machine(self._machine.cores, self._machine.memory)

    def _suited(self, trials: int | None, model_bytes: int = 0) -> int:
        threads = self._threads or 1
        return suited_workers(
            self._machine, trials=trials, threads=threads, model_bytes=model_bytes
        )

    def _described(self) -> str:
        if self._asked is None:
            return described_workers(self._machine, self._count, self._threads or 1)
        warning = too_many(self._machine, self._asked, self._threads or 1)
        return warning and f"warning: {warning}"

    def _start_process(self, number: int, load: LoadStudy, on_output: OnOutput) -> ProcessLike:
        folder = self._folder if self._folder and Path(self._folder).is_dir() else None
        return WorkerProcess(load, on_output, folder, variables_of(self._machine.gpus, number))
