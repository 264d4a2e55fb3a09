"""Trials side by side, or one below the other where they fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from studies.commands.texts.tables import in_blocks
from studies.commands.texts.values import shown
from studies.engines.engine import Curve
from studies.lines import printable, terminal_columns, width
from tracking.history.curves import sparkline_if_curve
from tracking.history.study_history import StudyHistory
from tracking.records import TrialRecord
from tracking.texts import counted

_CURVE: Final = 10


def top_trials(history: StudyHistory, count: int | None, curve: Curve) -> list[str]:
    """Returns the best trials: a row for each if all of it fits, else a column for each.

    Args:
        history: The study.
        count: How many; None: as many of the five best as fit next to each other.
        curve: Reads a trial's objective by epoch.
    """
    trials = history.top(count or 5)
    rows = _rows(history, trials, curve)
    if _fits(rows):
        return in_blocks(_transposed(rows))
    return in_blocks(rows, most=1 if count is None else None)


def all_trials(history: StudyHistory, curve: Curve) -> list[str]:
    """Returns a row for each trial, with the hyperparameters that fit."""
    columns = _transposed(_rows(history, history.trials, curve))
    names = len(history.description.space)
    fixed = fitting = len(columns) - names
    while fitting < len(columns) and _fits(_transposed(columns[: fitting + 1])):
        fitting += 1
    lines = in_blocks(columns[:fitting], most=1)
    left = names - (fitting - fixed)
    if left:
        more = counted(left, "more hyperparameter")
        lines += ["", f"{more}: see show --trial N, or --json"]
    return lines


def _rows(history: StudyHistory, trials: Sequence[TrialRecord], curve: Curve) -> list[list[str]]:
    names = history.description.space.names
    metric = history.description.objective.metric
    curves = [sparkline_if_curve([*curve(trial).values()], _CURVE) for trial in trials]
    drawn = any(curves)
    heading = ["trial", metric, "epoch", "state", *(["curve"] if drawn else []), *names]
    return [
        [*map(printable, heading)],
        *(
            _cells(trial, names, [line] if drawn else [])
            for trial, line in zip(trials, curves, strict=True)
        ),
    ]


def _cells(trial: TrialRecord, names: Sequence[str], lines: Sequence[str]) -> list[str]:
    values = [shown(trial.spec.values[n]) if n in trial.spec.values else "-" for n in names]
    best = trial.best
    result = trial.result
    at = "-" if best is None else f"{best.epoch}/{trial.spec.epochs}"
    if result is not None and result.trainer == "objective" and best is not None:
        at = "-" if result.of_no_epoch else f"{best.epoch}/{result.epochs}"
    value = "-" if best is None else shown(best.value)
    return [str(trial.number), value, at, trial.state, *lines, *values]


def _transposed(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _fits(rows: Sequence[Sequence[str]]) -> bool:
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return sum(widths) + 2 * (len(widths) - 1) <= terminal_columns()
