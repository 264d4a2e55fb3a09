"""The report's tables and charts, compared with the record as pandas and numpy read it."""

import html
import itertools
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pytest
from handmade import LOSS, make_spec, trial_record
from PIL import Image
from reported import EVIL, record, record_values, usual

import kerastudy as ks
from search_spaces import StudyError
from tracking.history import StudyHistory, trials_table
from tracking.records import Objective, RecordedSettings, settings_of
from tracking.report import (
    NotebookChart,
    StudyData,
    StudyPlots,
    axes_of,
    charts,
    drawable,
    importances,
    sections,
    tables,
    templates,
    write_report,
)
from tracking.store import Store, create_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return create_store(tmp_path_factory.mktemp("report") / "store")


def figures(history: StudyHistory) -> list[Any]:
    return [figure for section in sections(StudyData(history)) for figure in section.figures]


def test_columns_are_those_of_a_table_by_pandas(store: Store) -> None:
    history = record(store, "by pandas", 60)
    table, columns = trials_table(history), StudyData(history).trials
    valued = table[table["state"] != "infeasible"]
    best = table["value"].where(table["state"] != "infeasible").cummax().ffill()
    assert columns["best_so_far"] == pytest.approx(best.tolist(), rel=1e-5)
    gap = dict(zip(valued["number"], valued["metrics_accuracy"] - valued["value"], strict=True))
    for trial, state, cell in zip(columns["trial"], columns["state"], columns["gap"], strict=True):
        assert (cell is None) == (state == "infeasible")
        assert cell is None or cell == pytest.approx(gap[trial], rel=1e-3)
    ranks = valued.sort_values(["value", "epoch", "number"], ascending=[False, True, True])
    numbers = {rank: trial for trial, rank in zip(columns["trial"], columns["rank"], strict=True)}
    assert [numbers[i + 1] for i in range(len(ranks))] == ranks["number"].tolist()


def test_curves_are_the_recorded_ones(store: Store) -> None:
    history = record(store, "curves", 12)
    curves = StudyData(history).curves
    for trial in history.ended:
        if trial.best is None:
            assert trial.number not in curves["trial"]
            continue
        rows = [i for i, number in enumerate(curves["trial"]) if number == trial.number]
        recorded = history.curve(trial)
        assert [curves["epoch"][i] for i in rows] == list(recorded)
        for i in rows:
            metrics = recorded[curves["epoch"][i]]
            assert curves["value"][i] == pytest.approx(metrics["val_accuracy"], rel=1e-4)
            assert curves["training"][i] == pytest.approx(metrics["accuracy"], rel=1e-4)
            assert curves["best"][i] == (curves["epoch"][i] == trial.best.epoch)


def importances_of(trials: int) -> dict[str, float]:
    """Returns the importances in trials whose value is 3 r + d, plus 2 (m - 1/2) with momentum.

    r and m are the places of rate and momentum on their logarithmic scales, and d is the dropout.
    """
    random = np.random.default_rng(3)
    space = ks.SearchSpace(
        ks.Choice("kind", ["adam", "sgd"]),
        ks.Float("momentum", 0.01, 0.99, scale="reverse_log", when={"kind": "sgd"}),
        ks.Float("rate", 1e-5, 1e-1, scale="log"),
        ks.Float("dropout", 0.0, 1.0),
        ks.Int("unread", 1, 9),
        ks.Fixed("same", 1),
    )
    records = []
    for number in range(trials):
        rate, dropout, momentum = random.random(3)
        values = {"rate": 10 ** (4 * rate - 5), "dropout": dropout, "same": 1}
        values |= {"unread": int(random.integers(1, 10)), "kind": ["adam", "sgd"][number % 2]}
        if number % 2:
            values["momentum"] = 1 - 10 ** (math.log10(0.99) - momentum * math.log10(99))
        value = 3 * rate + dropout + (2 * momentum - 1) * (number % 2)
        trial = trial_record(number, value, state="complete")
        records.append(replace(trial, spec=make_spec(number, values=values)))
    shares = importances(axes_of(space), records)
    assert dict(importances(axes_of(space), records[::-1])) == dict(shares), "it is repeatable"
    return dict(shares)


def test_importance_is_the_share_of_the_variance() -> None:
    """Computed by hand, rate, dropout and momentum have 9, 1 and 1 parts of 11."""
    shares = importances_of(300)
    expected = {"rate": 9 / 11, "dropout": 1 / 11, "momentum": 1 / 11, "kind": 0.0, "unread": 0.0}
    assert shares == pytest.approx(expected, abs=0.08)
    assert next(iter(shares)) == "rate" and math.fsum(shares.values()) == pytest.approx(1)


