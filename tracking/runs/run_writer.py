"""The protocol for writing runs, and MLflow's client behind it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric, Param, RunTag


# A batch of the client's holds 1,000 things at most, of which 100 params or tags.
_BATCH: Final = 1000
_LAST_BATCH: Final = 800
_MOST_PARAMS: Final = 100


class RunWriter(Protocol):
    """Writes runs of one experiment."""

    def begin(
        self,
        name: str,
        tags: Mapping[str, str],
        params: Sequence[Param],
        inputs: Sequence[DatasetInput],
    ) -> str:
        """Makes a run that is RUNNING; returns its id."""
        ...

    def log(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tags: Sequence[RunTag] = (),
        status: str | None = None,
    ) -> None:
        """Adds to a run, and ends it if a status is given.

        The tags are written after the rest; the status after the tags, or with them.
        """
        ...

    def together(self) -> contextlib.AbstractContextManager[None]:
        """Writes everything within at the end, in one transaction if possible."""
        ...

    def settle(self) -> None:
        """Ends a write that an interrupt left incomplete, so that others can write."""
        ...

    def close(self) -> None:
        """Closes the connection to the database, until the next write."""
        ...


class ClientWriter:
    """Writes by MLflow's client. See `RunWriter`."""

    def __init__(self, client: MlflowClient, experiment_id: str) -> None:
        self._client = client
        self._experiment_id = experiment_id

    def begin(
        self,
        name: str,
        tags: Mapping[str, str],
        params: Sequence[Param],
        inputs: Sequence[DatasetInput],
    ) -> str:
        """See `RunWriter.begin`."""
        run = self._client.create_run(self._experiment_id, run_name=name, tags=dict(tags))
        run_id: str = run.info.run_id
        if inputs:
            self._client.log_inputs(run_id, list(inputs))
        self.log(run_id, params=params)
        return run_id

    def log(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tags: Sequence[RunTag] = (),
        status: str | None = None,
    ) -> None:
        """See `RunWriter.log`."""
        for start in range(0, len(params) - _MOST_PARAMS, _MOST_PARAMS):
            self._client.log_batch(run_id, params=params[start : start + _MOST_PARAMS])
        params = params[(max(len(params) - 1, 0) // _MOST_PARAMS) * _MOST_PARAMS :]
        for start in range(0, len(metrics) - _LAST_BATCH, _BATCH):
            end = min(start + _BATCH, len(metrics) - _LAST_BATCH)
            self._client.log_batch(run_id, metrics=metrics[start:end])
        # MLflow writes a batch's tags after its metrics.
        self._client.log_batch(run_id, metrics[-_LAST_BATCH:], params, tags)
        if status is not None:
            self._client.set_terminated(run_id, status)

    def together(self) -> contextlib.AbstractContextManager[None]:
        """See `RunWriter.together`. Each is written at once."""
        return contextlib.nullcontext()

    def settle(self) -> None:
        """See `RunWriter.settle`. Each write ends by itself."""

    def close(self) -> None:
        """See `RunWriter.close`."""
