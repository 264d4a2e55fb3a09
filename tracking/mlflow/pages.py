"""What the MLflow UI shows of a study: run names, Markdown texts, links and prepared views."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from search_spaces.texts import counted, duration, listed, readable
from tracking.history.study_history import StudyHistory
from tracking.history.trial_ranks import rank_of
from tracking.history.verdicts import (
    study_verdict,
)
from tracking.mlflow import tags
from tracking.mlflow.tags import axis_of, to_mlflow
from tracking.records import (
    EndedTrial,
    StudyDescription,
    TrialRecord,
    TrialResult,
    TrialSpec,
    training_name,
)
from tracking.shell_commands import reproduce_command
from tracking.summary import Fact, outcome_of, summary_of, trial_rows, value_text

# A run's description shows at most this many hyperparameters. All are among the run's params.
_SHOWN: Final = 30


def run_name(
    spec: TrialSpec,
    result: TrialResult | None = None,
    *,
    of_repeat: bool = False,
    of_defaults: bool = False,
    engine: str = "",
    folds: int = 0,
) -> str:
    """Returns the name of a trial's run, such as ``#15 · 0.9743``.

    `of_repeat` is true for a repeat or a fold. `engine` is given only if the study has several.
    """
    number = f"#{spec.number}" + (" defaults" if of_defaults else "")
    number += f" {training_name(spec.repeat, folds)}" if of_repeat else ""
    outcome = _trial_outcome(result, 0 if of_repeat else folds)
    return " · ".join(filter(None, (number, outcome, engine)))


def trial_note(
    spec: TrialSpec, values: Mapping[str, Any], result: TrialResult, reproduce: str
) -> str:
    """Returns the description of a trial in Markdown: its result, hyperparameters and command."""
    value = "" if result.best is None else f": {plain(value_text(spec, result))}"
    lines = [f"**{result.state.capitalize()}{value}**"]
    if result.reason:
        lines.append(plain(result.reason))
    shown = [f"{plain(name)} = {plain(readable(value))}" for name, value in values.items()]
    lines += ["", listed(shown, most=_SHOWN)]
    facts = [f"seed {spec.seed}", counted(result.epochs, "epoch"), duration(result.seconds)]
    if result.trainer:
        facts.append(f"trainer {result.trainer}")
    if result.model_parameters:
        facts.append(counted(result.model_parameters, "weight"))
    lines += ["", ", ".join(facts)]
    if result.best is not None:
        lines += code_block([reproduce])
    return "\n".join(lines)[: tags.LONGEST]


def _trial_outcome(result: TrialResult | None, folds: int) -> str:
    if result is None:
        return "running"
    if result.state == "pruned" and result.folds:
        return f"pruned in {training_name(result.folds - 1, folds)}"
    if result.state not in ("complete", "pruned") or result.best is None:
        return result.state
    spread = "" if result.spread is None else f" ± {result.spread:.2g}"
    pruned = ", pruned" if result.state == "pruned" else ""
    return f"{result.best.value:.4g}{spread}{pruned}"


_TRACKING_URI: Final = re.compile(r"(?<=mlflow\.set_tracking_uri\().*(?=\))")


def model_description(name: str, experiment_id: str, tracking_uri: str) -> str:
    """Returns the description of a study's registered model: what it is, and how to load it."""
    study = link(name, view_page(experiment_id, "trials"))
    lines = [
        f"Checkpoints of the study {study}. The alias `champion` is on the present choice: the "
        "best trial, the winner of a confirmation, or one that a person promoted.",
        "",
        "It takes samples as the study's data has them: preprocessing is a part of it. The page of "
        "a version shows its signature, and where it comes from. To load it:",
    ]
    address = f"models:/{name}@champion"
    code = [
        "import mlflow",
        "",
        f"mlflow.set_tracking_uri({tracking_uri!r})",
        f"model = mlflow.keras.load_model({address!r})",
        f"predict = mlflow.pyfunc.load_model({address!r}).predict",
    ]
    return "\n".join([*lines, *code_block(code)]).rstrip()


