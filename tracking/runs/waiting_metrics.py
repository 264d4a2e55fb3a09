"""Metrics of a training that are not written yet."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

from tracking.records import EpochResult
from tracking.runs.mlflow_names import to_mlflow

if TYPE_CHECKING:
    from mlflow.entities import Metric

# A long training shows its curve while it runs; a short one is written in one go.
_SECONDS_BETWEEN_FLUSHES: Final = 2.0


class WaitingMetrics:
    """The metrics of a training's epochs, some of them together."""

    def __init__(self) -> None:
        self._waiting: list[Metric] = []
        self._flushed = time.monotonic()

    def add(self, epoch: EpochResult) -> bool:
        """Takes those of an epoch; returns whether it is time to write all that wait."""
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        self._waiting += [
            Metric(to_mlflow(name), value, now, epoch.epoch)
            for name, value in epoch.metrics.items()
            # MLflow turns an infinity into 1.8e308, which then wins every sort.
            if math.isfinite(value)
        ]
        return time.monotonic() - self._flushed > _SECONDS_BETWEEN_FLUSHES

    def take(self) -> list[Metric]:
        """Returns all that wait; none waits then."""
        taken, self._waiting = self._waiting, []
        self._flushed = time.monotonic()
        return taken
