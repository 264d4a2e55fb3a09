"""The report of a study: one HTML file that contains its data, charts and scripts.

The report has sections, with headings, texts, tables, and figures (charts with texts).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import altair as alt
import jinja2
from altair.utils.schemapi import debug_mode

from search_spaces.texts import counted, duration, listed, number
from tracking.diagnosis import Finding
from tracking.history import StudyHistory, looked_at, read_model_summary
from tracking.records import (
    REPRODUCED,
    DataFinding,
    DataFindings,
    RecordedSettings,
    TrialRecord,
    ValidationPredictions,
    settings_of,
)
from tracking.report import charts
from tracking.report.axes_scales_and_labels import drawable, objective_scale, value_text
from tracking.report.chart_data import FEWEST_TRIALS, StudyData, tables
from tracking.shell_commands import data_command, reproduce_command
from tracking.store import cached, write_atomically

_ASSETS = Path(__file__).parent / "assets"
# In a page, these colours become CSS variables, which have other values in dark mode (`page.css`).
_STYLED = {
    charts.INK: "var(--ink)",
    charts.MUTED: "var(--muted)",
    charts.LINE: "var(--line)",
    charts.PAPER: "var(--paper)",
    charts.GREY: "var(--grey)",
    charts.BLUE: "var(--accent)",
    charts.ORANGE: "var(--best)",
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


@dataclass(frozen=True)
class Figure:
    """A chart on a page.

    Attributes:
        text: The explanation below the chart.
        small: Whether the page shows several such charts side by side.
        half: Whether the chart takes half of the page's width.
    """

    chart: alt.LayerChart
    text: str = ""
    small: bool = False
    half: bool = False


_TRIALS = "Trials"
"""The heading of the section with the table of trials."""
_SEARCH, _TRAINING = "The best so far", "How the best trials trained"
_HYPERPARAMETERS = "What the hyperparameters do"
# For each of these checks, the section whose charts show its finding. The learning curves show
# the findings of checks that are not named here.
_SHOWN_IN = {
    "boundary": _HYPERPARAMETERS,
    "infeasible": _HYPERPARAMETERS,
    "isolation": _HYPERPARAMETERS,
    "sufficiency": _SEARCH,
    "trial variance": _SEARCH,
}


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        text: The text before the figures.
        examples: The worst misclassified samples, from `worst_samples`, shown after the figures.
        findings: Findings, shown before the figures.
        shown_in: For each check's name, the heading of the section whose charts show its finding.
        picture: A PNG with samples in base64, or empty.
        caption: The caption of the picture.
    """

    heading: str
    figures: tuple[Figure, ...]
    text: str = ""
    examples: Sequence[Mapping[str, Any]] = ()
    findings: tuple[DataFinding | Finding, ...] = ()
    shown_in: Mapping[str, str] = field(default_factory=dict)
    picture: str = ""
    caption: str = ""


def sections(data: StudyData) -> list[Section]:
    """Returns the sections of a study's page, without empty ones."""
    count = counted(len(data.history.trials), "trial")
    chart_sections = [
        Section("How much of it to believe", tuple(_belief(data))),
        Section(_SEARCH, tuple(_search(data))),
        Section(
            _TRIALS,
            (),
            f"{count}, the best first. A click puts a trial in focus. Dragging over an area of a "
            "chart chooses trials in all charts and in this table, and so does the list. Escape "
            "shows all trials again.",
        ),
        Section(_TRAINING, tuple(_training(data))),
        Section(_HYPERPARAMETERS, tuple(_hyperparameters(data)), _marks(data)),
    ]
    diagnosed = _diagnosed(data, {section.heading for section in chart_sections if section.figures})
    parts = [*chart_sections, diagnosed, *_of_champion(data)]
    data_findings = looked_at(data.history)
    if data_findings is not None:
        parts.append(_of_data(data_findings, data_command(data.history.description)))
    # If all is well, the section of the diagnosis has no findings, but its text says that all is
    # well.
    always = [_TRIALS, *([diagnosed.heading] if data.summary.diagnosis.findings else [])]
    return [
        section
        for section in parts
        if section.figures or section.findings or section.heading in always
    ]


