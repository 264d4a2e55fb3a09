"""The table of trials."""

from __future__ import annotations

from collections.abc import Iterator

from tracking.records import TrialRecord
from tracking.records.verified import REPRODUCED
from tracking.report.formats import duration, number, value_text
from tracking.report.trial_data import StudyData, shown_trials

_GAP, _EPOCHS = "gap", "epochs trained"


def table_columns(data: StudyData) -> list[str]:
    """Returns the names of the table's columns."""
    training = [data.training_metric, _GAP] if data.training_metric else []
    metric = data.history.description.objective.metric
    names = [axis.name for axis in data.axes]
    trials = data.history.trials
    epochs = ["best epoch"] if any(trial.epoch is not None for trial in trials) else []
    trained = [] if all(t.result and t.result.of_no_epoch for t in trials) else [_EPOCHS]
    reasons = ["reason"] if any(t.result and t.result.reason for t in trials) else []
    return [
        "trial",
        "state",
        metric,
        *training,
        *epochs,
        *trained,
        "time",
        *names,
        *reasons,
    ]


def table_rows(data: StudyData) -> Iterator[list[str]]:
    """Yields a row of texts for each trial, the best first; empty where there is nothing."""
    columns = table_columns(data)
    gaps = dict(zip(data.trials["trial"], data.trials["gap"], strict=True)) if data.trials else {}
    for trial in shown_trials(data):
        result, best = trial.result, trial.best
        which = ", defaults" if trial.number == data.history.description.default_trial else ""
        which += ", reproduced" if trial.verified.startswith(REPRODUCED) else ""
        row = [
            str(trial.number),
            (trial.state if trial.holds else "contradicted by model.fit") + which,
            "" if best is None else number(best.value, 5),
        ]
        if data.training_metric:
            value = None if best is None else best.metrics.get(data.training_metric)
            row.append("" if value is None else number(value, 5))
            gap = None if value is None else gaps[trial.number]
            row.append("" if gap is None else number(gap, 3))
        if "best epoch" in columns:
            row.append("" if trial.epoch is None else str(trial.epoch))
        if _EPOCHS in columns:
            row.append("" if result is None else str(result.epochs))
        row += [
            "" if result is None else duration(result.seconds),
            *(_value(trial, axis.name) for axis in data.axes),
        ]
        if columns[-1] == "reason":
            row.append("" if result is None else result.reason[:300])
        yield row


def _value(trial: TrialRecord, name: str) -> str:
    return value_text(trial.params[name]) if name in trial.params else ""
