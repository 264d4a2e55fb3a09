"""The texts that people read in MLflow: names, prepared views, and descriptions of studies."""

import base64
import itertools
import json
import re
import shlex
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from handmade import make_spec, record_study, record_trial, trial_record
from in_mlflow import InMlflow
from mlflow.entities import Metric, Param, RunTag
from scripted import describe

import kerastudy as ks
from search_spaces import SearchSpace
from tracking.history import StudyHistory, read_study, record_evaluation
from tracking.journal import Journal
from tracking.mlflow import (
    Pages,
    open_store_client,
    study_description,
    study_note,
    to_mlflow,
    view_id,
    view_tags,
)
from tracking.records import CodeDescription, Evaluation, Measured, Objective
from tracking.store import Store
from tracking.study_summary import summary_of

LONG = "정확도 100%: a/b@" + "n" * 387
NAMES = ["", ".", "..", "...", "../a", "..a", "/a", "a/", "a//b", "a/./b", ":x:", ":x40:",
         ":x3a:x", "a\0b", "a\nb", "\udcff", "🐝" * 60, "`quoted` 'so' \"or so\"", LONG, LONG + "1",
         LONG + "2", "/" * 300, "é", "e\N{COMBINING ACUTE ACCENT}"]  # fmt: skip
USUAL = ["loss", "val_loss", "정확도", "l2 dense", "a: b/c-d.e_1", "n" * 250]


def test_mlflow_takes_every_spelled_name_and_usual_names_stay(shared_store: Store) -> None:
    assert [to_mlflow(name) for name in USUAL] == USUAL
    client = open_store_client(shared_store)
    run = client.create_run(client.create_experiment("names")).info.run_id
    spelled = {to_mlflow(name): float(place) for place, name in enumerate(NAMES)}
    assert len(spelled) == len(NAMES)
    client.log_batch(
        run,
        [Metric(name, value, 0, 0) for name, value in spelled.items()],
        [Param(name, str(value)) for name, value in spelled.items()],
        [RunTag(name, str(value)) for name, value in spelled.items()],
    )
    data = client.get_run(run).data
    assert data.metrics == spelled
    texts = {name: str(value) for name, value in spelled.items()}
    assert data.params == texts and data.tags.items() >= texts.items()


def test_two_names_are_never_spelled_alike() -> None:
    """All short names of characters that MLflow refuses, or that spell others or change a path."""
    names = ["".join(name) for n in range(6) for name in itertools.product(":x@4/.", repeat=n)]
    assert len({to_mlflow(name) for name in names}) == len(names)


def test_runs_are_named_by_number_and_params_have_4_digits(shared_store: Store) -> None:
    space = SearchSpace(
        ks.Float("rate", 1e-5, 1e-1, scale="log"),
        ks.Int("units", 10, 1000, scale="log"),
        ks.Float("share", 0.0, 1.0),
        ks.Float("decay", 1e-5, 1.0, scale="log", when={"units": 10}),
    )
    described = describe(name="short", space=space, objective=Objective("n" * 400, "max"))
    values = {"rate": 1.23456789e-4, "units": 100, "share": 1 / 3}
    with Journal.begin(shared_store.new_folder("short"), described) as journal:
        for number, state in enumerate(("complete", "pruned", "infeasible")):
            spec = make_spec(number, values=values, objective=described.objective)
            curve = [{described.objective.metric: 2 / 3}] if number < 2 else []
            record_trial(journal, spec, curve, state)
    history = read_study(shared_store, "short")
    runs = [InMlflow(history).run(trial.uuid) for trial in history.trials]
    names = [run.info.run_name for run in runs]
    assert names == ["#0", "#1", "#2"]
    params = runs[0].data.params
    assert (params["rate"], params["share"], params["units"]) == ("0.0001235", "0.3333", "100")
    # Charts draw the logarithm, as MLflow's charts of trials have no log scale.
    assert float(params["log10 rate"]) == pytest.approx(np.log10(1.23456789e-4), rel=1e-3)
    assert params["log10 units"] == "2.0"
    assert not {"log10 share", "log10 decay"} & params.keys()
    assert json.loads(runs[0].data.tags["kerastudy.hyperparameters"]).items() >= values.items()


def test_hyperparameters_come_first_after_the_value_and_are_drawn_in_their_scale() -> None:
    space = SearchSpace(ks.Float("rate", 1e-5, 1e-1, scale="log"), ks.Float("share", 0.0, 1.0))
    columns = view("trials", space=space)["selectedColumns"]
    assert columns[:3] == ["metrics.`best_val_loss`", "params.`rate`", "params.`share`"]
    charts = view("charts", space=space)["compareRunCharts"]
    (parallel,) = [chart for chart in charts if chart["type"] == "PARALLEL"]
    assert parallel["selectedParams"] == ["log10 rate", "share"]
    axes = [chart["xaxis"]["key"] for chart in charts if chart["type"] == "SCATTER"]
    assert axes == ["trial", "log10 rate", "share"]


