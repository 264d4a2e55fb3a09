"""The report of a study, and the page that compares studies.

Each is one HTML file that contains its data, charts and scripts.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import altair as alt
import jinja2
import numpy as np
from altair.utils.schemapi import debug_mode

from search_spaces.texts import number
from tracking.history.champions import read_model_summary
from tracking.history.comparison import Comparison, compare
from tracking.history.study_history import StudyHistory
from tracking.report import theme
from tracking.report.chart_data import Columns, StudyData, columns_of, drawable, rows_of, value_text
from tracking.report.result_charts import one_curve
from tracking.report.sections_and_figures import (
    TRIALS,
    Figure,
    details,
    sections,
    table_of_trials,
    tables,
)
from tracking.shell_commands import reproduce_command
from tracking.store.atomic_writing import cached, write_atomically
from tracking.study_summary import Fact, cost_text, standing_facts

_ASSETS = Path(__file__).parent / "assets"
_DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3]]
# In a page, these colours become CSS variables, which have other values in dark mode (`page.css`).
_STYLED = {
    theme.INK: "var(--ink)",
    theme.MUTED: "var(--muted)",
    theme.LINE: "var(--line)",
    theme.PAPER: "var(--paper)",
    theme.GREY: "var(--grey)",
    theme.BLUE: "var(--accent)",
    theme.ORANGE: "var(--best)",
}
_OPTIONS = {
    # With "ast", Vega interprets expressions instead of calling `eval`, which the page's content
    # security policy forbids.
    "ast": True,
    "mode": "vega-lite",
    "renderer": "svg",
    # Vega-Embed's menu and colours of tooltips are off, as the page has its own.
    "actions": False,
    "tooltip": {"theme": "custom"},
}


# Without debug mode, Altair skips its schema checks, which take a third of the time to make a page.
@debug_mode(False)
def write_report(history: StudyHistory) -> Path:
    """Writes the report of a study, and returns its path."""
    data = StudyData(history)
    description, parts = history.description, sections(data)
    columns, rows = table_of_trials(data)
    charts = [figure.chart for section in parts for figure in section.figures]
    before, _, after = reproduce_command(history, "\0").partition("\0")
    first = history.chosen
    picked = first.number if first else next((t.number for t in history.trials), None)
    page = _render(
        "study.html",
        [*charts, *([one_curve(data)] if data.has_curves else [])],
        tables(data),
        {
            "picked": picked,
            # The page's script puts the number of the picked trial between these two parts.
            "command": (before, after),
            "headings": data.headings,
        },
        title=f"{description.name}: study report",
        data=data,
        description=description,
        picked=picked,
        params=[]
        if first is None
        else [
            (name, value_text(first.params[name]))
            for name in description.space.names
            if name in first.params
        ],
        sections=parts,
        columns=columns,
        rows=rows,
        table=TRIALS,
        model=read_model_summary(history),
        details=details(data),
    )
    file = history.folder / "report.html"
    write_atomically(file, page)
    return file


@debug_mode(False)
def write_comparison(histories: Sequence[StudyHistory], file: Path) -> None:
    """Writes a page that compares studies.

    Raises:
        ComparisonError: If the studies can't be compared.
    """
    comparison = compare(histories)
    studies = [StudyData(history) for history in histories]
    rows = _progress(comparison, studies)
    figures: list[Figure] = []
    if any(value is not None for value in rows.get("value", ())):
        spent = {"count": "trials", "seconds": "seconds of training"}
        figures = [Figure(_best_so_far(comparison, rows, by, title)) for by, title in spent.items()]
    page = _render(
        "comparison.html",
        [figure.chart for figure in figures],
        {"progress": rows},
        {"picked": None, "command": ["", ""], "headings": studies[0].headings},
        title=f"{', '.join(standing.label for standing in comparison.standings)}: comparison",
        labels=[standing.label for standing in comparison.standings],
        objective=comparison.objective,
        answer=" ".join(comparison.answer.sentences),
        figures=figures,
        standings=_standings(comparison),
        notes=comparison.notes,
    )
    write_atomically(file, page)


def _progress(comparison: Comparison, studies: Sequence[StudyData]) -> Columns:
    """Returns a table with a row for each trial of each study.

    ``count`` is the number of trials so far, and ``seconds`` the time of their trainings.
    """
    rows: list[dict[str, Any]] = []
    for standing, data in zip(comparison.standings, studies, strict=True):
        seconds = 0.0
        for count, row in enumerate(rows_of(data.trials), start=1):
            seconds += row["seconds"]
            rows.append(
                {
                    "study": standing.label,
                    "trial": row["trial"],
                    "count": count,
                    "seconds": round(seconds, 3),
                    **{name: row[name] for name in ("value", "best_so_far", "state")},
                }
            )
    return columns_of(rows)


def _best_so_far(comparison: Comparison, rows: Columns, by: str, title: str) -> alt.LayerChart:
    """Returns a chart of each study's best value so far, by the column `by` of `_progress`."""
    objective = comparison.objective
    scale = theme.objective_scale(_visible_bests(rows), objective, whole=True)
    y = alt.Y("best_so_far:Q", title=f"best {objective.metric} so far", scale=scale)
    axis = theme.whole_axis() if by == "count" else alt.Axis()
    x = alt.X(f"{by}:Q", title=title, axis=axis)
    labels = [standing.label for standing in comparison.standings]
    turns = range(len(labels))
    colors = alt.Scale(domain=labels, range=[theme.SERIES[i % len(theme.SERIES)] for i in turns])
    dashes = alt.Scale(domain=labels, range=[_DASHES[i % len(_DASHES)] for i in turns])
    legend = alt.Legend(orient="top", title=None, labelLimit=240)
    base = theme.chart("progress").transform_filter("isValid(datum.best_so_far)")
    lines = base.mark_line(interpolate="step-after", strokeWidth=2.2, clip=True).encode(
        x=x,
        y=y,
        color=alt.Color("study:N", scale=colors, legend=legend),
        strokeDash=alt.StrokeDash("study:N", scale=dashes, legend=legend),
    )
    return theme.finished(
        [lines],
        f"best_by_{by}",
        f"Best {objective.metric} so far, by {title}",
        300,
        f"The best {objective.metric} so far of {'; '.join(labels)}, by {title}.",
    )


