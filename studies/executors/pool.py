"""Trials in several worker processes of this machine."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path

from search_spaces import SearchSpace
from studies.executors.executor import Handler
from studies.executors.worker import WorkerExecutor
from tracking.records import StudyDescription, TrialSpec, TrialTask


class WorkerPool:
    """Runs as many trials at once as it has workers. See `Executor`.

    Trials begin as soon as one worker has loaded the study; the others join in as they are ready.

    Args:
        workers: At least one; started, and alike.
    """

    def __init__(self, workers: Sequence[WorkerExecutor]) -> None:
        self._workers = list(workers)
        # What each has trained before: it has the programs of such models.
        self._known: dict[int, set[Hashable]] = {id(worker): set() for worker in workers}

    def load(self) -> None:
        """Waits until the first worker has loaded the study.

        Raises:
            StudyError: If it cannot.
        """
        for worker in self._workers:
            worker.ask_to_load()
        self._workers[0].load()

    @property
    def description(self) -> StudyDescription:
        """See `Executor`."""
        return self._workers[0].description

    @property
    def environment(self) -> Mapping[str, str]:
        """See `Executor`."""
        return self._workers[0].environment

    @property
    def free(self) -> int:
        """See `Executor`."""
        return len(self._free())

    def submit(self, task: TrialTask) -> None:
        """See `Executor`. A worker that has trained such a model before is preferred."""
        kind = _kind(task.spec)
        free = self._free()
        worker = next((w for w in free if kind in self._known[id(w)]), free[0])
        self._known[id(worker)].add(kind)
        worker.submit(task)

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        """See `Executor`."""
        for worker in self._workers:
            if worker.waits:
                worker.wait(handler)
                return
        busy = [worker for worker in self._workers if not worker.free]
        ready = wait([worker.connection for worker in busy], seconds)
        for worker in busy:
            if worker.connection in ready:
                worker.wait(handler)

    def cut(self, number: int) -> None:
        """See `Executor`."""
        for worker in self._workers:
            worker.cut(number)

    def save_champion(
        self, spec: TrialSpec, checkpoint: Path, space: SearchSpace, folder: Path
    ) -> dict[str, float]:
        """See `Executor`."""
        return self._workers[0].save_champion(spec, checkpoint, space, folder)

    def close(self) -> None:
        """See `Executor`."""
        for worker in self._workers:
            worker.close()

    def _free(self) -> list[WorkerExecutor]:
        return [worker for worker in self._workers if worker.free]


def _kind(spec: TrialSpec) -> Hashable:
    """Returns what models of the same structure mostly share: all values that are no floats."""
    return tuple(
        (name, value) for name, value in spec.values.items() if not isinstance(value, float)
    )
