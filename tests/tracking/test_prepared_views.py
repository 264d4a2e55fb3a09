"""The prepared views of a study, as MLflow's UI keeps them."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

from scripted import describe

from tracking.mlflow import view_id, view_tags
from tracking.records import Objective


def view(name: str, *metrics: str, **settings: Any) -> dict[str, Any]:
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
