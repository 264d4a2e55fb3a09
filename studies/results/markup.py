"""Studies and trials as HTML, as notebooks show them."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from search_spaces.texts import amounts, counted, readable
from tracking.history.trials import reasons

if TYPE_CHECKING:
    from studies.definition import StudyDefinition
    from studies.results.study_results import StudyResults, Trial

_SHOWN = 5
"""Trials in the table of a study."""


def study_markup(results: StudyResults) -> str:
    """Returns a study's state and its best trials."""
    states = results.counts()
    trials = counted(sum(states.values()), "trial")
    counts = amounts(states)
    counts = f"{trials}: {counts}" if counts else trials
    told = f"<p><b>{escape(results.name)}</b> ({escape(results.description.engine)}), {counts}</p>"
    if results.best is None:
        why = "".join(
            f"<p>{counted(len(each.trials), 'trial')}: {escape(each.text)}</p>"
            for each in reasons(results.trials)
        )
        return f"{told}<p>No trial has a value yet.</p>{why}"
    told += f"<p>{escape(results.verdict.text)}</p>"
    table = results.to_dataframe().set_index("number")
    columns = ["value", "epoch", "state", *(c for c in table if c.startswith("params_"))]
    top = table.loc[[trial.number for trial in results.top(_SHOWN)], columns]
    top = top.rename(columns=lambda name: name.removeprefix("params_")).reset_index()
    top = top.rename(
        columns={"number": "trial", "value": results.description.objective.metric}
    ).dropna(axis="columns", how="all")
    html: str = top.to_html(index=False, border=0, na_rep="–", float_format="{:.6g}".format)
    return told + html


def definition_markup(study: StudyDefinition) -> str:
    """Returns a study's settings and its search space."""
    told = f"<p>{escape(repr(study).strip('<>'))}</p>"
    if study.space is None:
        return told
    return told + _table({each.name: repr(each) for each in study.space})


def trial_markup(trial: Trial) -> str:
    """Returns a trial's result and hyperparameters."""
    told = f"<p>{escape(repr(trial).strip('<>'))}</p>"
    if trial.reason:
        told += f"<p>{escape(trial.reason)}</p>"
    return told + _table(trial.params)


def _table(values: Mapping[str, object]) -> str:
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th>"
        f"<td>{escape(readable(value, 6))}</td></tr>"
        for name, value in values.items()
    )
    return f"<table>{rows}</table>"
