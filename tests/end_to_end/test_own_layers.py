"""Registered models with layers, losses and metrics of the user's own, loaded elsewhere."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from in_mlflow import InMlflow
from user_commands import as_json, kerastudy_here, run

import kerastudy as ks

STUDY = """
import keras
import numpy as np

import kerastudy as ks
from helpers.scales import FACTOR, Scaled
from losses import squared

SHIFT = 0.5
data = np.load("data.npz")


def shifted(x):
    return x + SHIFT


@keras.saving.register_keras_serializable("mine")
class Hidden(keras.layers.Layer):
    def __init__(self, units=3, **options):
        super().__init__(**options)
        self.units = units
        self.dense = keras.layers.Dense(units)

    def call(self, x):
        return shifted(self.dense(x)) * FACTOR

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def build(hp):
    class Inner(keras.layers.Layer):
        def call(self, x):
            return keras.ops.tanh(x)

    layers = [Hidden(), Scaled(), Inner(), keras.layers.Lambda(shifted), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.SGD(hp["learning_rate"]), squared, metrics=[squared])
    return model


study = ks.Study(
    "own",
    data=ks.datasets.arrays(data["x"], data["y"], preprocess="standardize"),
    build=build,
    space=ks.SearchSpace(ks.learning_rate(1e-3, 0.1)),
    objective="val_loss",
    trials=1,
    epochs=1,
)
"""
HELPERS = """
import keras

from .factors import FACTOR


class Scaled(keras.layers.Layer):
    def call(self, x):
        return x * FACTOR
"""
LOSSES = """
import keras


def squared(y_true, y_pred):
    return keras.ops.mean(keras.ops.square(y_true - y_pred))
"""
# Nothing of the study's is there, and what is called like it is another.
LOAD = """
import json, sys
import mlflow, numpy as np

mlflow.set_tracking_uri(sys.argv[1])
loaded = mlflow.pyfunc.load_model("models:/own@champion")
part = np.load(sys.argv[2])
scores = loaded.get_raw_model().evaluate(part["x"], part["y"], verbose=0, return_dict=True)
ours = "kerastudy" in sys.modules or "helpers" in sys.modules
import kerastudy as ks

again = ks.load_model("own", store=sys.argv[3])
assert (again.predict(part["x"], verbose=0) == loaded.predict(part["x"])).all()
print(json.dumps({"scores": scores, "ours": ours}))
"""


@pytest.mark.exhaustive
def test_they_load_where_nothing_of_the_study_is(tmp_path: Path) -> None:
    folder, random = tmp_path / "study", np.random.default_rng(0)
    (folder / "helpers").mkdir(parents=True)
    (folder / "own.py").write_text(STUDY)
    (folder / "helpers" / "scales.py").write_text(HELPERS)
    (folder / "helpers" / "factors.py").write_text("FACTOR = 2.0\n")
    (folder / "losses.py").write_text(LOSSES)
    np.savez(folder / "data.npz", x=random.normal(7, 3, (40, 3)), y=random.normal(size=(40, 1)))
    options = ("--executor", "in-process", "--verify", "off", "--json")
    launched = as_json(kerastudy_here(folder, "launch", "own.py", *options))
    data = np.load(folder / "data.npz")
    part = ks.datasets.arrays(data["x"], data["y"]).load().validation
    np.savez(tmp_path / "part.npz", x=part.x, y=part.y)
    store = tmp_path / "store"
    shutil.copytree(folder / "kerastudy-store", store)
    InMlflow(ks.read_study("own", store=store))
    shutil.rmtree(folder)
    uri = f"sqlite:///{(store / 'mlflow.db').as_posix()}"
    done = run(tmp_path, [sys.executable, "-P", "-c", LOAD, uri, "part.npz", str(store)])
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["scores"]["loss"] == pytest.approx(launched["best"]["value"], rel=1e-6)
    assert not found["ours"]
