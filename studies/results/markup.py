"""Studies and trials as HTML, as notebooks show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from search_spaces.texts import readable
from tracking.summary import summary_of

if TYPE_CHECKING:
    from studies.definition import StudyDefinition
    from studies.results.study_results import StudyResults, Trial

_SHOWN = 5
"""The number of trials in the table of a study."""


def study_markup(results: StudyResults) -> str:
    """Returns a study's summary and its best trials, as HTML."""
    summary = summary_of(results, verdict=results.verdict)
    facts = {"study": results.name, **{fact.name: fact.text for fact in summary.facts}}
    heading, rows = summary.best_trials(_SHOWN)
    cells = [_row("th", heading), *(_row("td", row) for row in rows)]
    return _table(facts) + (f"<table>{''.join(cells)}</table>" if rows else "")


def definition_markup(study: StudyDefinition) -> str:
    """Returns a study's settings and its search space, as HTML."""
    heading = f"<p>{escape(repr(study).strip('<>'))}</p>"
    if study.space is None:
        return heading
    return heading + _table({each.name: repr(each) for each in study.space})


def trial_markup(trial: Trial) -> str:
    """Returns a trial's result and hyperparameters, as HTML."""
    heading = f"<p>{escape(repr(trial).strip('<>'))}</p>"
    if trial.reason:
        heading += f"<p>{escape(trial.reason)}</p>"
    return heading + _table(trial.params)


def _table(values: Mapping[str, object]) -> str:
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th>"
        f"<td>{escape(readable(value, 6))}</td></tr>"
        for name, value in values.items()
    )
    return f"<table>{rows}</table>"


def _row(element: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{element}>{escape(cell)}</{element}>' for cell in cells)}</tr>"