def with_tracking_uri(text: str, tracking_uri: str) -> str:
    """Returns the description of a registered model, with another tracking URI in its code."""
    return _TRACKING_URI.sub(lambda _: repr(tracking_uri), text)


def version_description(
    description: StudyDescription,
    trial: EndedTrial,
    experiment_id: str,
    run_id: str,
    model_id: str,
) -> str:
    """Returns the description of a model version: its trial, epoch, value and files."""
    _, best = trial.best_training
    command = reproduce_command(description, trial.number, None, several=True)
    files = logged_model_page(experiment_id, model_id)
    folds = trial.result.folds
    of_folds = f" (the mean of {folds} folds; it is trained on all of them)" if folds else ""
    lines = [
        f"{plain(description.objective.metric)} {best.value:.6g} at epoch {best.epoch} of "
        f"{link(f'trial {trial.number}', run_page(experiment_id, run_id))}{of_folds}. Its "
        f"{link('files', files)} have the signature and an input example. To train it again by "
        "plain model.fit, and compare:",
    ]
    return "\n".join([*lines, *code_block([command])]).rstrip()


def with_verdict(text: str, former: str, verdict: str) -> str:
    """Returns a model version's description with the verdict in front.

    The former verdict is replaced if the text still begins with it.
    """
    for beginning in filter(None, (former, verdict)):
        text = text.removeprefix(f"**{plain(beginning)}**").lstrip()
    return f"**{plain(verdict)}**\n\n{text}" if verdict else text


VIEWS: Final[Mapping[str, str]] = {"trials": "TABLE", "charts": "CHART", "curves": "CHART"}
"""A study's prepared views, each with MLflow's `compareRunsMode`."""
# MLflow's UI has this mode for model training, and another one for prompts.
_TRAINING: Final = "workflowType=machine_learning"


def run_page(experiment_id: str, run_id: str) -> str:
    """Returns the address of a run's page."""
    return f"#/experiments/{experiment_id}/runs/{run_id}?{_TRAINING}"


def artifact_page(experiment_id: str, run_id: str, path: str) -> str:
    """Returns the address of the page that shows an artifact of a run."""
    page = f"#/experiments/{experiment_id}/runs/{run_id}/artifacts"
    return f"{page}/{quote(path)}?{_TRAINING}"


def model_page(name: str) -> str:
    """Returns the address of a registered model's page."""
    return f"#/models/{quote(name, safe='')}?{_TRAINING}"


def logged_model_page(experiment_id: str, model_id: str) -> str:
    """Returns the address of the page with a logged model's files."""
    return f"#/experiments/{experiment_id}/models/{model_id}/artifacts?{_TRAINING}"


def view_id(view: str) -> str:
    """Returns MLflow's id of a view, which is one of `VIEWS`."""
    return f"kerastudy-{view}"


def view_page(experiment_id: str, view: str) -> str:
    """Returns the address of a view, which is one of `VIEWS`."""
    page = f"#/experiments/{experiment_id}/runs?{_TRAINING}"
    return f"{page}&viewStateShareKey={view_id(view)}&compareRunsMode={VIEWS[view]}"


# The UI would render these characters as Markdown, as HTML, or as a link (@name).
_MARKS = re.compile(r"[\\`*\[\]<>&|!#~@{}]|(?<![^\W_])_|_(?![^\W_])")


def plain(text: str) -> str:
    """Returns a user's text on one line, with all markup escaped."""
    return _MARKS.sub(lambda mark: f"&#{ord(mark[0])};", " ".join(text.split()))


def link(text: str, address: str) -> str:
    """Returns a Markdown link. The text is escaped, the address is not."""
    return f"[{plain(text)}]({address})"


