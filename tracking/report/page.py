"""Makes pages: that of a study, and that which compares studies or engines of one.

Each is one HTML file with all of its data, charts and scripts.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import altair as alt
import jinja2

from search_spaces.texts import amounts, counted, duration, number
from tracking.history.comparison import Comparison, Reached, compare
from tracking.history.study_history import StudyHistory
from tracking.report import page_texts, theme
from tracking.report.axes import drawable, value_text
from tracking.report.charts import one_curve
from tracking.report.figures import Figure, sections, tables
from tracking.report.trial_data import Columns, StudyData, columns_of

_ASSETS = Path(__file__).parent / "assets"
_DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3]]
# Rows of the table of trials on paper; the style sheet knows them too.
_PRINTED = 50
# Letters of texts that are not wrapped there, where a page has room for the columns.
_WHOLE, _MOST_WHOLE = 14, 20
# Neutral colours of charts, which the page's style gives other values in the dark.
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
    # Expressions are interpreted, not evaluated as code, which the page's policy forbids.
    "ast": True,
    "mode": "vega-lite",
    "renderer": "svg",
    # The page has its own, which know its colours.
    "actions": False,
    "tooltip": {"theme": "custom"},
}


def study_page(history: StudyHistory, without: Path | None = None) -> str:
    """Returns the page of a study, as HTML; commands need not name the store's folder `without`."""
    data = StudyData(history, without)
    description, shown = history.description, sections(data)
    charts = [figure.chart for section in shown for figure in section.figures]
    best = data.ranked[0] if data.ranked else None
    picked = best.number if best else next((t.number for t in history.trials), None)
    columns = page_texts.table_columns(data)
    return _render(
        "study.html",
        [*charts, *([one_curve(data)] if data.has_curves else [])],
        tables(data),
        {
            "picked": picked,
            "command": page_texts.reproduce_command(data),
            "headings": data.headings,
        },
        title=f"{description.name}: study report",
        name=description.name,
        metric=description.objective.metric,
        best="" if best is None or best.value is None else number(best.value),
        picked=picked,
        one_curve=data.has_curves,
        verdict=page_texts.verdict(data),
        facts=page_texts.facts(data),
        sections=shown,
        columns=columns,
        rows=list(page_texts.table_rows(data)),
        printed=_PRINTED,
        whole=_WHOLE if len(columns) <= _MOST_WHOLE else 0,
        of_function=bool(description.objective_function),
        table_text=f"{counted(len(history.trials), 'trial')}, the best first. A click puts a "
        "trial in focus. Dragging over an area of a chart chooses trials in all charts and here; "
        "so does the list. Escape shows all again.",
        details=page_texts.details(data),
    )


def comparison_page(histories: Sequence[StudyHistory]) -> str:
    """Returns a page with studies side by side, as HTML."""
    comparison = compare(histories)
    studies = [StudyData(history) for history in histories]
    names = {history.description.name for history in histories}
    rows = _progress(comparison, studies)
    figures: list[Figure] = []
    if any(value is not None for value in rows.get("value", ())):
        spent = {"count": "trials", "seconds": "seconds of training"}
        figures = [Figure(_best_so_far(comparison, rows, *each)) for each in spent.items()]
    return _render(
        "comparison.html",
        [figure.chart for figure in figures],
        {"progress": rows},
        {"picked": None, "command": ["", ""], "headings": studies[0].headings},
        title=f"{', '.join(standing.label for standing in comparison.standings)}: comparison",
        labels=[standing.label for standing in comparison.standings],
        kind=f"Engines of {names.pop()}" if len(names) == 1 else "Studies",
        objective=comparison.objective,
        found=_best(comparison),
        figures=figures,
        standings=[_standing(comparison, place) for place in range(len(histories))],
        targets=[number(target) for target in comparison.targets],
        notes=comparison.notes,
        overlaps=[
            (each.name, [_region(r, each.numeric) for r in each.regions], f"{each.overlap:.2f}")
            for each in comparison.parameters
            if each.overlap is not None
        ],
        top=comparison.top,
    )


def _progress(comparison: Comparison, studies: Sequence[StudyData]) -> Columns:
    """Returns a row for each ended trial: its study, value, and what had been spent by then.

    Columns: ``study``, ``trial``, ``count`` (of trials), ``seconds`` (of training), ``value``,
    ``best_so_far``, ``state``.
    """
    rows: list[dict[str, Any]] = []
    for standing, data in zip(comparison.standings, studies, strict=True):
        trials = data.trials
        spent = itertools.accumulate(trials.get("seconds", ()))
        for place, (trial, seconds) in enumerate(zip(trials.get("trial", ()), spent, strict=True)):
            rows.append(
                {
                    "study": standing.label,
                    "trial": trial,
                    "count": place + 1,
                    "seconds": round(seconds, 3),
                    "value": trials["value"][place],
                    "best_so_far": trials["best_so_far"][place],
                    "state": trials["state"][place],
                }
            )
    return columns_of(rows)


