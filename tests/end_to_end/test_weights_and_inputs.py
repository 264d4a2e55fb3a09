"""Several inputs and outputs, and weighted classes: launched, looked at, run again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from in_mlflow import InMlflow
from stores import history_at
from user_commands import as_json, kerastudy_here

from kerastudy import datasets

DATA = """
import numpy as np

import kerastudy as ks

random = np.random.default_rng(0)
kind = np.arange(120) % 3
x = {
    "image": random.integers(0, 255, (120, 4, 4)).astype("uint8"),
    "tabular": (random.normal(size=(120, 5)) * 100 + kind[:, None]),
}
"""
SEVERAL = (
    DATA
    + """

def build(hp):
    import keras

    layers = keras.layers
    image, tabular = keras.Input((4, 4), name="image"), keras.Input((5,), name="tabular")
    hidden = [layers.Dense(4)(layers.Flatten()(layers.Rescaling(1 / 255)(image))), tabular]
    hidden = layers.Dropout(0.2)(layers.Concatenate()(hidden))
    outputs = {
        "kind": layers.Dense(3, activation="softmax", name="kind")(hidden),
        "size": layers.Dense(1, name="size")(hidden),
    }
    model = keras.Model({"image": image, "tabular": tabular}, outputs)
    model.compile(
        keras.optimizers.SGD(hp["learning_rate"]),
        loss={"kind": "sparse_categorical_crossentropy", "size": "mse"},
        loss_weights={"kind": 1.0, "size": 0.1},
        metrics={"kind": ["accuracy"]},
    )
    return model


study = ks.Study(
    "several",
    data=ks.datasets.arrays(
        x,
        {"kind": kind, "size": kind / 2},
        sample_weight=1.0 + kind,
        preprocess={"tabular": "standardize"},
    ),
    build=build,
    space=ks.SearchSpace(ks.learning_rate(1e-3, 0.1)),
    objective=ks.Objective("val_kind_accuracy", "max"),
    trials=2,
    epochs=2,
)
"""
)
WEIGHTED = (
    DATA
    + """
from weights import WEIGHTS


def build(hp):
    import keras

    model = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(3, "softmax")])
    optimizer = keras.optimizers.SGD(hp["learning_rate"])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


study = ks.Study(
    "weighted",
    data=ks.datasets.arrays(x["tabular"] / 100, kind),
    build=build,
    space=ks.SearchSpace(ks.learning_rate(1e-3, 0.1)),
    objective="val_loss",
    trials=2,
    epochs=2,
    class_weight=WEIGHTS,
)
"""
)
HERE = ("--executor", "in-process", "--verify", "off", "--json")


def spec(name: str, dtype: str, *shape: int) -> dict[str, Any]:
    tensor = {"dtype": dtype, "shape": [-1, *shape]}
    return {"name": name, "type": "tensor", "tensor-spec": tensor}


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("several")
    (folder / "several.py").write_text(SEVERAL, encoding="utf-8")
    return folder, as_json(kerastudy_here(folder, "launch", "several.py", *HERE))


def test_several_inputs_are_launched_and_shown(several: tuple[Path, Any]) -> None:
    folder, launched = several
    assert launched["best"]["trainer"] == "compiled"
    assert {"val_kind_accuracy", "val_kind_loss", "val_size_loss"} <= set(
        launched["best"]["metrics"]
    )
    assert as_json(kerastudy_here(folder, "show", "several", "--json")) == launched


def test_their_champion_predicts_by_name(several: tuple[Path, Any]) -> None:
    """In plain MLflow: what its process needs is in `commands/test_champion_in_mlflow`."""
    _, launched = several
    in_mlflow = InMlflow(history_at(launched["store"], "several"))
    names: dict[str, Any] = {}
    exec(DATA, names)
    x, kind = names["x"], names["kind"]
    y = {"kind": kind, "size": kind / 2}
    raw = datasets.arrays(x, y, sample_weight=1.0 + kind).load().validation
    assert isinstance(raw.x, dict) and isinstance(raw.y, dict) and raw.sample_weight is not None
    mlflow.set_tracking_uri(launched["tracking_uri"])
    try:
        model = mlflow.keras.load_model("models:/several@champion")
        info = mlflow.models.get_model_info("models:/several@champion")
    finally:
        mlflow.set_tracking_uri(None)
    zeros = {"image": np.zeros((7, 4, 4), "uint8"), "tabular": np.zeros((7, 5), "float32")}
    predicted = model.predict(zeros, verbose=0)
    assert {name: array.shape for name, array in predicted.items()} == {
        "kind": (7, 3),
        "size": (7, 1),
    }
    # Both as they are given: the model standardizes the table itself.
    assert info.signature is not None
    wanted = [spec("image", "uint8", 4, 4), spec("tabular", "float64", 5)]
    assert json.loads(json.dumps(info.signature.inputs.to_dict())) == wanted
    assert [each["name"] for each in info.signature.outputs.to_dict()] == ["kind", "size"]
    weights = dict.fromkeys(raw.y, raw.sample_weight)
    scores = model.evaluate(
        raw.x, raw.y, sample_weight=weights, batch_size=32, verbose=0, return_dict=True
    )
    best = launched["best"]
    assert scores["kind_accuracy"] == best["value"]
    assert scores["loss"] == pytest.approx(best["metrics"]["val_loss"], rel=1e-6)
    profile = json.loads(in_mlflow.parent.inputs.dataset_inputs[0].dataset.profile)
    assert profile["shapes"]["train"]["x"] == {"image": [72, 4, 4], "tabular": [72, 5]}
    assert profile["shapes"]["train"]["sample_weight"] == [72]
    assert profile["preprocessing"] == "tabular: standardize"


@pytest.mark.exhaustive
def test_weighted_classes_are_recorded_and_run_again_from_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights come from the record, whatever what the file imports says by now."""
    (tmp_path / "weighted.py").write_text(WEIGHTED, encoding="utf-8")
    weights = tmp_path / "weights.py"
    weights.write_text("WEIGHTS = {0: 1.0, 2: 25.0}\n")
    launched = as_json(kerastudy_here(tmp_path, "launch", "weighted.py", *HERE))
    assert launched["class_weight"] == {"0": 1.0, "2": 25.0}
    assert launched["best"]["model_uri"] == "models:/weighted@champion"
    shown = kerastudy_here(tmp_path, "show", "weighted").stdout
    assert "of classes 0: 1, 2: 25; of others 1" in shown
    weights.write_text("WEIGHTS = 'balanced'\n")
    # As in a new process.
    monkeypatch.delitem(sys.modules, "weights")
    refused = kerastudy_here(tmp_path, "launch", "weighted.py", *HERE, "--trials", "3", expect=2)
    assert "class_weight was {0: 1.0, 2: 25.0} and is {0: 1.0, 1: 1.0, 2: 1.0}" in refused.stderr
    again = as_json(kerastudy_here(tmp_path, "reproduce", "weighted", "--json"))
    assert again["identical"] is True
    assert np.isfinite(launched["best"]["value"])
