"""The `Executor` protocol, and the jobs that it runs: trials, trainings of `confirm`, reruns.

A job is one fit, or all fits of a trial with repeats or folds. `run_jobs` takes a job from a `Jobs`
queue, calls `Job.begin`, which records that the job begins, and submits the job's fits to the
executor. If the process of a job dies, `run_jobs` begins the job again. The subclasses of `Jobs`,
such as the driver of a launch, handle the epochs and the results.

The executors are `InProcessExecutor`, `WorkerPool` and `RayPool`.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol

from search_spaces import SearchSpace
from search_spaces.errors import WorkerError
from studies.progress import Progress
from tracking.records import (
    Decision,
    EpochResult,
    StudyDescription,
    TrialResult,
    TrialSpec,
    TrialState,
    TrialTask,
)


class Handler(Protocol):
    """The methods that `Executor.wait` calls for the events of jobs, in the same thread."""

    def on_epoch(self, epoch: EpochResult) -> Decision:
        """Handles an epoch that has ended; returns whether the trial continues."""
        ...

    def on_result(self, result: TrialResult) -> None:
        """Handles a fit's result. If the fit is complete, the job's next fit begins after this."""
        ...

    def on_lost(self, spec: TrialSpec, error: WorkerError) -> None:
        """Handles a fit whose process died. `error` says why the process died."""
        ...


class Executor(Protocol):
    """Runs jobs. ``tests/support/conformance/executor.py`` tests every executor.

    A job runs the fits of a trial one after another on one worker: one fit, or one for each repeat
    or fold. The job ends early after a fit that is not complete. For each fit that begins, `wait`
    calls either `Handler.on_result` or `Handler.on_lost`, exactly once. Jobs begin in the order in
    which they are submitted.
    """

    @property
    def description(self) -> StudyDescription:
        """The study's definition, as the process that trains has loaded it."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """The machine that the trials run on, and the versions of its libraries."""
        ...

    @property
    def free(self) -> int:
        """How many jobs can be submitted now."""
        ...

    def submit(self, *fits: TrialTask) -> None:
        """Accepts a job, as the tasks of its fits, and runs it when a worker is free."""
        ...

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        """Waits for events, and calls the handler's methods for them.

        An executor that runs jobs within this method may take longer than `seconds`.
        """
        ...

    def save_champion(
        self, spec: TrialSpec, checkpoint: Path, space: SearchSpace, folder: Path
    ) -> dict[str, float]:
        """Saves a trial's best weights as an MLflow model; returns the model's validation metrics.

        The model's predictions of the validation data go into the file that `predictions_beside`
        names. Raises StudyError if the model can't be rebuilt or saved.
        """
        ...

    def close(self) -> None:
        """Ends the executor's processes. The handler gets no events any more."""
        ...


# If the process of a job has died this many times, the job itself is probably the cause. So the job
# does not begin again.
_ATTEMPTS = 3
# While no job runs, `run_jobs` checks after this many seconds whether it must stop.
_SECONDS_TO_NOTICE = 0.5
# Jobs that begin within this time are recorded in one transaction. A job trains only after this
# transaction, so a longer time would delay its training.
_SECONDS_TOGETHER = 0.02


@dataclass(eq=False)
class Job:
    """One or more fits that a worker runs one after another.

    If a fit does not complete, the later fits are not run.

    Attributes:
        number: The trial's number. Jobs that run at the same time have different numbers.
        begin: A function that records the begin of an attempt, and returns the tasks of its fits.
        name: The job's name for people; empty for a trial.
        losses: How often the job's process died. Deaths do not count if the machine went away.
        alone: Whether the job must run alone, because it ran out of memory.
        open_fits: How many fits of the present attempt have not ended.
    """

    number: int
    begin: Callable[[], Iterable[TrialTask]]
    name: str = ""
    losses: int = 0
    alone: bool = False
    open_fits: int = field(default=0, init=False)


class Jobs(ABC):
    """A queue of jobs, with the methods that handle their events.

    Attributes:
        queue: The jobs that have not begun.
        stopped: Whether `stop` was called.
    """

    def __init__(self) -> None:
        self.queue: deque[Job] = deque()
        self.stopped = False

    def stop(self) -> None:
        """Makes running jobs end after their present epoch, and lets no other job begin."""
        self.stopped = True

    @property
    def stopping(self) -> bool:
        """Whether running jobs end after their present epoch, and no job begins."""
        return self.stopped

    @property
    def waits(self) -> bool:
        """Whether there may be jobs that have not begun."""
        return bool(self.queue)

    def next_job(self) -> Job | None:
        """Returns the next job, or None if no job can begin now."""
        return self.queue.popleft() if self.queue else None

    def together(self) -> AbstractContextManager[object]:
        """Returns a context in which several jobs begin, so that they can be recorded together.

        The jobs train after the context has ended.
        """
        return nullcontext()

    def taking(self) -> AbstractContextManager[object]:
        """Returns a context for a call of `Executor.wait`.

        At its end, a subclass can record all events of the call together.
        """
        return nullcontext()

    @abstractmethod
    def on_epoch(self, epoch: EpochResult) -> Decision:
        """Handles an epoch that has ended; returns whether the fit and its job continue."""

    @abstractmethod
    def on_result(self, result: TrialResult) -> None:
        """Handles a fit's result. If the fit is complete, the job's next fit begins after this."""

    @abstractmethod
    def on_lost(self, spec: TrialSpec, error: WorkerError, why: str) -> TrialResult | None:
        """Handles a fit that was lost because its process died.

        An empty `why` means that the job can begin again. If this method then returns None, the
        user sees the error, and the job begins again before all waiting jobs. If this method
        returns a result, the job ends with that result. A text in `why` says that the job has
        failed too often. The job then ends as infeasible, for this reason.
        """


