"""The prepared views of a study, as MLflow's UI keeps them."""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import Any

import pytest
from handmade import ENVIRONMENT, make_spec, record_trial
from in_mlflow import InMlflow
from scripted import describe

import kerastudy as ks
from search_spaces import SearchSpace
from tracking.history import read_study
from tracking.journal import Journal
from tracking.mlflow import to_mlflow, view_id, view_tags
from tracking.records import Objective
from tracking.store import Store

NAMES = ["정확도 100%: a/b@" + "n" * 387, "recall@5", "../a", "n" * 248]


def view(name: str, /, *metrics: str, **settings: Any) -> dict[str, Any]:
    made = view_tags(describe(**settings), 0, several=False, metrics=metrics)
    state = json.loads(made[f"mlflow.sharedViewState.{view_id(name)}"])["state"]
    found: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(state.split(";")[1])))
    return found


def test_what_is_never_validated_stands_alone() -> None:
    found = view("curves", objective=Objective("value", "min"))
    drawn = [chart for chart in found["compareRunCharts"] if not chart["deleted"]]
    assert [chart["selectedMetricKeys"] for chart in drawn] == [["value"]]
    assert found["compareRunSections"][0]["columns"] == 1


def test_training_and_validation_share_a_chart() -> None:
    """Those of each model of an objective function too."""
    metrics = ("loss", "fit_2/loss", "fit_2/val_loss", "value", "fit_2/lr")
    charts = view("curves", "val_loss", *metrics)["compareRunCharts"]
    assert [chart["selectedMetricKeys"] for chart in charts if not chart["deleted"]] == [
        ["val_loss", "loss"],
        ["fit_2/val_loss", "fit_2/loss"],
        ["fit_2/lr"],
        ["value"],
    ]
    # The UI adds charts of metrics that it does not find.
    others = {chart["metricKey"] for chart in charts if chart["deleted"]}
    assert {"loss", "fit_2/loss"} < others and not others & {"val_loss", "fit_2/val_loss"}


@pytest.mark.parametrize("name", NAMES)
def test_what_the_views_name_is_what_a_run_has(shared_store: Store, name: str) -> None:
    objective, space = Objective(f"val_{name}", "max"), SearchSpace(ks.Float(name, 0.0, 1.0))
    study = f"names in views {NAMES.index(name)}"
    settings = {"name": study, "objective": objective, "space": space}
    folder = shared_store.new_folder(study)
    journal = Journal.begin(folder, describe(**settings), ENVIRONMENT)
    spec = make_spec(values={name: 0.25}, objective=objective)
    metrics = [objective.metric, name, name + "2"]
    curve = [dict.fromkeys(metrics, 0.5), dict.fromkeys(metrics, 0.75)]
    record_trial(journal, spec, curve)
    history = read_study(shared_store, study)
    assert history.curve(history.trial(0)) == dict(enumerate(curve, start=1))
    shown = InMlflow(history)
    run = shown.run(history.trial(0).uuid)
    own = {each for each in run.data.metrics if not each.startswith("system/")}
    assert own == {to_mlflow(each) for each in (*metrics, f"best_{objective.metric}")}
    assert len(own) == 4
    assert all(shown.points(run, to_mlflow(each)) == [(1, 0.5), (2, 0.75)] for each in metrics)
    for which in ("trials", "curves", "charts"):
        page = view(which, *metrics, **settings)
        best = re.fullmatch("metrics.`(.*)`", page["orderByKey"])
        assert best is not None and run.data.metrics[best[1]] == 0.75
        found = shown.client.search_runs(
            [shown.experiment.experiment_id],
            f"{page['orderByKey']} = 0.75 and {page['searchFilter']}",
            order_by=[f"{page['orderByKey']} DESC"],
        )
        assert [each.info.run_id for each in found] == [run.info.run_id]
        params = [column for column in page["selectedColumns"] if column.startswith("params.")]
        assert params == [f"params.`{to_mlflow(name)}`"] and to_mlflow(name) in run.data.params
    pages = [view(which, *metrics, **settings) for which in ("curves", "charts")]
    charts = [chart for page in pages for chart in page["compareRunCharts"]]
    keys = {key for chart in charts for key in chart.get("selectedMetricKeys", ())}
    assert keys == {to_mlflow(each) for each in metrics}
    axes = {c["yaxis"]["key"] for c in charts if c["type"] == "SCATTER"}
    assert axes == {to_mlflow(f"best_{objective.metric}")}
