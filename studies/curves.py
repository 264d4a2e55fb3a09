"""What an engine was told of a trial while it trained."""

from __future__ import annotations

from tracking.history import epoch_metrics
from tracking.records import TrialRecord
from tracking.store import Store


def objective_by_epoch(store: Store, trial: TrialRecord) -> dict[int, float]:
    """Reads the objective of a recorded trial by epoch; of a repeated one, of its first repeat."""
    repeats = trial.result.repeats if trial.result is not None else ()
    epochs = epoch_metrics(store, repeats[0].run_id if repeats else trial.run_id)
    metric = trial.spec.objective.metric
    return {epoch: m[metric] for epoch, m in epochs.items() if metric in m}