def result_of_lost(spec: TrialSpec, why: str, state: TrialState = "infeasible") -> TrialResult:
    """Returns the result of a fit whose process died."""
    return TrialResult(spec.number, state, reason=why, repeat=spec.repeat)


def run_jobs(executor: Executor, jobs: Jobs, progress: Progress) -> None:
    """Runs jobs until none is left. After `Jobs.stop`, only waits for running jobs."""
    _Run(executor, jobs, progress).run()


class _Run:
    def __init__(self, executor: Executor, jobs: Jobs, progress: Progress) -> None:
        self._executor, self._jobs, self._progress = executor, jobs, progress
        self._running: dict[int, Job] = {}
        # The jobs whose process died. They begin again in this order, before all other jobs.
        self._again: deque[Job] = deque()

    def run(self) -> None:
        self._submit()
        while self._running or self._waits_for_a_worker():
            self._wait()
            self._submit()

    def on_epoch(self, epoch: EpochResult) -> Decision:
        decision = self._jobs.on_epoch(epoch)
        self._progress.epoch_ended(epoch)
        return decision

    def on_result(self, result: TrialResult) -> None:
        job = self._running[result.number]
        job.open_fits -= 1
        if result.state != "complete" or not job.open_fits:
            del self._running[job.number]
        self._jobs.on_result(result)

    def on_lost(self, spec: TrialSpec, error: WorkerError) -> None:
        """Begins a job again whose process died, or ends the job."""
        job, why = self._running[spec.number], ""
        # If the machine goes away, the job is not the cause, so this death does not count.
        job.losses += not error.machine_gone
        if job.losses >= _ATTEMPTS or (error.out_of_memory and job.alone):
            why = f"{_ATTEMPTS} attempts, and in each {error}"
            if job.alone:
                why = f"{error}, with no other trial running"
        job.alone = job.alone or error.out_of_memory
        result = self._jobs.on_lost(spec, error, why)
        if result is None:
            how = "; the trial runs once more, alone" if error.out_of_memory and not why else ""
            self._progress.say(f"{job.name or f'trial {job.number}'}: {error}{how}")
        if result is not None or why:
            self.on_result(result or result_of_lost(spec, why))
            return
        self._again.appendleft(self._running.pop(job.number))
        self._progress.trial_gone(job.number)

    def _wait(self) -> None:
        """Waits for events. If no job runs, waits only a short time, to notice a stop."""
        idle = not self._running
        with self._jobs.taking():
            try:
                self._executor.wait(self, _SECONDS_TO_NOTICE if idle else None)
            except WorkerError:
                # The signal that stops this process may also end a worker that is loading the
                # study. That is no error.
                if not (idle and self._jobs.stopping):
                    raise

    def _waits_for_a_worker(self) -> bool:
        """Returns whether jobs are left, but no worker is free: all of them are being replaced."""
        if self._executor.free or self._jobs.stopping:
            return False
        return bool(self._again) or self._jobs.waits

    def _submit(self) -> None:
        """Begins jobs for free workers. A job trains only after it is recorded."""
        more = True
        while more:
            more, begun = False, list[tuple[Job, Iterable[TrialTask]]]()
            ends = time.monotonic() + _SECONDS_TOGETHER
            with self._jobs.together():
                while not more and len(begun) < self._executor.free and (job := self._next_job()):
                    self._running[job.number] = job
                    begun.append((job, job.begin()))
                    more = time.monotonic() > ends
            for job, fits in begun:
                tasks = [*fits]
                job.open_fits = len(tasks)
                self._progress.trial_begins(tasks[0].spec, job.name)
                self._executor.submit(*tasks)

    def _next_job(self) -> Job | None:
        if self._jobs.stopping:
            return None
        # No job begins while a job runs alone. A job that must run alone waits for running jobs.
        first = [*islice(self._running.values(), 1), *islice(self._again, 1)]
        if self._running and any(job.alone for job in first):
            return None
        return self._again.popleft() if self._again else self._jobs.next_job()
