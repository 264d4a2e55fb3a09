"""The report of a study: one HTML file that contains its data, charts and scripts."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import altair as alt
import jinja2
from altair.utils.schemapi import debug_mode

from tracking.history.champion_confirmations_evaluations import read_model_summary
from tracking.history.study_history import StudyHistory
from tracking.report import theme
from tracking.report.chart_data import StudyData, drawable, value_text
from tracking.report.charts import one_curve
from tracking.report.sections_and_figures import (
    TRIALS,
    details,
    sections,
    table_of_trials,
    tables,
)
from tracking.shell_commands import reproduce_command
from tracking.store.locks_and_atomic_writing import cached, write_atomically

_ASSETS = Path(__file__).parent / "assets"
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
    first = history.chosen
    picked = first.number if first else next((t.number for t in history.trials), None)
    charts = [figure.chart for section in parts for figure in section.figures]
    charts += [one_curve(data)] if data.has_curves else []
    params = {} if first is None else first.params
    library, script = vega_library(), (_ASSETS / "page.js").read_text(encoding="utf-8")
    page = (
        templates()
        .get_template("page.html")
        .render(
            css=(_ASSETS / "page.css").read_text(encoding="utf-8"),
            version=metadata.version("kerastudy"),
            library=library,
            script=script,
            document=_embedded(_document(data, charts, picked)),
            policy=_policy(library, script),
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            data=data,
            description=description,
            picked=picked,
            params=[
                (name, value_text(params[name]))
                for name in description.space.names
                if name in params
            ],
            sections=parts,
            columns=columns,
            rows=rows,
            table=TRIALS,
            model=read_model_summary(history),
            details=details(data),
        )
    )
    file = history.folder / "report.html"
    write_atomically(file, page)
    return file


def _document(
    data: StudyData, charts: Sequence[alt.LayerChart], picked: int | None
) -> dict[str, Any]:
    """Returns the document for the script `page.js`.

    The script draws each chart in the HTML element that has the chart's name. `picked` is the
    number of the trial in focus.
    """
    before, _, after = reproduce_command(data.history, "\0").partition("\0")
    return {
        "options": {**_OPTIONS, "config": theme.config()},
        "tables": tables(data),
        "charts": {str(chart.name): _specification(chart) for chart in charts},
        "picked": picked,
        # The script puts the number of the picked trial between these two parts.
        "command": (before, after),
        "headings": data.headings,
    }


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
