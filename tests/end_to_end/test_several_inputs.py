"""A model of several inputs and outputs is launched, and predicts by name in plain MLflow."""

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import two_sided
from in_mlflow import InMlflow
from stores import store_at

import kerastudy as ks

SPACE = ks.SearchSpace(ks.Float("lr", 1e-3, 0.1), ks.Float("rate", 0.1, 0.3), ks.Fixed("l2", 0.01))


def test_a_champion_of_several_inputs_predicts_by_name(tmp_path: Path) -> None:
    """`commands/test_mlflow_process` judges the exporter's process."""
    weights = 1.0 + np.arange(two_sided.COUNT) % 3
    data = {"sample_weight": weights, "validation": 0.2, "test": 0.2}
    study = ks.Study(
        "several",
        data=two_sided.by_name(preprocess={"tabular": "standardize"}, **data),
        build=two_sided.named,
        space=SPACE,
        objective=ks.Objective("val_kind_accuracy", "max"),
        trials=2,
        epochs=2,
    )
    results = study.launch(store=tmp_path / "store", verify="off", progress=False)
    best = results.best
    assert best is not None and best.result.trainer == "compiled"
    assert {"val_kind_accuracy", "val_kind_loss", "val_size_loss"} <= set(best.metrics)
    in_mlflow = InMlflow(results)
    mlflow.set_tracking_uri(store_at(tmp_path / "store").mlflow_uri)
    try:
        model = mlflow.keras.load_model("models:/several@champion")
        info = mlflow.models.get_model_info("models:/several@champion")
    finally:
        mlflow.set_tracking_uri(None)
    zeros = {"image": np.zeros((7, 4, 4, 1), "uint8"), "tabular": np.zeros((7, 6), "float32")}
    predicted = model.predict(zeros, verbose=0)
    shapes = {name: array.shape for name, array in predicted.items()}
    assert shapes == {"kind": (7, 3), "size": (7, 1)}
    for x in ({**zeros, "more": None}, (*zeros.values(),)):
        assert np.array_equal(results.predict(x)["size"], predicted["size"])
    for wrong, message in (
        ({"image": zeros["image"]}, "'x' lacks 'tabular'"),
        (zeros["image"], "'x' lacks 'image' and 'tabular'"),
        ({**zeros, "tabular": np.zeros((6, 6))}, "different numbers of samples: \\[6, 7\\]"),
    ):
        with pytest.raises(ks.errors.DataError, match=message):
            results.predict(wrong)
    # Both inputs are raw, as the model standardizes the table itself.
    assert json.loads(json.dumps(info.signature.inputs.to_dict())) == [
        {"name": name, "type": "tensor", "tensor-spec": {"dtype": dtype, "shape": [-1, *shape]}}
        for name, dtype, shape in (("image", "uint8", (4, 4, 1)), ("tabular", "float64", (6,)))
    ]
    assert [output["name"] for output in info.signature.outputs.to_dict()] == ["kind", "size"]
    raw: Any = two_sided.by_name(**data).load().validation
    of_samples = dict.fromkeys(raw.y, raw.sample_weight)
    options: Any = {"batch_size": 32, "verbose": 0, "return_dict": True}
    scores = model.evaluate(raw.x, raw.y, sample_weight=of_samples, **options)
    assert scores["kind_accuracy"] == best.value
    assert scores["loss"] == pytest.approx(best.metrics["val_loss"], rel=1e-6)
    profile = json.loads(in_mlflow.parent.inputs.dataset_inputs[0].dataset.profile)
    assert profile["shapes"]["train"]["x"] == {"image": [38, 4, 4, 1], "tabular": [38, 6]}
    assert profile["shapes"]["train"]["sample_weight"] == [38]
    assert profile["preprocessing"] == "tabular: standardize"
