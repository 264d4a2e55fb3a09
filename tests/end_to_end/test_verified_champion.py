"""A champion is what plain Keras comes to, even where the compiled trainer is wrong."""

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from in_mlflow import InMlflow
from user_commands import as_json, kerastudy_here

import kerastudy as ks


def build(hp: ks.Hyperparameters) -> keras.Model:
    """A model that is another one each time that it is built, if its scale is large."""
    times = Path(os.environ["TIMES_BUILT"])
    if hp["scale"] > 100:
        times.write_text(times.read_text() + "x")
    initializer = keras.initializers.RandomNormal(
        seed=len(times.read_text()) if hp["scale"] > 100 else 0
    )
    layer = keras.layers.Dense(2, activation="softmax", kernel_initializer=initializer)
    model = keras.Sequential([keras.layers.Flatten(), layer])
    optimizer = keras.optimizers.SGD(hp["learning_rate"])
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


# The last one learns fast, so that it has the best value.
TRIALS = [
    {"scale": 1.0, "learning_rate": 0.01},
    {"scale": 1.2, "learning_rate": 0.011},
    {"scale": 1.4, "learning_rate": 0.012},
    {"scale": 1e6, "learning_rate": 0.5},
]


def test_the_champion_is_the_trial_that_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "built").write_text("")
    monkeypatch.setenv("TIMES_BUILT", str(tmp_path / "built"))
    space = ks.SearchSpace(
        ks.Float("learning_rate", 1e-3, 1.0, default=0.01), ks.Float("scale", 1.0, 1e6, default=1.0)
    )
    x = np.random.default_rng(0).normal(size=(100, 6)).astype("float32")
    data = ks.datasets.arrays(x, (x[:, 0] > 0).astype("int64"), validation=30, test=None)
    study = ks.Study("holds", data=data, build=build, space=space, initial=TRIALS)
    fields: dict[str, Any] = {"store": tmp_path / "store", "trials": 4, "epochs": 3}
    history = study.launch(**fields, verify="full")
    wrong, best = history.trial(3), history.best
    assert wrong.result.trainer == "compiled" and wrong.best.value < best.best.value
    assert wrong.verified.startswith("model.fit, differs: accuracy of epoch 1 was ")
    assert best.number != 3 and best.verified == "model.fit, identical"
    errors = " ".join(capsys.readouterr().err.split())
    assert f"trial 3 differs from model.fit: {wrong.verified.split(': ')[1]}" in errors
    assert "other trials that the compiled trainer trained may be wrong" in errors
    assert f"the champion is the next best, trial {best.number}" in errors

    in_mlflow = InMlflow(history)
    version, run = in_mlflow.champion, in_mlflow.run(best.uuid)
    assert version.tags["kerastudy.champion_run"] == run.info.run_id
    for tags in (version.tags, run.data.tags):
        assert tags["kerastudy.verified"] == "model.fit, identical"

    output = kerastudy_here(tmp_path, "show", "holds", "--store", "store").stdout
    second = "second training, by plain Keras (model.fit): identical"
    sentence = f"trial {best.number}: models:/holds@champion in MLflow checked {second}"
    assert sentence in " ".join(output.split())
    document = as_json(kerastudy_here(tmp_path, "show", "holds", "--store", "store", "--json"))
    assert document["best"]["verified"] == "model.fit, identical"

    capsys.readouterr()
    again = study.launch(**{**fields, "trials": 5})
    assert [t.result.trainer for t in again.trials if t.result][3:] == ["compiled", "plain"]
    assert "model.fit trains the study's trials" in " ".join(capsys.readouterr().err.split())
    assert again.best is not None and again.is_champion(again.best)
    assert again.trial(3).verified == wrong.verified