def _of_champion(data: StudyData) -> Iterator[Section]:
    output = data.predictions
    if output is not None:
        heading = "The champion on validation data"
        yield Section(
            f"{heading}: {output.output}" if output.output else heading,
            tuple(_champion(output)),
            f"The predictions of trial {output.trial}, at epoch {output.epoch}, for "
            f"{output.samples:,} validation samples.",
            charts.worst_samples(output),
        )


def _of_data(data: DataFindings, command: str) -> Section:
    text = (
        "These checks took a glance at the data when the study was launched. For all checks: "
        f"{command}"
    )
    rows = f" A row for each class: {data.picture_rows}." if data.picture_rows else ""
    return Section(
        "The data",
        (),
        text,
        findings=data.findings,
        picture=base64.b64encode(data.picture).decode("ascii"),
        caption=f"Samples of the training part.{rows}",
    )


def _belief(data: StudyData) -> Iterator[Figure]:
    verdict = data.summary.verdict
    if verdict.corrected is None and verdict.confirmation is None:
        return
    text = "Lines are intervals."
    if verdict.confirmation is not None:
        text += (
            " Rings are trainings under new seeds. Values on the validation samples are still too "
            "good, as the trial was chosen on these samples. The interval on the test part covers "
            "both the chance of seeds and the chance of samples."
        )
    yield Figure(charts.belief(data), " ".join((text, *verdict.grounds)))


def _diagnosed(data: StudyData, charts: Container[str]) -> Section:
    """Returns the section of the diagnosis. `charts` has the headings of sections with charts."""
    text = "The checks of Google's Deep Learning Tuning Playbook, on this record."
    diagnosis, findings, good = data.summary.diagnosis, list[Finding](), list[str]()
    for finding in diagnosis.findings:
        if finding.severity == "ok" and finding.check != "isolation":
            good.append(finding.title)
        else:
            findings.append(finding)
    shown_in = {f.check: _SHOWN_IN.get(f.check, _TRAINING) for f in findings}
    unchecked = dict.fromkeys(
        f"{check} ({why.rstrip('.')})" for check, why, _ in diagnosis.unchecked
    )
    text += f" In order: {'. '.join(good)}." if good else ""
    text += f" Without fault: {listed(diagnosis.passed)}." if diagnosis.passed else ""
    text += f" Not checked: {', '.join(unchecked)}." if unchecked else ""
    return Section(
        "What to change next",
        (),
        text,
        findings=tuple(findings),
        shown_in={check: heading for check, heading in shown_in.items() if heading in charts},
    )


def _search(data: StudyData) -> Iterator[Figure]:
    if not data.ranked:
        return
    without = None in data.trials["value"]
    yield Figure(
        charts.optimization_history(data),
        "Each mark is a trial. The line is the best value so far, once the axis has room for it. "
        "If the line is flat at the end, more trials of this kind are unlikely to help much."
        + _far_off(data, data.trials["value"], "trial")
        + (" Trials without a value are at the lower edge." if without else ""),
    )


def _hyperparameters(data: StudyData) -> Iterator[Figure]:
    if len(data.ranked) < 2 or not data.axes:
        return
    total = len(data.ranked)
    for axis in data.by_importance():
        active = sum(axis.unit(trial.spec.values) is not None for trial in data.ranked)
        few = "" if active == total else f"Active in {active} of {counted(total, 'trial')}."
        yield Figure(charts.hyperparameter_slice(data, axis), few, small=True)
    if data.importances:
        yield Figure(
            charts.importance(data.importances),
            f"Each hyperparameter's own share in the differences between these {total} trials "
            "(Optuna's fANOVA; where a conditional hyperparameter is not active, it makes no "
            "difference). With other ranges, the shares would differ.",
        )


def _marks(data: StudyData) -> str:
    """Returns a sentence on what the marks stand for, because small charts have no legend.

    If there are too few trials to show which hyperparameters matter most, the text says how many
    are needed.
    """
    states = set(data.trials.get("state", ()))
    marks = [f"{words} are {state}" for state, *_, words in charts.STATES if state in states]
    if not marks or not data.axes:
        return ""
    few = len(data.ranked) < FEWEST_TRIALS
    hint = f" Which hyperparameters matter most is shown from {FEWEST_TRIALS} trials on."
    return f"In the small charts {listed(marks)} trials.{hint if few else ''}"


