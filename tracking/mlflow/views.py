"""Prepared views of a study in the MLflow UI: *Trials*, *Charts* and *Curves*.

The UI keeps a view that a user saves in a tag of the experiment, and lists it under "Views": an
envelope with a name, times, and the page's state (filter, sorting, columns, charts). These are the
same tags, written in advance. They name no run, so they fit every copy of the study.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tracking.mlflow import tags
from tracking.mlflow.pages import view_id
from tracking.mlflow.tags import to_mlflow
from tracking.records import StudyDescription

# MLflow refuses longer texts in an experiment's tag.
_LONGEST: Final = 20_000
# Wider tables and more charts are of little use.
_MOST_COLUMNS: Final = 40
_MOST_CHARTS: Final = 12
_MOST_AXES: Final = 8
# Metrics of each trial that are no curves.
_SINGLE: Final = ("system/seconds", "system/peak_memory_bytes", "system/model_parameters")

# The column with the runs' names.
_NAME: Final = "attributes.`Run Name`"

# Metrics of a second model are called "fit_2/val_loss".
_FIT: Final = re.compile(r"^(fit_\d+/|)")
_VALIDATED: Final = re.compile(_FIT.pattern + "val_")

Chart = dict[str, Any]


def view_tags(
    description: StudyDescription, created: int, *, several: bool, metrics: Iterable[str] = ()
) -> dict[str, str]:
    """Returns the tags of an experiment that hold its prepared views.

    Those are for a study of one or several engines, and the metrics that its trials log, as far as
    they are known. They were created at a Unix time in milliseconds.
    """
    names = sorted({description.objective.metric, *metrics}, key=_is_not(description))
    best = _best(description)
    table = {
        "searchFilter": f"tags.`{tags.KIND}` = 'trial'",
        "orderByKey": f"metrics.`{best}`",
        "orderByAsc": description.objective.direction == "min",
        "selectedColumns": (columns := _columns(description, several=several)),
        "columnOrder": [_NAME, *columns],
        "columnWidths": {
            **{each: _width(each.partition(".")[2].strip("`")) for each in columns},
            # The column has room for the run's colour and for the mark of sorting.
            _NAME: 60 + _width(_longest_name(description, several=several)),
            columns[0]: 30 + _width(columns[0].partition(".")[2].strip("`")),
        },
    }
    curves = _curves(names)
    # The UI adds a chart for each metric that has none, unless it was deleted.
    drawn = {chart.get("metricKey") for chart in curves}
    single = [_deleted(each) for each in (best, *_SINGLE)]
    hidden = [_deleted(to_mlflow(each)) for each in names]
    views = {
        "trials": ("Trials", table),
        "charts": (
            "Charts",
            {
                **table,
                **_page(Trials=2, Hyperparameters=3),
                "runsHiddenMode": "SHOW_ALL",
                "compareRunCharts": [*_values(description), *single, *hidden],
            },
        ),
        "curves": (
            "Curves of the ten best",
            {
                **table,
                **_page(**{"Training and validation": min(len(curves), 2)}),
                "runsHiddenMode": "FIRST_10_RUNS",
                "compareRunCharts": [
                    *curves,
                    *single,
                    *(each for each in hidden if each["metricKey"] not in drawn),
                ],
            },
        ),
    }
    # The last made is the first listed.
    texts = {
        tags.VIEW + view_id(view): _envelope(name, state, created - i)
        for i, (view, (name, state)) in enumerate(views.items())
    }
    return {key: text for key, text in texts.items() if len(text) <= _LONGEST}


def _envelope(name: str, state: Mapping[str, Any], created: int) -> str:
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    return json.dumps(
        {"name": name, "createdAt": created, "updatedAt": created, "state": f"deflate;{packed}"}
    )


def _best(description: StudyDescription) -> str:
    return to_mlflow(f"best_{description.objective.metric}")


def _is_not(description: StudyDescription) -> Any:
    """Returns a key that sorts metrics: the objective first."""
    return lambda name: (name != description.objective.metric, name)


def _columns(description: StudyDescription, *, several: bool) -> list[str]:
    dimensions = description.space.dimensions[:_MOST_COLUMNS]
    return [
        f"metrics.`{_best(description)}`",
        *(f"tags.`{tag}`" for tag in (tags.BEST_EPOCH, tags.STATE)),
        *([f"tags.`{tags.ENGINE}`"] if several else []),
        *(f"params.`{to_mlflow(name)}`" for name in dimensions),
    ]


def _width(text: str) -> int:
    """Returns the pixels of a column in which a text fits, and a number with some digits."""
    return max(90, min(6 * len(text) + 32, 400))


def _longest_name(description: StudyDescription, *, several: bool) -> str:
    """Returns a long name of a trial's run, as `run_name` returns it."""
    spread = " ± 0.012" if description.trainings > 1 else ""
    engine = f" · {description.engine}" if several else ""
    return f"#1234 · {description.objective.metric} 0.1234{spread} @ epoch 12{engine}"


