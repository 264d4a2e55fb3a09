"""The prepared views, pages and descriptions of a study in MLflow's UI."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from tracking.history import StudyHistory
from tracking.mlflow import tags_and_names as tags
from tracking.mlflow.tags_and_names import axis_of, to_mlflow
from tracking.records import EndedTrial, StudyDescription
from tracking.shell_commands import shell_command
from tracking.study_summary import summary_of, weights_text

VIEWS: Final[Mapping[str, str]] = {"trials": "TABLE", "charts": "CHART", "curves": "CHART"}
"""A study's prepared views, each with MLflow's `compareRunsMode`."""
# MLflow's UI has two modes: this one for model training, another one for prompts.
_TRAINING: Final = "workflowType=machine_learning"


def _run_page(experiment_id: str, run_id: str) -> str:
    """Returns the address of a run's page."""
    return f"#/experiments/{experiment_id}/runs/{run_id}?{_TRAINING}"


def _artifact_page(experiment_id: str, run_id: str, path: str) -> str:
    """Returns the address of the page that shows an artifact of a run."""
    page = f"#/experiments/{experiment_id}/runs/{run_id}/artifacts"
    return f"{page}/{quote(path)}?{_TRAINING}"


def _model_page(name: str) -> str:
    """Returns the address of a registered model's page."""
    return f"#/models/{quote(name, safe='')}?{_TRAINING}"


def _logged_model_page(experiment_id: str, model_id: str) -> str:
    """Returns the address of the page with a logged model's files."""
    return f"#/experiments/{experiment_id}/models/{model_id}/artifacts?{_TRAINING}"


def view_id(view: str) -> str:
    """Returns MLflow's id of a view, which is one of `VIEWS`."""
    return f"kerastudy-{view}"


def study_page(experiment_id: str) -> str:
    """Returns the address of an experiment's page, whose description has links to the views."""
    return f"#/experiments/{experiment_id}/runs?{_TRAINING}"


def view_page(experiment_id: str, view: str) -> str:
    """Returns the address of a view, which is one of `VIEWS`."""
    page = study_page(experiment_id)
    return f"{page}&viewStateShareKey={view_id(view)}&compareRunsMode={VIEWS[view]}"


# When a user saves a view, MLflow's UI writes a tag of the experiment, with the name and the times
# of the view, and the state of the page (filter, sorting, columns, charts). `view_tags` returns
# such tags. They contain no run ids, so the same tags fit copies of the study.

# MLflow refuses longer texts in an experiment's tag.
_LONGEST_VIEW: Final = 20_000
_MOST_TABLE_COLUMNS: Final = 40
_MOST_CHARTS: Final = 12
_MOST_AXES: Final = 8
# These metrics have one value for each trial, and no curve.
_SINGLE: Final = ("system/seconds", "system/model_parameters")

_NAME: Final = "attributes.`Run Name`"
# The id of the UI's own column "Created". The column can't be hidden, so it gets the width of an
# icon, in pixels.
_CREATED: Final = "runDateAndNestInfo"
_ICON: Final = 66

# If an objective function fits a second model, its metrics have names such as "fit_2/val_loss".
_FIT: Final = re.compile(r"^(fit_\d+/|)")
_VALIDATED: Final = re.compile(_FIT.pattern + "val_")

Chart = dict[str, Any]


def view_tags(
    description: StudyDescription, created: int, metrics: Iterable[str] = ()
) -> dict[str, str]:
    """Returns the tags that hold an experiment's prepared views.

    `created` is the views' time of creation, in Unix milliseconds. `metrics` are the names of the
    metrics that trials have logged so far.
    """
    objective = description.objective
    names = sorted({objective.metric, *metrics}, key=lambda name: (name != objective.metric, name))
    best = to_mlflow(f"best_{objective.metric}")
    columns = _columns(description, best)
    widths = {column: _width(len(text)) for column, text in columns.items()}
    # The column of names has room for the runs' colors, and the sorted column for its arrow.
    widths[next(iter(columns))] += 30
    widths |= {_CREATED: _ICON, _NAME: 60 + _width(len("#1234 defaults"))}
    table = {
        "searchFilter": f"tags.`{tags.KIND}` = 'trial'",
        "orderByKey": f"metrics.`{best}`",
        "orderByAsc": objective.direction == "min",
        "selectedColumns": list(columns),
        "columnOrder": [_NAME, _CREATED, *columns],
        "columnWidths": widths,
    }
    curves = _curves(names)
    # The UI adds a chart for each metric that has no chart. To prevent that, each such metric gets
    # a chart that is marked as deleted.
    curve_keys = {chart["metricKey"] for chart in curves}
    spread = to_mlflow(f"best_{objective.metric}_std")
    single = [_deleted(name) for name in (best, spread, *_SINGLE)]
    hidden = [_deleted(to_mlflow(name)) for name in names]
    charts = {
        **table,
        **_page(Trials=2, Hyperparameters=3),
        "runsHiddenMode": "SHOW_ALL",
        "compareRunCharts": [*_values(description, best), *single, *hidden],
    }
    curves_of_best = {
        **table,
        **_page(**{"Training and validation": min(len(curves), 2)}),
        "runsHiddenMode": "FIRST_10_RUNS",
        "compareRunCharts": [
            *curves,
            *single,
            *(chart for chart in hidden if chart["metricKey"] not in curve_keys),
        ],
    }
    views = [
        ("trials", "Trials", table),
        ("charts", "Charts", charts),
        ("curves", "Curves of the ten best", curves_of_best),
    ]
    # The UI lists the views by their times of creation, the latest first.
    texts = {
        tags.VIEW + view_id(view): _saved(name, state, created - i)
        for i, (view, name, state) in enumerate(views)
    }
    return {key: text for key, text in texts.items() if len(text) <= _LONGEST_VIEW}