def test_importance_with_few_trials(store: Store) -> None:
    shares = importances_of(20)
    assert next(iter(shares)) == "rate" and shares["rate"] > 0.6
    assert importances_of(14) == {} != importances_of(15)
    few = record(store, "few", 16, infeasible=lambda number: number > 13)
    text = write_report(few).read_text(encoding="utf-8")
    assert "In order: " in text and "Not checked: " in text
    assert "matter most is shown from 15 trials on" in text
    names = {str(figure.chart.name) for figure in figures(few)}
    assert "importance" not in names
    # A notebook gets the chart, which says that it is unsure, also on paper.
    chart = StudyPlots(few).importance()
    chart.save(store.root / "few.svg")
    assert "Unsure, as only 14 trials" in (store.root / "few.svg").read_text(encoding="utf-8")
    with pytest.raises(StudyError, match=r"values that differ.* Received: '1 trial'"):
        StudyPlots(record(store, "one", 1)).importance()


def test_a_finding_names_the_section_with_its_charts(store: Store) -> None:
    history = record(store, "found", 40, metrics=lambda a: {**usual(a), "accuracy": a - 0.2})
    data = StudyData(history)
    parts = {section.heading: section for section in sections(data)}
    section = parts["What to change next"]
    for finding in data.summary.diagnosis.findings:
        assert (finding in section.findings) != (finding.title in section.text)
        if finding in section.findings:
            assert parts[section.shown_in[finding.check]].figures
    assert {"hint", "problem"} & {finding.severity for finding in section.findings}
    page = write_report(history).read_text(encoding="utf-8")
    for place in re.findall(r'href="#([^"]+)"', page):
        assert f'<section id="{place}">' in page
    few = record(store, "few findings", 3)
    assert all(not section.shown_in for section in sections(StudyData(few)))


def test_a_page_lists_the_settings_of_the_study(store: Store) -> None:
    others = {"threads": 2, "class_weight": {0: 2.5}, "initial": [{"rate": 0.1, "kind": "a"}]}
    more = {"patience": 7, "timeout": 90.0, "repeats": 2, "keep": None, **others}
    history = record(store, "settings", 1, **more)
    page = write_report(history).read_text(encoding="utf-8")
    cells = re.findall(r"<t[dh][^>]*>\s*([^<]*?)\s*</", page)
    values_by_setting = dict(itertools.pairwise(map(html.unescape, cells)))
    assert (
        values_by_setting["Engine"].endswith("; seed 0")
        and not {"Seed", "Pruner"} & values_by_setting.keys()
    )
    assert values_by_setting["Keep"] == "all"
    for name in (*settings_of(RecordedSettings), *others):
        value = getattr(history.description, name)
        if value not in (None, "") and name != "seed":
            assert values_by_setting[name.replace("_", " ").capitalize()] == json.dumps(value), name


# vl-convert ends the process at a character that SVG can't contain.
HUGE: dict[str, Any] = {
    "objective": Objective("my/metric @1\x1b", "max"),
    "metrics": lambda a: {"my/metric @1\x1b": -(10 ** (600 * (a - 0.7)))},
}


@pytest.mark.parametrize(
    ("trials", "settings"), [(0, {}), (1, {}), (3, {"infeasible": lambda number: True}), (12, HUGE)]
)
def test_odd_studies_have_no_empty_chart(store: Store, trials: int, settings: Any) -> None:
    history = record(store, f"odd {trials}", trials, **settings)
    data = StudyData(history)
    names = [str(figure.chart.name) for figure in figures(history)]
    assert ("history" in names) == ("curves" in names) == bool(data.ranked)
    page = write_report(history).read_text(encoding="utf-8")
    places = set(re.findall(r'data-chart="(\w+)"', page))
    # The first script element has the page's charts and tables as JSON.
    script, *_ = re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)
    assert places == set(json.loads(script)["charts"])
    assert places >= set(names)
    for figure in figures(history):
        bundle = NotebookChart.of(charts.with_rows(figure.chart, tables(data)))._repr_mimebundle_()
        assert "NaN" not in bundle["image/svg+xml"]


