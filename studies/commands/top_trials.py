"""The best trials side by side, as a table for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tracking.history.study_history import StudyHistory
from tracking.records import TrialRecord

_MOST_TRIALS = 5
_BETWEEN = 2


def top_trials(history: StudyHistory, shown: Callable[[object], str], columns: int) -> list[str]:
    """Returns a line for each hyperparameter, with a column for each of the best trials.

    Args:
        history: The study.
        shown: Spells a value.
        columns: Characters that a line may have; fewer trials fit if values are long.
    """
    names = history.description.space.names
    rows = [["trial", history.description.objective.metric, "epoch", "state", *names]]
    rows += [_cells(trial, names, shown) for trial in history.top(_MOST_TRIALS)]
    lines: list[str] = []
    for number, column in enumerate(rows):
        wider = _beside(lines, column)
        # The best trial is shown whatever its width.
        if number > 1 and max(map(_width, wider)) > columns:
            break
        lines = wider
    return lines


def _cells(trial: TrialRecord, names: Sequence[str], shown: Callable[[object], str]) -> list[str]:
    assert trial.best is not None
    values = [shown(trial.spec.values[n]) if n in trial.spec.values else "-" for n in names]
    return [str(trial.number), shown(trial.best.value), str(trial.best.epoch), trial.state, *values]


def _beside(lines: Sequence[str], column: Sequence[str]) -> list[str]:
    """Returns lines with one more cell each."""
    if not lines:
        return list(column)
    width = max(map(_width, lines)) + _BETWEEN
    return [
        f"{line}{' ' * (width - _width(line))}{cell}"
        for line, cell in zip(lines, column, strict=True)
    ]


def _width(text: str) -> int:
    """Returns the width of a text in columns: letters of Hangul take two."""
    from rich.cells import cell_len

    return cell_len(text)