def code_block(lines: Iterable[str]) -> list[str]:
    """Returns a Markdown code block with one line for each text."""
    # The block is indented, as a text with three backticks would end a fenced block.
    return ["", *(f"    {' '.join(line.splitlines())}" for line in lines), ""]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns a Markdown table."""
    # The UI puts no space between columns, and drops their alignment.
    padded = [[f"{cell}&emsp;" for cell in row] for row in (header, *rows)]
    padded.insert(1, ["---"] * len(header))
    return [f"| {' | '.join(row)} |" for row in padded]


REPORT: Final = "report.html"
"""The report's file name in the study's folder, and among the artifacts of its parent run."""
_TOP: Final = 10
# The table shows at most this many hyperparameters, as MLflow cuts longer descriptions.
_MOST_ROWS: Final = 30
# If a study has more hyperparameters, the table has a column for each trial instead of a row.
_MOST_COLUMNS: Final = 7
_SIDE_BY_SIDE: Final = 5


@dataclass(frozen=True)
class Pages:
    """The ids and names in the addresses of a study's pages."""

    experiment: str
    parent: str  # The id of the study's parent run.
    runs: Mapping[str, str] = field(default_factory=dict)  # The ids of runs, by uuid.
    report: bool = False  # Whether the parent run has a report.
    model: str = ""  # The registered model's name; empty if there is none.

    def trial(self, trial: TrialRecord, text: str) -> str:
        """Returns a link to a trial's run; only the text if MLflow has no run of the trial."""
        run = self.runs.get(trial.uuid, "")
        return link(text, run_page(self.experiment, run)) if run else plain(text)


def study_note(history: StudyHistory, pages: Pages, stopped: str = "") -> str:
    """Returns a study's summary in Markdown. Links and verdict are first.

    The UI shows 100 pixels of a long text, and fades the lower half of these.

    `stopped` says why the last launch ended, e.g. "all 40 trials are done". It is empty during a
    launch.
    """
    if not stopped:
        return "\n".join(_while_it_runs(history, pages)).rstrip()
    summary = summary_of(history)
    said = ("warning", "expect", "seen", "ended")
    facts = [fact for fact in summary.facts if fact.name not in said]
    lines = [
        " · ".join(_links(pages)),
        "",
        f"**{plain(summary.verdict.text)}**",
        "",
        f"Best: {_outcome(history, pages)}",
        "",
        *_listed([*facts, Fact("ended", stopped), *summary.definition]),
    ]
    for command in summary.commands:
        lines += [f"Next: {plain(command.purpose)}:", *code_block([command.text])]
    if history.best is not None:
        lines += _table(history, pages)
    return "\n".join(lines).rstrip()


def _while_it_runs(history: StudyHistory, pages: Pages) -> list[str]:
    trials = link("trials", view_page(pages.experiment, "trials"))
    lines = [" · ".join(_links(pages)), ""]
    lines += [f"**It is running: its best trial so far is the first of the {trials}.**", ""]
    summary = summary_of(history)
    if history.best is not None:
        lines += [f"Before this launch: {_outcome(history, pages)}.", ""]
    return [
        *lines,
        "This text is written again when it stops.",
        "",
        *_listed(fact for fact in summary.definition if fact.name not in ("trained", "cost")),
    ]


def _listed(facts: Iterable[Fact]) -> list[str]:
    return [*(f"- {fact.name}: {plain(fact.text)}" for fact in facts), ""]


def _outcome(history: StudyHistory, pages: Pages) -> str:
    text, best = outcome_of(history), history.best
    if best is None:
        return plain(text)
    name = f"trial {best.number}"
    return f"{pages.trial(best, name)}{plain(text.removeprefix(name))}"


def _links(pages: Pages) -> Iterator[str]:
    if pages.report:
        yield link("report", artifact_page(pages.experiment, pages.parent, REPORT))
    if pages.model:
        yield link("registered model", model_page(pages.model))
    for view in VIEWS:
        yield link(view, view_page(pages.experiment, view))


def _table(history: StudyHistory, pages: Pages) -> list[str]:
    wide = len(history.description.space) > _MOST_COLUMNS
    trials = history.top(_SIDE_BY_SIDE if wide else _TOP)
    heading, rows = trial_rows(history, trials)
    cells = [[plain(cell) for cell in row[: 4 + _MOST_ROWS]] for row in (heading, *rows)]
    for row, trial in zip(cells[1:], trials, strict=True):
        row[0] = pages.trial(trial, f"#{trial.number}")
    first, *others = zip(*cells, strict=True) if wide else cells
    return table(first, others)


