"""Makes a study's page: one HTML file with all of its data, charts and scripts."""

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

from tracking.report import headline
from tracking.report.charts import theme, training
from tracking.report.figures import Section, tables
from tracking.report.formats import count, drawable, number
from tracking.report.trial_data import Columns, StudyData
from tracking.report.trial_rows import details, table_columns, table_rows

_ASSETS = Path(__file__).parent / "assets"
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


def study_page(data: StudyData, shown: Sequence[Section], without: Path | None = None) -> str:
    """Returns the page of a study, as HTML.

    Args:
        data: The study.
        shown: Its charts, by section.
        without: A store's folder that commands need not name.
    """
    charts = [figure.chart for section in shown for figure in section.figures]
    best = data.ranked[0] if data.ranked else None
    picked = best.number if best else next((t.number for t in data.history.trials), None)
    verdict = headline.verdict(data, without)
    one_curve, columns = data.has_curves, table_columns(data)
    return render(
        "study.html",
        [*charts, *([training.one_curve(data)] if one_curve else [])],
        tables(data),
        {
            "picked": picked,
            "command": headline.reproduce_command(data, without),
            "headings": data.headings,
        },
        title=f"{data.history.description.name}: study report",
        name=data.history.description.name,
        metric=data.history.description.objective.metric,
        best="" if best is None or best.value is None else number(best.value),
        picked=picked,
        one_curve=one_curve,
        verdict=verdict,
        facts=headline.facts(data),
        sections=shown,
        columns=columns,
        rows=list(table_rows(data)),
        printed=_PRINTED,
        whole=_WHOLE if len(columns) <= _MOST_WHOLE else 0,
        of_function=bool(data.history.description.objective_function),
        table_text=f"{count(len(data.history.trials), 'trial')}, the best first. A click puts a "
        "trial in focus. Dragging over an area of a chart chooses trials in all charts and here; "
        "so does the list. Escape shows all again.",
        details=details(data),
    )


def render(
    template: str,
    charts: Sequence[alt.LayerChart],
    named: Mapping[str, Columns],
    further: Mapping[str, Any],
    **values: Any,
) -> str:
    """Returns a page made of a template, which escapes all values.

    Args:
        template: Its name.
        charts: The charts, each in the place with its name.
        named: The tables that they name.
        further: What the page's script needs to know.
        **values: What the template shows.
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