# Prepared views.


def view(name: str, /, *metrics: str, **settings: Any) -> dict[str, Any]:
    """Unpacks a prepared view of a study as MLflow's UI does."""
    tags = view_tags(describe(**settings), 0, metrics)
    state = json.loads(tags[f"mlflow.sharedViewState.{view_id(name)}"])["state"]
    return json.loads(zlib.decompress(base64.b64decode(state.split(";")[1])))


def test_training_and_validation_share_a_chart() -> None:
    """This holds for each model of an objective function. A reported value has its own chart."""
    metrics = ("loss", "fit_2/loss", "fit_2/val_loss", "value", "fit_2/lr")
    charts = view("curves", "val_loss", *metrics)["compareRunCharts"]
    assert [chart["selectedMetricKeys"] for chart in charts if not chart["deleted"]] == [
        ["val_loss", "loss"],
        ["fit_2/val_loss", "fit_2/loss"],
        ["fit_2/lr"],
        ["value"],
    ]
    # The UI adds charts of metrics that are in no chart.
    others = {chart["metricKey"] for chart in charts if chart["deleted"]}
    single = {"best_val_loss", "best_val_loss_std", "system/seconds"}
    assert {"loss", "fit_2/loss"} | single < others
    assert not others & {"val_loss", "fit_2/val_loss"}


@pytest.mark.parametrize("name", [LONG, "../a"])
def test_views_name_the_metrics_and_params_of_runs(shared_store: Store, name: str) -> None:
    objective, space = Objective(f"val_{name}", "max"), SearchSpace(ks.Float(name, 0.0, 1.0))
    study = f"views of {len(name)}"
    settings = {"name": study, "objective": objective, "space": space}
    journal = Journal.begin(shared_store.new_folder(study), describe(**settings))
    spec = make_spec(values={name: 0.25}, objective=objective)
    metrics = [objective.metric, name, name + "2"]
    record_trial(journal, spec, [dict.fromkeys(metrics, value) for value in (0.5, 0.75)])
    in_mlflow = InMlflow(history := read_study(shared_store, study))
    run = in_mlflow.run(history.trial(0).uuid)
    pages = {which: view(which, *metrics, **settings) for which in ("trials", "charts", "curves")}
    for page in pages.values():
        best = re.fullmatch("metrics.`(.*)`", page["orderByKey"])
        assert best is not None and run.data.metrics[best[1]] == 0.75
        rows = in_mlflow.client.search_runs(
            [in_mlflow.experiment.experiment_id],
            f"{page['orderByKey']} = 0.75 and {page['searchFilter']}",
            order_by=[f"{page['orderByKey']} DESC"],
        )
        assert [row.info.run_id for row in rows] == [run.info.run_id]
        params = [column for column in page["selectedColumns"] if column.startswith("params.")]
        assert params == [f"params.`{to_mlflow(name)}`"] and to_mlflow(name) in run.data.params
    charts = [chart for page in pages.values() for chart in page.get("compareRunCharts", ())]
    keys = {key for chart in charts for key in chart.get("selectedMetricKeys", ())}
    assert keys == {to_mlflow(metric) for metric in metrics} <= run.data.metrics.keys()
    axes = {c["yaxis"]["key"] for c in charts if c["type"] == "SCATTER"}
    assert axes == {to_mlflow(f"best_{objective.metric}")}


# The text on the page of a study's run.

PAGES = Pages("1", "parent")
MARKS = ["a|b", "`c`", "two\nlines", "![x](http://e.example/x.png)", "# @someone", "*<b>"]
RATE = SearchSpace(ks.Float("rate", 0.0, 1.0))


def study(store: Store, name: str, trials: int = 3, **settings: Any) -> StudyHistory:
    """Records trials whose values are 0.5, 0.49, …."""
    settings = {"space": RATE, **settings}
    places = [number / 100 for number in range(trials)]
    params = [dict.fromkeys(settings["space"].names, place) for place in places]
    record_study(store.root, name, [0.5 - place for place in places], params, **settings).close()
    return replace(read_study(store, name), status="FINISHED")