def study_description(
    histories: Sequence[StudyHistory], pages: Mapping[str, Pages], *, running: bool
) -> str:
    """Returns the experiment's description: a line with verdict and links for each engine.

    `pages` has an entry for each engine. `running` says whether a process holds the study's lock.
    After a kill, the journal still says RUNNING.
    """
    lines = [
        _line(history, pages[history.description.engine], running, several=len(histories) > 1)
        for history in sorted(histories, key=_rank)
    ]
    return "\n\n".join(lines)[: tags.LONGEST]


def is_replaceable(text: str) -> bool:
    """Returns whether an experiment's description is empty or from `study_description`."""
    return not text or view_id("trials") in text


def _line(history: StudyHistory, pages: Pages, running: bool, *, several: bool) -> str:
    """Returns an engine's line. It begins with a link, as the UI folds all after the first line."""
    text = f"{plain(outcome_of(history))}."
    if history.status == "RUNNING":
        state = "It is running" if running else "It was killed; launch it again to resume it"
        text = f"{state}: its best trial so far is the first of the trials."
    elif history.best is not None:
        sentences = study_verdict(history).sentences
        expected = [i for i, each in enumerate(sentences) if each.startswith("Expect ")]
        # The sentences after "Expect …" are left out, so that the links stay in view.
        verdict = " ".join(sentences[: expected[0] + 1] if expected else sentences)
        metric = history.description.objective.metric
        text = plain(re.sub(r"\b(Expect|Reported) ", rf"\1 {metric} ", verdict, count=1))
    links = " · ".join(link(view, view_page(pages.experiment, view)) for view in VIEWS)
    engine = f" of {history.description.engine}" if several else ""
    summary = link(f"Summary{engine}", run_page(pages.experiment, pages.parent))
    return f"{summary}: {text} {links}"


def _rank(history: StudyHistory) -> tuple[bool, float]:
    best = history.best
    return (best is None, 0.0 if best is None else rank_of(best, history.description.objective).key)


# When a user saves a view, MLflow's UI writes a tag of the experiment. The tag has the view's name,
# its times, and the page's state (filter, sorting, columns, charts). `view_tags` makes tags in the
# same form. They contain no run ids, so they fit every copy of the study.

# MLflow refuses longer texts in an experiment's tag.
_LONGEST_VIEW: Final = 20_000
_MOST_TABLE_COLUMNS: Final = 40
_MOST_CHARTS: Final = 12
_MOST_AXES: Final = 8
# These metrics have one value for each trial, and no curve.
_SINGLE: Final = ("system/seconds", "system/peak_memory_bytes", "system/model_parameters")

_NAME: Final = "attributes.`Run Name`"
# The id that the UI gives its column "Created", which can't be hidden. This width fits its icon.
_CREATED: Final = "runDateAndNestInfo"
_ICON: Final = 66

# If an objective function fits a second model, its metrics have names such as "fit_2/val_loss".
_FIT: Final = re.compile(r"^(fit_\d+/|)")
_VALIDATED: Final = re.compile(_FIT.pattern + "val_")

Chart = dict[str, Any]


