"""A study's trials as a table, a row for each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tracking.records import TrialRecord

if TYPE_CHECKING:
    import pandas as pd

    from tracking.history.study_history import StudyHistory


def trials_table(history: StudyHistory) -> pd.DataFrame:
    """Returns a study's trials as a table, a row for each, by number.

    Columns are named as by Optuna's `Study.trials_dataframe`:

    - ``number``, ``state``, ``value`` (the objective at the best epoch), ``epoch`` (that epoch,
      from 1), ``epochs`` (trained), ``started`` (UTC), ``seconds``, ``seed``, ``reason`` (why it is
      infeasible or ended early),
    - ``params_NAME`` for each hyperparameter; missing where it was not active,
    - ``metrics_NAME`` for each metric at the best epoch.
    """
    import pandas as pd

    names = history.description.space.names
    rows = [_row(trial, names) for trial in history.trials]
    metrics = dict.fromkeys(n for row in rows for n in row if n.startswith("metrics_"))
    columns = [*_COLUMNS, *(f"params_{name}" for name in names), *sorted(metrics)]
    table = pd.DataFrame(rows, columns=columns)
    table["started"] = pd.to_datetime(table["started"], unit="ms", utc=True)
    # Whole numbers that may be missing.
    return table.astype({"epoch": "Int64", "value": "float64", "seconds": "float64"})


_COLUMNS = ("number", "state", "value", "epoch", "epochs", "started", "seconds", "seed", "reason")


def _row(trial: TrialRecord, names: Iterable[str]) -> dict[str, Any]:
    result = trial.result
    row: dict[str, Any] = {
        "number": trial.number,
        "state": trial.state,
        "value": trial.value,
        "epoch": trial.epoch,
        "epochs": 0 if result is None else result.epochs,
        "started": trial.started,
        "seconds": None if result is None else result.seconds,
        "seed": trial.spec.seed,
        "reason": "" if result is None else result.reason,
    }
    row |= {f"params_{name}": trial.params.get(name) for name in names}
    if trial.best is not None:
        row |= {f"metrics_{name}": value for name, value in trial.best.metrics.items()}
    return row
