"""Recorded trials at work in this process, for tests whose new process is not the subject."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any
from unittest.mock import patch

from studies.again import recorded_worker
from studies.executors.in_process import InProcessExecutor
from studies.executors.session import Session
from studies.training.process.determinism import prepare_environment
from studies.user_code.loading import Target, load_study


class _Here(InProcessExecutor):
    """Takes what `WorkerExecutor` takes, and loads the study when it is made."""

    def __init__(
        self, target: Target, *, overrides: Mapping[str, Any], data: str, threads: int, **_: Any
    ) -> None:
        prepare_environment(threads)
        study, code = load_study(target)
        study = study.with_overrides({**overrides, **({"data": data} if data else {})})
        super().__init__(Session.open(study, code, study.threads or threads, data))

    def load(self) -> None:
        """It is loaded."""


@contextlib.contextmanager
def recorded_here() -> Iterator[None]:
    """Spares a command such as promote its process, which imports TensorFlow.

    `tests/champion/test_champion_commands` evaluates in a real one.
    """
    with patch.object(recorded_worker, "WorkerExecutor", _Here):
        yield
