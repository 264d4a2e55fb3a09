"""Metrics and hyperparameters keep their names in the record; MLflow alone gets its spelling."""

from __future__ import annotations

import json

import pytest
from exported import check_equal, rows
from in_mlflow import InMlflow
from stores import history_at
from user_commands import kerastudy_here

from tracking.history import StudyHistory
from tracking.mlflow import to_mlflow

LONG = "a name of 400 characters " + 375 * "n"
LOGGED = ["100 %", "정확도", "a/b", "../a", "a: b", LONG + "1", "late " + 40 * "🐝"]
NAMES = {*LOGGED, LONG, f"val_{LONG}", "loss", "val_loss"}
# MLflow gets them cut, and apart.
RATES = ["속도 %/a: " + LONG, "속도 %/a: " + LONG + "1"]
STUDY = f"""
import keras
import numpy as np

import kerastudy as ks

LONG, LOGGED, RATES = {LONG!r}, {LOGGED!r}, {RATES!r}
x = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")


class Logs(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        logs.update((name, epoch + place / 10) for place, name in enumerate(LOGGED))


def build(hp):
    model = keras.Sequential([keras.layers.Dense(1)])
    metric = keras.metrics.MeanAbsoluteError(name=LONG)
    model.compile(keras.optimizers.SGD(*(hp[rate] for rate in RATES)), "mse", metrics=[metric])
    return model


study = ks.Study(
    "names",
    data=ks.datasets.arrays(x, x[:, :1]),
    build=build,
    space=ks.SearchSpace(*(ks.Float(rate, 0.001, 0.1) for rate in RATES)),
    objective=ks.Objective("val_" + LONG, "min"),
    callbacks=lambda hp: [Logs()],
    epochs=2,
    trials=2,
)
"""


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> StudyHistory:
    folder = tmp_path_factory.mktemp("names")
    (folder / "study.py").write_text(STUDY, encoding="utf-8")
    kerastudy_here(folder, "launch", "study.py", "--executor", "in-process", "--verify", "full")
    return history_at(folder / "kerastudy-store", "names")


def test_the_record_has_them_as_they_are(launched: StudyHistory) -> None:
    assert len(LONG) == 400
    assert len(launched.ended) == 2 and launched.best is not None
    assert launched.best.verified == "model.fit, identical"
    for trial in launched.ended:
        assert trial.state == "complete" and set(trial.spec.values) == {*RATES}
        assert trial.result.scores_bytes and not trial.result.unscored
        assert trial.best is not None and set(trial.best.metrics) == NAMES
        assert trial.best.value == trial.best.metrics[f"val_{LONG}"]
    for row in rows(launched.folder, "SELECT epoch, metrics FROM epochs"):
        metrics = json.loads(row["metrics"])
        assert set(metrics) == NAMES
        logged = [row["epoch"] - 1 + place / 10 for place in range(len(LOGGED))]
        assert [metrics[name] for name in LOGGED] == logged


def test_show_has_them_as_they_are(launched: StudyHistory) -> None:
    place, show = launched.store.root.parent, ("show", "names")
    shown = json.loads(kerastudy_here(place, *show, "--json").stdout)
    assert shown["objective"]["metric"] == f"val_{LONG}"
    assert set(shown["best"]["metrics"]) == NAMES
    assert set(shown["best"]["params"]) == {*RATES}
    assert kerastudy_here(place, *show).stdout and kerastudy_here(place, *show, "--all").stdout


def test_mlflow_has_them_in_its_spelling_once(launched: StudyHistory) -> None:
    shown = InMlflow(launched)
    assert launched.best is not None
    check_equal(shown.client, launched.folder)
    spelled = {to_mlflow(name) for name in (*NAMES, f"best_val_{LONG}")}
    assert {"100 :x25:", "정확도", "a/b", "a: b"} < spelled
    assert len(spelled) == len(NAMES) + 1 and max(map(len, spelled)) == 250
    for trial in launched.ended:
        data = shown.run(trial.uuid).data
        assert {name for name in data.metrics if not name.startswith("system/")} == spelled
        rates = [float(data.params[to_mlflow(rate)]) for rate in RATES]
        assert rates == pytest.approx([trial.params[rate] for rate in RATES], rel=1e-3)
    (best,) = [name for name in shown.parent.data.metrics if name.startswith("study/best_")]
    assert best == to_mlflow(f"study/best_val_{LONG}")
    assert shown.champion.tags[to_mlflow(f"val_{LONG}")] == repr(launched.best.value)