def _far_off(data: StudyData, values: Sequence[float | None], noun: str) -> str:
    """Returns a sentence on how many values lie outside a chart's scale, or an empty text."""
    scale = objective_scale(values, data.history.description.objective).to_dict()
    if not scale.get("clamp"):
        return ""
    low, high = scale["domain"]
    numbers = [value for value in values if value is not None]
    off = sum(not low <= value <= high for value in numbers)
    return f" {off} of {counted(len(numbers), noun)} are far off, and drawn at the edge."


def _champion(output: ValidationPredictions) -> Iterator[Figure]:
    if output.confusion:
        yield Figure(
            charts.confusion_matrix(output),
            "Rows are true classes, columns are predicted classes. Mistakes are orange: the larger "
            "their share of the class, the stronger the colour.",
            half=True,
        )
    if output.reliability is not None:
        text = f"Dashed: where the probabilities are right. The {output.reliability.text}."
        yield Figure(charts.reliability(output.reliability), text, half=True)
    if output.truth:
        text = "Dashed: where the prediction is right."
        yield Figure(charts.targets(output), text)


def _training(data: StudyData) -> Iterator[Figure]:
    # If an objective function only returns a value, its trials have no curves.
    of_function = data.history.description.objective_function
    if data.has_curves or (data.curves["trial"] and not of_function):
        yield Figure(
            charts.learning_curves(data),
            "The ten best trials that were not pruned are blue, with a point at the best epoch; "
            "all others are behind. Pruned trials end where they were stopped."
            + _far_off(data, data.curves["value"], "epoch"),
        )


def table_of_trials(data: StudyData) -> tuple[list[str], list[list[str]]]:
    """Returns the names of the table's columns, and a row of texts for each trial, best first."""
    description, trials = data.history.description, data.history.trials
    gaps = dict(zip(data.trials.get("trial", ()), data.trials.get("gap", ()), strict=True))

    def state(trial: TrialRecord) -> str:
        default = ", defaults" if trial.number == description.default_trial else ""
        reproduced = ", reproduced" if trial.verified.startswith(REPRODUCED) else ""
        champion = ", champion" if data.history.is_champion(trial) else ""
        held = trial.state if trial.holds else "contradicted by model.fit"
        return f"{held}{champion}{default}{reproduced}"

    def hyperparameter(name: str) -> Callable[[TrialRecord], str]:
        return lambda t: value_text(t.params[name]) if name in t.params else ""

    # Each column has a name, and a function that returns the text of a trial's cell.
    cells: list[tuple[str, Callable[[TrialRecord], str]]] = [
        ("trial", lambda t: str(t.number)),
        ("state", state),
        (description.objective.metric, lambda t: _cell(t.best.value if t.best else None, 5)),
    ]
    cells += [(axis.name, hyperparameter(axis.name)) for axis in data.axes]
    if metric := data.training_metric:
        cells.append((metric, lambda t: _cell(t.best.metrics.get(metric) if t.best else None, 5)))
        cells.append(("gap", lambda t: _cell(gaps[t.number], 3)))
    if any(trial.epoch is not None for trial in trials):
        cells.append(("best epoch", lambda t: "" if t.epoch is None else str(t.epoch)))
    if not all(t.result and t.result.of_no_epoch for t in trials):
        cells.append(("epochs trained", lambda t: str(t.result.epochs) if t.result else ""))
    cells.append(("time", lambda t: duration(t.result.seconds) if t.result else ""))
    if any(t.result and t.result.reason for t in trials):
        cells.append(("reason", lambda t: t.result.reason[:300] if t.result else ""))
    numbers = {trial.number for trial in data.ranked}
    best_first = [*data.ranked, *(trial for trial in trials if trial.number not in numbers)]
    return [name for name, _ in cells], [[text(t) for _, text in cells] for t in best_first]


def _cell(value: float | None, digits: int) -> str:
    return "" if value is None else number(value, digits)


