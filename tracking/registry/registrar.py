"""Where a champion is registered: in a store, or on an MLflow server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Registrar:
    """Where a study's champion is registered.

    Attributes:
        client: MLflow's client.
        experiment_id: The study's experiment there.
        parent_run_id: The parent run there of the study under the champion's engine.
        identity: The study's, if a model of this name there may be another study's; or empty.
        runs: Other runs there, by the store's; empty: they are the store's.
    """

    client: MlflowClient
    experiment_id: str
    parent_run_id: str
    identity: str = ""
    runs: Mapping[str, str] = field(default_factory=dict)

    def run(self, run_id: str) -> str:
        """Returns the run there that is a run of the store's."""
        return self.runs.get(run_id, run_id)
