"""A model of several inputs and outputs is launched, and predicts by name in plain MLflow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from in_mlflow import InMlflow
from user_commands import as_json, kerastudy_here

import kerastudy as ks

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
SEVERAL = f"""{DATA}

def build(hp):
    import keras

    layers = keras.layers
    image, tabular = keras.Input((4, 4), name="image"), keras.Input((5,), name="tabular")
    hidden = [layers.Dense(4)(layers.Flatten()(layers.Rescaling(1 / 255)(image))), tabular]
    hidden = layers.Dropout(0.2)(layers.Concatenate()(hidden))
    outputs = {{
        "kind": layers.Dense(3, activation="softmax", name="kind")(hidden),
        "size": layers.Dense(1, name="size")(hidden),
    }}
    model = keras.Model({{"image": image, "tabular": tabular}}, outputs)
    model.compile(
        keras.optimizers.SGD(hp["learning_rate"]),
        loss={{"kind": "sparse_categorical_crossentropy", "size": "mse"}},
        loss_weights={{"kind": 1.0, "size": 0.1}},
        metrics={{"kind": ["accuracy"]}},
    )
    return model


study = ks.Study(
    "several",
    data=ks.datasets.arrays(
        x,
        {{"kind": kind, "size": kind / 2}},
        sample_weight=1.0 + kind,
        preprocess={{"tabular": "standardize"}},
    ),
    build=build,
    space=ks.SearchSpace(ks.learning_rate(1e-3, 0.1)),
    objective=ks.Objective("val_kind_accuracy", "max"),
    trials=2,
    epochs=2,
)
"""


def test_a_champion_of_several_inputs_predicts_by_name(tmp_path: Path) -> None:
    """What its process needs is in `commands/test_mlflow_process`."""
    (tmp_path / "several.py").write_text(SEVERAL, encoding="utf-8")
    options = ("--executor", "in-process", "--verify", "off", "--json")
    launched = as_json(kerastudy_here(tmp_path, "launch", "several.py", *options))
    best = launched["best"]
    assert best["trainer"] == "compiled"
    assert {"val_kind_accuracy", "val_kind_loss", "val_size_loss"} <= set(best["metrics"])
    in_mlflow = InMlflow(ks.read_study("several", store=launched["store"]))
    mlflow.set_tracking_uri(launched["tracking_uri"])
    try:
        model = mlflow.keras.load_model("models:/several@champion")
        info = mlflow.models.get_model_info("models:/several@champion")
    finally:
        mlflow.set_tracking_uri(None)
    zeros = {"image": np.zeros((7, 4, 4), "uint8"), "tabular": np.zeros((7, 5), "float32")}
    predicted = model.predict(zeros, verbose=0)
    shapes = {name: array.shape for name, array in predicted.items()}
    assert shapes == {"kind": (7, 3), "size": (7, 1)}
    # Both as they are given: the model standardizes the table itself.
    assert info.signature is not None
    assert json.loads(json.dumps(info.signature.inputs.to_dict())) == [
        {"name": name, "type": "tensor", "tensor-spec": {"dtype": dtype, "shape": [-1, *shape]}}
        for name, dtype, shape in (("image", "uint8", (4, 4)), ("tabular", "float64", (5,)))
    ]
    assert [each["name"] for each in info.signature.outputs.to_dict()] == ["kind", "size"]
    names: dict[str, Any] = {}
    exec(DATA, names)
    x, kind = names["x"], names["kind"]
    y = {"kind": kind, "size": kind / 2}
    raw: Any = ks.datasets.arrays(x, y, sample_weight=1.0 + kind).load().validation
    weights = dict.fromkeys(raw.y, raw.sample_weight)
    scores = model.evaluate(
        raw.x, raw.y, sample_weight=weights, batch_size=32, verbose=0, return_dict=True
    )
    assert scores["kind_accuracy"] == best["value"]
    assert scores["loss"] == pytest.approx(best["metrics"]["val_loss"], rel=1e-6)
    profile = json.loads(in_mlflow.parent.inputs.dataset_inputs[0].dataset.profile)
    assert profile["shapes"]["train"]["x"] == {"image": [72, 4, 4], "tabular": [72, 5]}
    assert profile["shapes"]["train"]["sample_weight"] == [72]
    assert profile["preprocessing"] == "tabular: standardize"