def test_a_note_has_links_facts_and_commands(shared_store: Store) -> None:
    history = study(shared_store, "it's 손글씨 1", trials=12, notes="Why.")
    pages = Pages("7", "parent", report=True, model="model")
    note = study_note(history, pages)
    links, _, first, *facts = note.splitlines()
    assert first.startswith("- expect: unknown so far: 0.39 is val_loss as the search saw it")
    names = ["report", "registered model", "trials", "charts", "curves"]
    assert [*re.findall(r"\[([\w ]+)\]\(#/", links)] == names
    assert "#/experiments/7/runs/parent/artifacts/report.html?" in links
    assert "#/models/model?" in links
    for fact in (
        "- checked: not compared with a training by plain Keras (model.fit)",
        "- trials: 12 of 12: 12 complete",
        "- seen: trial 11: val_loss 0.39 at epoch 2 of 2, the best of 12 and so partly luck.",
        "- searched: for the lowest val_loss; 1 hyperparameter varied",
        "- engine: optuna:tpe chose the values, without a pruner; seed 0",
        "- notes: Why.",
    ):
        assert fact in facts
    # With too few trials for a diagnosis, the command of the next step is `confirm`.
    code = CodeDescription("/s/a.py", "study", "", "")
    history = study(shared_store, "it's 손글씨 2", trials=3, code=code)
    (command,) = (command.text for command in summary_of(history).commands)
    words = shlex.split(command)
    assert words == ["kerastudy", "confirm", "it's 손글씨 2", "--store", str(shared_store.root)]
    assert command in study_note(history, pages)


def test_readings_of_the_test_part_are_shown(shared_store: Store) -> None:
    history, other = study(shared_store, "evaluated"), study(shared_store, "unread")
    for time in (1, 2):
        metrics = {"accuracy": Measured(0.5, 0.25, 0.75), "<i>loss": Measured(2.0)}
        record_evaluation(history, Evaluation("evaluated", 0, 2, 9, "d", metrics, time=time))
    data = replace(history.description.data, digests={"test": "d"})
    history = replace(history, description=replace(history.description, data=data))
    sentence = (
        "- test part: accuracy 0.50 (0.25 to 0.75), &#60;i&#62;loss 2, by the checkpoint of trial 0"
    )
    assert f"{sentence}; read 2 times\n" in study_note(history, PAGES)
    other = replace(other, description=replace(other.description, data=data))
    # A damaged study in the store changes nothing.
    damaged = shared_store.root / "damaged"
    damaged.mkdir()
    (damaged / "journal.db").write_bytes(b"no database" * 99)
    sentence = "read 2 times for other studies, last for evaluated\n"
    assert sentence in study_note(other, PAGES)


def test_the_note_of_a_running_study_stays_true_after_each_trial(shared_store: Store) -> None:
    history = study(shared_store, "runs", notes="Why.")
    links, _, running = study_note(replace(history, status="RUNNING"), PAGES).splitlines()
    assert running == "**Running: the best trial so far is the first of the trials.**"
    assert [*re.findall(r"\[(\w+)\]\(#/", links)] == ["trials", "charts", "curves"]
    none = study(shared_store, "begins", trials=0)
    assert "no trial has a value of val_loss yet" in study_note(none, PAGES)


def test_users_texts_are_no_markup(shared_store: Store) -> None:
    space = SearchSpace(ks.Choice("kind|of", MARKS), ks.Choice("off", [None, True]))
    name = "<script>alert(1)<"
    described = describe(name=name, space=space, notes="a | <i>b")
    Journal.begin(shared_store.root / "of marks", described).close()
    trials = [trial_record(number, number / 10) for number in range(len(MARKS))]
    marked = [
        replace(trial, spec=replace(trial.spec, values={"kind|of": mark, "off": None}))
        for trial, mark in zip(trials, MARKS, strict=True)
    ]
    history = replace(read_study(shared_store, name), trials=tuple(marked))
    note = study_note(replace(history, status="FINISHED", stopped="a <b>reason</b>"), PAGES)
    # Lines of commands are code, so nothing in them is markup.
    prose = [line for line in note.splitlines() if not line.startswith("    ")]
    text = "\n".join(prose)
    assert not re.search(r"[<>`]", re.sub(r"`[▁-█]*`|`model.fit`", "", text))
    for mark in ("a | <i>b", "a <b>reason</b>"):
        escaped = "".join(f"&#{ord(c)};" if c in "|<>" else c for c in mark)
        assert escaped in text


# The line above the views.


def line(history: StudyHistory, *, running: bool = False) -> str:
    return study_description(history, PAGES, running=running)


def test_the_line_says_what_to_believe_and_links_to_the_views(shared_store: Store) -> None:
    history = study(shared_store, "손글씨 *1*")
    summary = " [summary](#/experiments/1/runs/parent?workflowType=machine_learning) · [trials]("
    begun = replace(history, status="RUNNING")
    assert line(begun, running=True).startswith("Running: the best trial so far")
    killed = "The launch was killed; launch the study again to resume it"
    assert line(begun).startswith(killed)
    text = line(history)
    # MLflow's list of experiments shows the begin, as it is written.
    assert text.startswith("Expect: unknown so far: 0.48 is val_loss as the search saw it")
    assert "[" not in text.partition(summary)[0] and text.count(summary) == 1
    page = "(#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=kerastudy-"
    assert text.count(page) == 3
