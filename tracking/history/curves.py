"""What was recorded of trials by epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from tracking.history.trial_reading import metric_by_step
from tracking.records import EndedTrial, TrialRecord, finished_trials
from tracking.runs.run_contents import from_mlflow, to_mlflow
from tracking.store.folder import Store


def epoch_metrics(store: Store, run_id: str) -> dict[int, dict[str, float]]:
    """Reads every metric that Keras logged in a run, by epoch."""
    client = store.client
    epochs: dict[int, dict[str, float]] = {}
    for name in client.get_run(run_id).data.metrics:
        for metric in client.get_metric_history(run_id, name):
            # Steps count from 1; metrics of the trial as a whole have step 0.
            if metric.step > 0:
                epochs.setdefault(metric.step, {})[from_mlflow(name)] = metric.value
    return dict(sorted(epochs.items()))


class RecordedCurves:
    """Reads the objective of recorded trials by epoch.

    Of a repeated one that of its first repeat; of a cross-validated one the mean over folds.
    """

    def __init__(self, store: Store, recorded: Iterable[TrialRecord]) -> None:
        self._store = store
        self._ended = finished_trials(recorded)

    def __call__(self, trial: TrialRecord) -> dict[int, float]:
        """Returns a trial's objective by epoch."""
        run_id, metric = _run_of(trial), trial.spec.objective.metric
        if run_id in self._together:
            return self._together[run_id]
        epochs = epoch_metrics(self._store, run_id)
        return {epoch: m[metric] for epoch, m in epochs.items() if metric in m}

    @cached_property
    def _together(self) -> dict[str, dict[int, float]]:
        if not self._ended:
            return {}
        run_ids = [_run_of(trial) for trial in self._ended]
        name = to_mlflow(self._ended[0].spec.objective.metric)
        return metric_by_step(self._store, run_ids, name) or {}


def curves_of_runs(
    store: Store, run_ids: Sequence[str], metric: str
) -> Mapping[str, Mapping[int, float]]:
    """Reads a metric of runs by epoch."""
    found = metric_by_step(store, run_ids, to_mlflow(metric))
    if found is not None:
        return found
    curves = {run_id: epoch_metrics(store, run_id) for run_id in run_ids}
    return {
        run_id: {epoch: m[metric] for epoch, m in epochs.items() if metric in m}
        for run_id, epochs in curves.items()
    }


def _run_of(trial: TrialRecord) -> str:
    repeats = trial.result.repeats if isinstance(trial, EndedTrial) else ()
    return repeats[0].run_id if repeats and repeats[0].fold is None else trial.run_id