def _best_so_far(comparison: Comparison, rows: Columns, by: str, title: str) -> alt.LayerChart:
    """Returns the best value so far of each study, by trials or by seconds of training."""
    objective = comparison.objective
    scale = theme.objective_scale(rows["best_so_far"], objective)
    y = alt.Y("best_so_far:Q", title=f"best {objective.metric} so far", scale=scale)
    whole = theme.whole_axis() if by == "count" else alt.Axis()
    x = alt.X(f"{by}:Q", title=title, axis=whole)
    labels = [standing.label for standing in comparison.standings]
    turns = range(len(labels))
    colors = alt.Scale(domain=labels, range=[theme.SERIES[i % len(theme.SERIES)] for i in turns])
    dashes = alt.Scale(domain=labels, range=[_DASHES[i % len(_DASHES)] for i in turns])
    legend = alt.Legend(orient="top", title=None, labelLimit=240)
    shown = theme.chart("progress").transform_filter("isValid(datum.best_so_far)")
    lines = shown.mark_line(interpolate="step-after", strokeWidth=2.2, clip=True).encode(
        x=x,
        y=y,
        color=alt.Color("study:N", scale=colors, legend=legend),
        strokeDash=alt.StrokeDash("study:N", scale=dashes, legend=legend),
    )
    return theme.finished(
        theme.layers(lines),
        f"best_by_{by}",
        f"Best {objective.metric} so far, by {title}",
        300,
        f"The best {objective.metric} so far of {'; '.join(labels)}, by {title}.",
    )


def _best(comparison: Comparison) -> str:
    """Returns which study found the best value, in a sentence."""
    values = {s.label: s.best.value for s in comparison.standings if s.best}
    valued = {label: value for label, value in values.items() if value is not None}
    if not valued:
        return "No trial has a value yet."
    label = min(valued, key=lambda each: comparison.objective.sort_key(valued[each]))
    return f"{label} found the best {comparison.objective.metric}: {number(valued[label])}."


def _standing(comparison: Comparison, place: int) -> list[str]:
    standing = comparison.standings[place]
    description, best = standing.history.description, standing.best
    at = "" if best is None or best.epoch is None else f", epoch {best.epoch}"
    return [
        standing.label,
        description.engine,
        "none" if best is None or best.value is None else number(best.value, 5),
        "" if best is None else f"{best.number}{at}",
        f"{len(standing.history.trials):,}: {amounts(standing.history.counts())}",
        f"{standing.epochs:,}",
        duration(standing.seconds),
        *(_cost(reached) for reached in standing.reached),
    ]


def _cost(reached: Reached) -> str:
    if reached.trials is None or reached.seconds is None:
        return "not reached"
    return f"{counted(reached.trials, 'trial')}, {duration(reached.seconds)}"


def _region(region: tuple[object, ...], numeric: bool) -> str:
    shown = [number(v) if isinstance(v, float) else value_text(v) for v in region]
    return " to ".join(dict.fromkeys(shown)) if numeric else ", ".join(shown)


def _render(
    template: str,
    charts: Sequence[alt.LayerChart],
    named: Mapping[str, Columns],
    further: Mapping[str, Any],
    **values: Any,
) -> str:
    """Returns a page made of a template, which escapes all values.

    Each chart stands in the place with its name, with the tables that it names. The page's script
    needs to know the further values, the template shows all others.
    """
    library, script = vega_library(), (_ASSETS / "page.js").read_text(encoding="utf-8")
    document = {
        "options": {**_OPTIONS, "config": theme.config()},
        "tables": named,
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
            made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            **values,
        )
    )


def templates() -> jinja2.Environment:
    """Returns the templates of pages, which escape all values."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_ASSETS), autoescape=True, trim_blocks=True
    )


@cache
def vega_library() -> str:
    """Returns Vega, Vega-Lite and Vega-Embed as JavaScript; the first call takes a second."""
    import vl_convert

    return str(vl_convert.javascript_bundle())  # type: ignore[call-arg]


def _policy(*scripts: str) -> str:
    """Returns the page's policy: its own scripts and no other, and nothing from any network."""
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _embedded(document: Any) -> str:
    """Returns a document as JSON that can't end the script element that it stands in."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for color, style in _STYLED.items():
        text = text.replace(f'"{color}"', f'"{style}"')
    return text.replace("<", "\\u003c")


def _specification(chart: alt.LayerChart) -> dict[str, Any]:
    """Returns a chart in Vega-Lite for the page, which gives it its width and its data."""
    specification: dict[str, Any] = drawable(chart.to_dict(validate=False))
    for name in ("title", "config", "name", "description"):
        specification.pop(name, None)
    units = [specification, *specification.get("layer", ())]
    known = {unit["data"]["name"] for unit in units if "name" in unit.get("data", {})}
    known -= set(specification.get("datasets", ()))
    brush = next((each for each in specification.get("params", ()) if "select" in each), None)
    usermeta: dict[str, Any] = {"tables": sorted(known)}
    if brush is not None:
        unit = next(each for each in units if each.get("name") in brush["views"])
        usermeta["brush"] = {
            "name": brush["name"],
            "table": unit.get("data", specification.get("data"))["name"],
            "channels": brush["select"]["encodings"],
        }
    autosize = {"type": "fit-x", "contains": "padding"}
    return {**specification, "width": "container", "autosize": autosize, "usermeta": usermeta}