def _saved(name: str, state: Mapping[str, Any], created: int) -> str:
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    return json.dumps(
        {"name": name, "createdAt": created, "updatedAt": created, "state": f"deflate;{packed}"}
    )


def _columns(description: StudyDescription, best: str) -> dict[str, str]:
    """Returns the headings of the table's columns, by MLflow's ids of the columns."""
    params = [to_mlflow(name) for name in description.space.dimensions[:_MOST_TABLE_COLUMNS]]
    return {
        f"metrics.`{best}`": best,
        **{f"params.`{name}`": name for name in params},
        **{f"tags.`{tag}`": tag for tag in (tags.STATE, tags.BEST_EPOCH)},
    }


def _width(letters: int) -> int:
    """Returns the width, in pixels, of a column that fits a text of so many letters."""
    return max(90, min(6 * letters + 32, 400))


def _page(**sections: int) -> dict[str, Any]:
    """Returns a page. `sections` has, by name, how many charts are side by side."""
    return {
        "isAccordionReordered": True,
        "compareRunSections": [
            {"uuid": name, "name": name, "display": True, "isReordered": True, "columns": columns}
            for name, columns in sections.items()
        ],
    }


def _values(description: StudyDescription, best: str) -> list[Chart]:
    """Returns the charts of the best values: by trial, and by hyperparameters."""
    space = description.space
    # The UI leaves out runs that lack a value for one of the axes. So conditional hyperparameters
    # get no axis.
    axes = [axis_of(p) for p in space if p.role != "fixed" and not p.when][:_MOST_AXES]
    scientific = [p.name for p in space if p.role == "scientific"]
    charts = [_scatter("Trials", "trial", best)]
    if axes:
        coordinates = {"selectedParams": axes, "selectedMetrics": [best], "showAllRuns": True}
        charts.append({**_chart("PARALLEL", "Trials", "parallel coordinates"), **coordinates})
    names = [*(scientific or space.dimensions)][:_MOST_CHARTS]
    return charts + [_scatter("Hyperparameters", axis_of(space[name]), best) for name in names]


def _curves(metrics: Sequence[str]) -> list[Chart]:
    """Returns a chart for each metric, with its training curve and its validation curve."""
    pairs: dict[str, list[str]] = {}
    for name in metrics:
        pairs.setdefault(_VALIDATED.sub(r"\1", name), []).append(name)
    charts = []
    for name, pair in pairs.items():
        lines = [to_mlflow(_FIT.sub(r"\1val_", name)), to_mlflow(name)]
        if pair == [name]:
            # A learning rate, or a value from `trial.report`, has no "val_" metric, so its chart
            # has one line.
            del lines[0]
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


def _chart(kind: str, section: str, name: str) -> Chart:
    return {
        "uuid": f"{section}: {name}",
        "type": kind,
        "metricSectionId": section,
        "runsCountToCompare": 100,
        "deleted": False,
        "isGenerated": False,
    }


def _deleted(metric: str) -> Chart:
    return {**_chart("BAR", "", metric), "metricKey": metric, "deleted": True, "isGenerated": True}


def model_description(name: str, experiment_id: str, tracking_uri: str) -> str:
    """Returns the description of a study's registered model: what it is, and how to load it."""
    study, address = _link(name, view_page(experiment_id, "trials")), f"models:/{name}@champion"
    code = _code_block(
        "import mlflow",
        "",
        f"mlflow.set_tracking_uri({tracking_uri!r})",
        f"model = mlflow.keras.load_model({address!r})",
        f"predict = mlflow.pyfunc.load_model({address!r}).predict",
    )
    return (
        f"Models of the study {study}. The alias `champion` is on the present choice: the best "
        "trial, the winner of a confirmation, or a trial that a person promoted.\n\n"
        "The input of a model is samples as the study's data has them: preprocessing is a part of "
        "the model. The page of a version shows the signature and the trial. To load the champion:"
        f"\n{code}"
    )


