"""Trials in this process, in the thread that waits for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from search_spaces import SearchSpace
from studies.executors.executor import Handler
from studies.executors.session import Session
from tracking.records import StudyDescription, TrialSpec, TrialTask


class InProcessExecutor:
    """Runs each job within `wait`.

    In the same thread, as Keras keeps global state, such as the dtype policy, per thread.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._waiting: deque[tuple[TrialTask, ...]] = deque()

    @property
    def description(self) -> StudyDescription:
        """See `Executor`."""
        return self._session.description

    @property
    def environment(self) -> Mapping[str, str]:
        """See `Executor`."""
        return self._session.environment

    @property
    def free(self) -> int:
        """See `Executor`."""
        return 0 if self._waiting else 1

    def submit(self, *fits: TrialTask) -> None:
        """See `Executor`."""
        self._waiting.append(fits)

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        """See `Executor`. Returns when the job has ended."""
        for result in self._session.results(self._waiting.popleft(), handler.on_epoch):
            handler.on_result(result)

    @property
    def delayed(self) -> Sequence[TrialSpec]:
        """See `Executor`."""
        return ()

    def cut(self, number: int) -> bool:
        """See `Executor`. There is no process to end but this one."""
        return False

    def save_champion(
        self, spec: TrialSpec, checkpoint: Path, space: SearchSpace, folder: Path
    ) -> dict[str, float]:
        """See `Executor`."""
        return self._session.save_champion(spec, checkpoint, space, folder)

    def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """See `WorkerExecutor.ask`."""
        return self._session.answer(function, *arguments)

    def close(self) -> None:
        """See `Executor`."""
        self._waiting.clear()
