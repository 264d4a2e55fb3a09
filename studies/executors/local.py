"""The worker processes of a launch on this machine: their number and resources."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studies.executors.devices import variables_of
from studies.executors.pool import WorkerPool
from studies.executors.sizing import (
    Machine,
    asked_workers,
    described_workers,
    suited_workers,
    this_machine,
    too_many,
)
from studies.executors.worker import WorkerExecutor
from studies.executors.worker_process import OnOutput
from studies.user_code.shipping import ShippedStudy
from studies.user_code.targets import Target


class LocalWorkers:
    """Starts the workers of a launch, and adapts them to the study once it is loaded.

    Processes start before the study is loaded, as importing TensorFlow takes longest.

    Args:
        target: The study to load.
        overrides: Settings to replace.
        data: A file in place of the study's own data, or empty; see `replacing.spelled`.
        trials: In total, if known.
        threads: Of each trial, if known.
        workers: How many; None: by the machine and the study.
        shared: A folder in which they share the study's data.
        on_output: Takes what they print, and their number.
        folder: The folder that they run in; empty or missing: this process's.

    Raises:
        StudyError: If ``workers`` is wrong.
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
        """Waits until one worker has loaded the study. Raises StudyError if it cannot."""
        self.start_all()
        self.pool.load()
        if self._machine.gpus and not self.pool.loaded.gpus:
            # For example with TensorFlow's build for CPUs.
            self._machine = Machine(self._machine.cores, self._machine.memory)

    def suit(self, *, threads: int | None, finished: int) -> None:
        """Adapts them to the study: their threads, and their number unless the user chose it.

        Args:
            threads: Those of the record, which trials keep; None: those of the loaded study.
            finished: How many trials the record has.

        Raises:
            StudyError: If they must be restarted, and can't load the study.
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
        """Ends them."""
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
