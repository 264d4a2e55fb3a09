"""Objectives under the user's own name for one of Keras's metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import kerastudy as ks
from search_spaces import ObjectiveError
from studies.training import settled
from tracking.records import Objective


class Mine(keras.metrics.AUC):
    pass


def other(y: Any, predicted: Any) -> Any:
    return keras.ops.mean(y - predicted, axis=-1)


@pytest.fixture(scope="module")
def model() -> Any:
    inputs = keras.Input((3,))
    outputs = {name: keras.layers.Dense(1, name=name)(inputs) for name in ("kind", "size")}
    made = keras.Model(inputs, outputs)
    made.compile(
        loss="mse",
        metrics={
            "kind": [keras.metrics.AUC(name="AUC"), Mine(name="mine"), other],
            "size": [keras.metrics.MeanAbsoluteError(name="score"), "r2_score"],
        },
        weighted_metrics={"kind": [keras.metrics.F1Score(threshold=0.5, name="score")]},
        run_eagerly=True,
    )
    x = np.zeros((2, 3), "float32")
    made.evaluate(x, {"kind": x[:, :1], "size": x[:, :1]}, verbose=0)
    return made


@pytest.mark.parametrize(
    "name", ["val_kind_AUC", "kind_mine", "val_size_r2_score", "val_size_loss"]
)
def test_the_metric_object_of_a_model_has_the_direction(model: Any, name: str) -> None:
    assert settled(name, model) == Objective(name, "min" if name == "val_size_loss" else "max")


@pytest.mark.parametrize("name", ["val_kind_other", "val_kind_score", "val_mine_loss", "absent"])
def test_an_unknown_direction_is_asked_for(model: Any, name: str) -> None:
    with pytest.raises(ObjectiveError, match=rf"pass Objective\('{name}', 'max'\) or"):
        settled(name, model)


def test_a_study_is_loaded_and_led_by_it(tmp_path: Path) -> None:
    def build(hp: Any) -> keras.Model:
        made = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10, activation="softmax")])
        score = keras.metrics.F1Score(average="macro", name="f1")
        rate = hp.Choice("rate", [1e-3, 1e-1])
        made.compile(keras.optimizers.Adam(rate), "categorical_crossentropy", metrics=[score])
        return made

    x = np.random.default_rng(0).normal(size=(60, 64)).astype("float32")
    y = np.eye(10, dtype="float32")[np.arange(60) % 10]
    data = ks.datasets.arrays(x, y, validation=20, test=0)
    study = ks.Study("mine", data=data, build=build, objective="val_f1", trials=2, epochs=1)
    history = study.launch(store=tmp_path / "store", progress=False, verify="off")
    assert history.description.objective == Objective("val_f1", "max")
    values = [trial.best.value for trial in history.trials if trial.best]
    assert history.best is not None and history.best.best is not None
    assert history.best.best.value == max(values)
