"""The trainings of an objective function: the curves of each `fit` of its best trial."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import altair as alt

from tracking.report.charts import theme
from tracking.report.formats import significant
from tracking.report.trial_data import StudyData

_FIT: Final = re.compile(r"fit_(\d+)/(.+)")
_MOST_FITS: Final = 20


def fits_of_best(data: StudyData) -> alt.LayerChart | None:
    """Returns the loss of each `fit` of the best trial by epoch; None if it has trained nothing."""
    if not data.ranked:
        return None
    best = data.ranked[0]
    rows = fit_rows(data.history.curve(best))
    if not rows:
        return None
    names = list(dict.fromkeys(str(row["fit"]) for row in rows))
    lines = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(point=alt.OverlayMarkDef(size=22))
        .encode(
            x=theme.whole_numbers("epoch", "epoch", [row["epoch"] for row in rows], 1),
            y=alt.Y("loss:Q", title="loss", scale=alt.Scale(zero=False)),
            color=alt.Color("fit:N", sort=names, legend=alt.Legend(orient="top", title=None)),
            strokeDash=alt.StrokeDash(
                "part:N",
                sort=["validation", "training"],
                # Its symbols are dots, which are solid for both; the text says which is dashed.
                legend=None,
            ),
            tooltip=[
                alt.Tooltip("fit:N"),
                alt.Tooltip("part:N"),
                alt.Tooltip("epoch:Q"),
                alt.Tooltip("loss:Q", format=".5~g"),
            ],
        )
    )
    return theme.finished(
        theme.layers(lines),
        "fits",
        f"Trainings of trial {best.number}: loss",
        280,
        f"The loss by epoch of each model that trial {best.number}, the best, trained, on "
        "validation and training data.",
    )


def fit_rows(curve: Mapping[int, Mapping[str, float]]) -> list[dict[str, Any]]:
    """Returns the losses of the first models of a trial: rows of fit, part, epoch and loss."""
    rows: list[dict[str, Any]] = []
    for epoch, metrics in curve.items():
        for name, value in metrics.items():
            match = _FIT.fullmatch(name)
            number, metric = (int(match[1]), match[2]) if match else (1, name)
            if metric in ("loss", "val_loss") and number <= _MOST_FITS:
                part = "validation" if metric == "val_loss" else "training"
                rows.append(
                    {"fit": number, "part": part, "epoch": epoch, "loss": significant(value, 5)}
                )
    rows.sort(key=lambda row: (row["fit"], row["part"], row["epoch"]))
    return [{**row, "fit": f"fit {row['fit']}"} for row in rows]