# Settings that `StudyDescription` records in another form than that of the study's file.
_FURTHER_SETTINGS: Final = (
    *("objective_function", "threads", "initial", "initial_from", "class_weight", "tailored"),
)


def _details(data: StudyData) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Returns the report's last sections: heading, sentence, and rows of a name and a text."""
    description, trials = data.history.description, data.history.trials
    dataset, facts = description.data, data.summary.definition
    best = data.history.best
    folds = dataset.details.get("folds", ())
    samples = {
        "Data set": f"{dataset.name} ({dataset.source})" if dataset.source else dataset.name,
        **{f"{part} samples": f"{size:,}" for part, size in dataset.sizes.items()},
        **{
            f"Fold {place}": f"{fold['train']:,} to train, {fold['validation']:,} to validate"
            for place, fold in enumerate(folds, start=1)
        },
        **{
            f"{part} groups": f"{count:,}"
            for part, count in dataset.details.get("groups", {}).items()
        },
        **{n: value for n, value in dataset.details.items() if n not in ("folds", "groups")},
        "SHA-256 of the data": dataset.digest,
        **{f"SHA-256 of {part}": digest for part, digest in dataset.digests.items()},
    }
    # The fact on the engine names the seed. Notes are a fact, too.
    elsewhere = {"seed", "notes"}
    elsewhere |= {"repeats"} if description.folds else set()
    elsewhere |= {"epochs", "batch_size"} if description.objective_function else set()
    settings = {
        name.replace("_", " ").capitalize(): value
        for name, value in (vars(description) | {"keep": description.keep or "all"}).items()
        if name in (*settings_of(RecordedSettings), *_FURTHER_SETTINGS) and name not in elsewhere
    }
    # A hyperparameter may have a setting's name, so hyperparameters are not in `settings`.
    space = [(parameter.name, repr(parameter)) for parameter in description.space]
    digests = {
        "Study file": description.code.path or "none",
        "SHA-256 of the code": description.code.digest or "none",
        "SHA-256 of the space": description.space.digest,
    }
    last = trials[-1].environment if trials else {}
    environment = {name: text for name, text in last.items() if text}
    environment["hardware"] = description.hardware
    if best is not None:
        environment[f"SHA-256 of trial {best.number}'s weights"] = best.result.weights_sha256
    summary = [(fact.name.capitalize(), fact.text) for fact in facts]
    parts = [
        ("Definition", "", [*summary, *_texts(settings), *space, *_texts(digests)]),
        ("The data's sizes and digests", "", _texts(samples)),
        (
            "Versions",
            "The versions of the trial that began last, and the hardware of the last launch.",
            _texts(environment),
        ),
    ]
    return [part for part in parts if part[2]]


def _texts(values: Mapping[str, object]) -> list[tuple[str, str]]:
    """Returns the names with their values as texts. Leaves out empty values."""
    return [
        (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in values.items()
        if value not in (None, "", (), [], {})
    ]


# Without debug mode, Altair skips its schema checks, which take a third of the time to make a page.
@debug_mode(False)
def write_report(history: StudyHistory) -> Path:
    """Writes the report of a study, and returns its path."""
    data = StudyData(history)
    description, parts = history.description, sections(data)
    columns, rows = table_of_trials(data)
    first = history.chosen
    picked = first.number if first else next((t.number for t in history.trials), None)
    layer_charts = [figure.chart for section in parts for figure in section.figures]
    layer_charts += [charts.one_curve(data)] if data.has_curves else []
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
            document=_embedded(_document(data, layer_charts, picked)),
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
            table=_TRIALS,
            model=read_model_summary(history),
            details=_details(data),
        )
    )
    file = history.folder / "report.html"
    write_atomically(file, page)
    return file


def _document(
    data: StudyData, layer_charts: Sequence[alt.LayerChart], picked: int | None
) -> dict[str, Any]:
    """Returns the document for the script `page.js`.

    The script draws each chart in the HTML element that has the chart's name. `picked` is the
    number of the trial in focus.
    """
    before, _, after = reproduce_command(data.history, "\0").partition("\0")
    return {
        "options": {**_OPTIONS, "config": charts.config()},
        "tables": tables(data),
        "charts": {str(chart.name): _specification(chart) for chart in layer_charts},
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