def version_description(
    description: StudyDescription,
    trial: EndedTrial,
    experiment_id: str,
    parent_id: str,
    run_id: str,
    model_id: str,
) -> str:
    """Returns the description of a model version: its trial, epoch and files."""
    _, best = trial.best_training
    command = shell_command("reproduce", description, trial=trial.number)
    of_trial = _link(f"trial {trial.number}", _run_page(experiment_id, run_id))
    files = _link("files", _logged_model_page(experiment_id, model_id))
    folds = trial.result.folds
    of_folds = f", trained on all {folds} folds" if folds else ""
    if trial.class_weight is not None:
        of_folds += f", trained with the class weights {weights_text(trial.class_weight)}"
    summary = _link("The study", _run_page(experiment_id, parent_id))
    return (
        f"Epoch {best.epoch} of {of_trial}{of_folds}. {summary} says what to expect. The {files} "
        "have the signature and an input example. To train the model again by plain model.fit, and "
        f"compare:\n{_code_block(command)}"
    )


# The UI would read these characters as Markdown, as HTML, or as a link (@name).
_MARKS = re.compile(r"[\\`*\[\]<>&|!#~@{}]|(?<![^\W_])_|_(?![^\W_])")


def _plain(text: str) -> str:
    """Returns a user's text on one line, with all markup escaped."""
    return _MARKS.sub(lambda mark: f"&#{ord(mark[0])};", " ".join(text.split()))


def _link(text: str, address: str) -> str:
    """Returns a Markdown link. The text is escaped, the address is not."""
    return f"[{_plain(text)}]({address})"


def _code_block(*lines: str) -> str:
    """Returns a Markdown code block, which begins with an empty line."""
    # The block is indented instead of fenced, as three backticks in a line would end a fenced
    # block.
    return "".join(f"\n    {' '.join(line.splitlines())}" for line in lines)


REPORT: Final = "report.html"
"""The file name of the report, in the study's folder and among the parent run's artifacts."""
_RUNNING: Final = "the best trial so far is the first of the trials."


@dataclass(frozen=True)
class Pages:
    """The ids and names that the addresses of a study's pages in MLflow contain."""

    experiment: str
    parent: str  # The id of the study's parent run.
    report: bool = False  # Whether the parent run has a report.
    model: str = ""  # The registered model's name; empty if there is none.


def study_note(history: StudyHistory, pages: Pages) -> str:
    """Returns a study's summary in Markdown.

    Links and the value to expect come first, because the UI shows only 100 pixels of a long text.
    While a launch runs, there are no facts.
    """
    links = " · ".join(_links(pages))
    if history.status == "RUNNING":
        return f"{links}\n\n**Running: {_RUNNING}**"
    summary = summary_of(history)
    lines = [links, "", *(f"- {fact.name}: {_plain(fact.text)}" for fact in summary.facts)]
    for command in summary.commands:
        lines += ["", f"Next: {_plain(command.purpose)}:", _code_block(command.text)]
    return "\n".join(lines)


def _links(pages: Pages) -> Iterator[str]:
    if pages.report:
        yield _link("report", _artifact_page(pages.experiment, pages.parent, REPORT))
    if pages.model:
        yield _link("registered model", _model_page(pages.model))
    for view in VIEWS:
        yield _link(view, view_page(pages.experiment, view))


def study_description(history: StudyHistory, pages: Pages, *, running: bool) -> str:
    """Returns the experiment's description: a line with the value to expect and links.

    The text is first, because the UI's list of experiments shows Markdown as it is written.
    `running` is whether a launch of the study is running. (The journal says RUNNING even after the
    launch was killed.)
    """
    if history.status == "RUNNING":
        state = (
            "Running" if running else "The launch was killed; launch the study again to resume it"
        )
        text = f"{state}: {_RUNNING}"
    else:
        text = " ".join(
            f"{fact.name.capitalize()}: {_plain(fact.text.rstrip('.'))}."
            for fact in summary_of(history).expected
            if fact.name in ("warning", "expect")
        )
    links = [_link("summary", _run_page(pages.experiment, pages.parent))]
    links += [_link(view, view_page(pages.experiment, view)) for view in VIEWS]
    return f"{text} {' · '.join(links)}"[: tags.LONGEST]


def is_replaceable(text: str) -> bool:
    """Returns whether an experiment's description may be replaced.

    It may be replaced if it is empty, or if it is a text of `study_description`.
    """
    return not text or view_id("trials") in text