def view_tags(
    description: StudyDescription, created: int, *, several: bool, metrics: Iterable[str] = ()
) -> dict[str, str]:
    """Returns the tags that hold an experiment's prepared views.

    `created` is the views' time of creation, in Unix milliseconds. With `several`, the tables have
    a column for the engine. `metrics` are the names of metrics that trials have logged so far.
    """
    names = sorted({description.objective.metric, *metrics}, key=_is_not(description))
    best = _best(description)
    table = {
        "searchFilter": f"tags.`{tags.KIND}` = 'trial'",
        "orderByKey": f"metrics.`{best}`",
        "orderByAsc": description.objective.direction == "min",
        "selectedColumns": (columns := _columns(description, several=several)),
        "columnOrder": [_NAME, _CREATED, *columns],
        "columnWidths": {
            **{each: _width(each.partition(".")[2].strip("`")) for each in columns},
            _CREATED: _ICON,
            # The column of names also has the runs' colors, and the last one the sort arrow, so
            # both are wider.
            _NAME: 60 + _width(_longest_name(description, several=several)),
            columns[-1]: 30 + _width(columns[-1].partition(".")[2].strip("`")),
        },
    }
    curves = _curves(names)
    # The UI adds a chart for each metric without one. A chart marked as deleted prevents that.
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
    # The UI lists the views by their times of creation, the latest first.
    texts = {
        tags.VIEW + view_id(view): _envelope(name, state, created - i)
        for i, (view, (name, state)) in enumerate(views.items())
    }
    return {key: text for key, text in texts.items() if len(text) <= _LONGEST_VIEW}


def _envelope(name: str, state: Mapping[str, Any], created: int) -> str:
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    return json.dumps(
        {"name": name, "createdAt": created, "updatedAt": created, "state": f"deflate;{packed}"}
    )


def _best(description: StudyDescription) -> str:
    return to_mlflow(f"best_{description.objective.metric}")


def _is_not(description: StudyDescription) -> Any:
    """Returns a sort key that puts the objective's metric first."""
    return lambda name: (name != description.objective.metric, name)


def _columns(description: StudyDescription, *, several: bool) -> list[str]:
    # The names of runs have the value, in four digits. The metric has sixteen.
    dimensions = description.space.dimensions[:_MOST_TABLE_COLUMNS]
    return [
        *(f"params.`{to_mlflow(name)}`" for name in dimensions),
        *(f"tags.`{tag}`" for tag in (tags.STATE, tags.BEST_EPOCH)),
        *([f"tags.`{tags.ENGINE}`"] if several else []),
        f"metrics.`{_best(description)}`",
    ]


def _width(text: str) -> int:
    """Returns the width, in pixels, of a column that fits a text."""
    return max(90, min(6 * len(text) + 32, 400))


def _longest_name(description: StudyDescription, *, several: bool) -> str:
    spread = " ± 0.012" if description.trainings > 1 else ""
    engine = f" · {description.engine}" if several else ""
    return f"#1234 · 0.1234{spread}, pruned{engine}"


def _page(**sections: int) -> dict[str, Any]:
    """Returns a page's sections; each number says how many charts are side by side."""
    return {
        "isAccordionReordered": True,
        "compareRunSections": [
            {"uuid": name, "name": name, "display": True, "isReordered": True, "columns": columns}
            for name, columns in sections.items()
        ],
    }


def _values(description: StudyDescription) -> list[Chart]:
    best, space = _best(description), description.space
    # The UI leaves out a run without a value for an axis: conditional hyperparameters get no axis.
    axes = [axis_of(p) for p in space if p.role != "fixed" and not p.when][:_MOST_AXES]
    scientific = [p.name for p in space if p.role == "scientific"]
    charts = [_scatter("Trials", "trial", best)]
    if axes:
        charts.append(
            {
                **_chart("PARALLEL", "Trials", "parallel coordinates"),
                "selectedParams": axes,
                "selectedMetrics": [best],
                "showAllRuns": True,
            }
        )
    for name in [*(scientific or space.dimensions)][:_MOST_CHARTS]:
        charts.append(_scatter("Hyperparameters", axis_of(space[name]), best))
    return charts


def _curves(metrics: Sequence[str]) -> list[Chart]:
    """Returns a chart for each metric, with its training curve and its validation curve."""
    pairs: dict[str, list[str]] = {}
    for name in metrics:
        pairs.setdefault(_VALIDATED.sub(r"\1", name), []).append(name)
    charts = []
    for name, measured in pairs.items():
        lines = [to_mlflow(each) for each in (_FIT.sub(r"\1val_", name), name)]
        if len(measured) == 1 and not _VALIDATED.search(measured[0]):
            # A learning rate, or a value from `trial.report`, has no "val_" metric.
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