def _visible_bests(rows: Columns) -> list[float]:
    """Returns the best values so far that the axis must contain.

    The first three trials of each study are left out if they would take three fourths of the axis.
    """
    table = [row for row in rows_of(rows) if row["best_so_far"] is not None]
    last = {row["study"]: row["best_so_far"] for row in table}
    later = [*last.values(), *(row["best_so_far"] for row in table if row["count"] > 3)]
    every = [row["best_so_far"] for row in table]
    return later if 0 < theme.FAR * np.ptp(later) < np.ptp(every) else every


def _standings(comparison: Comparison) -> list[list[str]]:
    """Returns a row for each fact: the fact's name, then its text for each study."""
    columns = [
        [
            *standing_facts(standing),
            *(Fact(f"until {number(r.target)}", cost_text(r)) for r in standing.reached),
        ]
        for standing in comparison.standings
    ]
    return [[row[0].name, *(fact.text for fact in row)] for row in zip(*columns, strict=True)]


def _render(
    template: str,
    charts: Sequence[alt.LayerChart],
    tables: Mapping[str, Columns],
    further: Mapping[str, Any],
    **values: Any,
) -> str:
    """Returns the HTML of a page.

    The template shows `values`. The script `page.js` draws each chart in the HTML element that has
    the chart's name. The script also gets the `tables` of the charts, and the values in `further`.
    """
    library, script = vega_library(), (_ASSETS / "page.js").read_text(encoding="utf-8")
    document = {
        "options": {**_OPTIONS, "config": theme.config()},
        "tables": tables,
        "charts": {str(chart.name): _specification(chart) for chart in charts},
        **further,
    }
    return (
        templates()
        .get_template(template)
        .render(
            css=(_ASSETS / "page.css").read_text(encoding="utf-8"),
            version=metadata.version("kerastudy"),
            library=library,
            script=script,
            document=_embedded(document),
            policy=_policy(library, script),
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            **values,
        )
    )


def templates() -> jinja2.Environment:
    """Returns Jinja's environment for the templates of pages. The templates escape all values."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_ASSETS), autoescape=True, trim_blocks=True
    )


@cache
def vega_library() -> str:
    """Returns Vega, Vega-Lite and Vega-Embed as JavaScript.

    vl-convert takes two seconds of CPU to bundle them, so the user's cache folder keeps the bundle.
    """

    def bundle() -> bytes:
        import vl_convert

        return str(vl_convert.javascript_bundle()).encode()  # type: ignore[call-arg]

    version = metadata.version("vl-convert-python")
    return cached(f"vega-of-vl-convert-{version}.js", bundle).decode()


def _policy(*scripts: str) -> str:
    """Returns a content security policy that allows only these scripts, and no network."""
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _embedded(document: Any) -> str:
    """Returns a document as JSON for a script element.

    Each ``<`` is escaped, since ``</script>`` in a text would end the element.
    """
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for color, style in _STYLED.items():
        text = text.replace(f'"{color}"', f'"{style}"')
    return text.replace("<", "\\u003c")


def _specification(chart: alt.LayerChart) -> dict[str, Any]:
    """Returns a chart's Vega-Lite specification. The page's script adds width and data."""
    specification: dict[str, Any] = drawable(chart.to_dict(validate=False))
    for name in ("title", "config", "name", "description"):
        specification.pop(name, None)
    units = [specification, *specification.get("layer", ())]
    names = {unit["data"]["name"] for unit in units if "name" in unit.get("data", {})}
    names -= set(specification.get("datasets", ()))
    brush = next((param for param in specification.get("params", ()) if "select" in param), None)
    usermeta: dict[str, Any] = {"tables": sorted(names)}
    if brush is not None:
        unit = next(unit for unit in units if unit.get("name") in brush["views"])
        usermeta["brush"] = {
            "name": brush["name"],
            "table": unit.get("data", specification.get("data"))["name"],
            "channels": brush["select"]["encodings"],
        }
    autosize = {"type": "fit-x", "contains": "padding"}
    return {**specification, "width": "container", "autosize": autosize, "usermeta": usermeta}