def _page(**sections: int) -> dict[str, Any]:
    """Returns the sections of a page of charts, each with the number of charts side by side."""
    return {
        "isAccordionReordered": True,
        "compareRunSections": [
            {"uuid": name, "name": name, "display": True, "isReordered": True, "columns": columns}
            for name, columns in sections.items()
        ],
    }


def _values(description: StudyDescription) -> list[Chart]:
    best, space = _best(description), description.space
    # A run that lacks one of the axes is not drawn: no hyperparameters with a condition.
    axes = [p.name for p in space if p.role != "fixed" and not p.when][:_MOST_AXES]
    scientific = [p.name for p in space if p.role == "scientific"]
    charts = [_scatter("Trials", "trial", best)]
    if axes:
        charts.append(
            {
                **_chart("PARALLEL", "Trials", "parallel coordinates"),
                "selectedParams": [to_mlflow(name) for name in axes],
                "selectedMetrics": [best],
                "showAllRuns": True,
            }
        )
    for name in [*(scientific or space.dimensions)][:_MOST_CHARTS]:
        charts.append(_scatter("Hyperparameters", to_mlflow(name), best))
    return charts


def _curves(metrics: Sequence[str]) -> list[Chart]:
    """Returns a chart for each metric, training and validation together."""
    pairs: dict[str, list[str]] = {}
    for name in metrics:
        pairs.setdefault(_VALIDATED.sub(r"\1", name), []).append(name)
    charts = []
    for name, measured in pairs.items():
        lines = [to_mlflow(each) for each in (_FIT.sub(r"\1val_", name), name)]
        if len(measured) == 1 and not _VALIDATED.search(measured[0]):
            # A learning rate, or a value that an objective function reports, is not validated.
            lines = [to_mlflow(name)]
        charts.append(
            {
                **_chart("LINE", "Training and validation", to_mlflow(name)),
                "metricKey": lines[0],
                "selectedMetricKeys": lines,
                "xAxisKey": "step",
                "xAxisScaleType": "linear",
                "scaleType": "linear",
                "lineSmoothness": 0,
                "range": {},
            }
        )
    return charts


def _scatter(section: str, param: str, metric: str) -> Chart:
    return {
        **_chart("SCATTER", section, param),
        "xaxis": {"key": param, "type": "PARAM"},
        "yaxis": {"key": metric, "type": "METRIC"},
    }


def _chart(kind: str, section: str, what: str) -> Chart:
    return {
        "uuid": f"{section}: {what}",
        "type": kind,
        "metricSectionId": section,
        "runsCountToCompare": 100,
        "deleted": False,
        "isGenerated": False,
    }


def _deleted(metric: str) -> Chart:
    return {**_chart("BAR", "", metric), "metricKey": metric, "deleted": True, "isGenerated": True}