def test_plots_are_charts_with_their_data(store: Store) -> None:
    history = record(store, "plots", 30)
    plots = StudyPlots(history)
    values = plots.history().to_dict()
    rows = next(iter(values["datasets"].values()))
    assert [row["trial"] for row in rows] == [trial.number for trial in history.trials]
    assert plots.slice("momentum").to_dict()["title"]
    assert len((plots.history() | plots.importance()).to_dict()["hconcat"]) == 2
    # A notebook shows the chart without a script, so without the network.
    bundle = plots.history()._repr_mimebundle_()
    assert bundle.keys() == {"image/svg+xml", "text/plain"}
    assert "complete" in bundle["image/svg+xml"] and "<script" not in bundle["image/svg+xml"]
    with alt.renderers.enable("html"):
        assert "text/html" in plots.history()._repr_mimebundle_()
    with pytest.raises(AttributeError, match=r"no chart 'curves'\. Did you mean 'learning_curves"):
        _ = plots.curves
    with pytest.raises(AttributeError, match=r"no chart 'contour'\. Choose from 'belief', "):
        _ = plots.contour
    with pytest.raises(ks.errors.StudyError, match="no predictions"):
        plots.predictions()
    with pytest.raises(ks.errors.StudyError, match="'momentum'"):
        plots.slice("momentun")
    with pytest.raises(ks.errors.StudyError, match="nothing to draw"):
        StudyPlots(record(store, "no plots", 0)).history()


def test_figures_draw_values_that_are_far_off_at_their_places(store: Store) -> None:
    history = record_values(store, "far off", LOSS, [0.1, 0.11, 0.12, 0.13, 0.14, 9.0])
    assert any('"clamp": true' in figure.chart.to_json() for figure in figures(history))
    for chart in (StudyPlots(history).history(), StudyPlots(history).learning_curves()):
        scales = [scale for scale in scales_of(chart.to_dict()) if "domain" in scale]
        assert any(max(scale["domain"]) == 9 for scale in scales)
        assert not any(scale.get("clamp") for scale in scales)


def scales_of(chart: Any) -> list[dict[str, Any]]:
    """Returns the scales of values on the vertical axis of a chart and of its layers."""
    inner = [scale for layer in chart.get("layer", ()) for scale in scales_of(layer)]
    y = chart.get("encoding", {}).get("y", {})
    return [*inner, y["scale"]] if "scale" in y else inner


def test_figures_for_a_paper_are_as_wide_as_a_column(store: Store, tmp_path: Path) -> None:
    plots = StudyPlots(record(store, "for a paper", 30))
    for name, chart in (("history", plots.history()), ("curves", plots.learning_curves())):
        chart.save(tmp_path / f"{name}.png")
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert picture.width == pytest.approx(300 * 3.3, abs=2)
            assert picture.info["dpi"][0] == pytest.approx(300, abs=0.1)
            # Nothing touches the edge, so nothing is cut.
            pixels = np.asarray(picture.convert("L"))
            assert pixels[:, [0, -1]].min() > 250 and pixels[[0, -1]].min() > 250, name
        for kind in ("pdf", "svg"):
            chart.save(tmp_path / f"{name}.{kind}")
        pdf = (tmp_path / f"{name}.pdf").read_bytes()
        box = re.search(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)
        assert float(box[1]) == pytest.approx(72 * 3.3, abs=0.5)
        assert b"/FontFile" in pdf, "the fonts are embedded"
        svg = (tmp_path / f"{name}.svg").read_text(encoding="utf-8")
        assert f"{name.title()}" not in svg and "Arial" in svg
        width = re.search(r'<svg [^>]*width="([\d.]+)"', svg)
        assert float(width[1]) == pytest.approx(96 * 3.3, abs=0.5)
    plots.history().save(tmp_path / "wide.png", width=6, height=2)
    with Image.open(tmp_path / "wide.png") as picture:
        assert picture.size == pytest.approx((1800, 600), abs=2)
    plots.history().save(tmp_path / "history.html")
    assert "<script" in (tmp_path / "history.html").read_text(encoding="utf-8")


def test_a_backslash_ends_no_text_in_a_tooltips_expression() -> None:
    chart = {"encoding": {"x": {"title": "a\\"}, "tooltip": [{"field": "p0", "title": "a\\"}]}}
    encoding = drawable(chart)["encoding"]
    assert (encoding["x"]["title"], encoding["tooltip"][0]["title"]) == ("a\\", "a\\\\")


def test_worst_samples_are_shown_as_texts() -> None:
    image = {"index": "1,234", "true": EVIL, "predicted": "b", "image": "aGk="}
    row = {"index": "2", "true": "a", "predicted": "b", "row": {EVIL: EVIL}}
    for example in (image, row):
        text = templates().get_template("examples.html").render(examples=[example])
        assert "<script" not in text and EVIL in html.unescape(text)
        assert ('src="data:image/png;base64,aGk="' in text) == (example is image)
