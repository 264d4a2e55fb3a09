"""The champion is a model of MLflow, and gives its trial's score."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mlflow
import numpy as np
import pytest
from blobs import Launched
from in_mlflow import InMlflow
from stores import history_at
from study_record import read_record
from user_commands import as_json, kerastudy_here

from kerastudy import datasets


@pytest.fixture(scope="module")
def shown(launched: Launched, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, InMlflow]:
    """A copy of the launched store in another place, and its MLflow's contents."""
    store = tmp_path_factory.mktemp("shown") / "옮긴 store"
    shutil.copytree(launched.store, store)
    return store, InMlflow(history_at(store, "blobs"))


def test_mlflow_loads_the_champion_of_a_moved_store_which_predicts_what_is_recorded(
    launched: Launched, shown: tuple[Path, InMlflow]
) -> None:
    """In a new process, without kerastudy: see `test_own_layers` and `test_served_models`."""
    store, in_mlflow = shown
    mlflow.set_tracking_uri(in_mlflow.client.tracking_uri)
    try:
        model = mlflow.keras.load_model("models:/blobs@champion")
        signature = mlflow.models.get_model_info("models:/blobs@champion").signature
    finally:
        mlflow.set_tracking_uri(None)
    # The validation part of the study's data, made anew.
    random, y = np.random.default_rng(0), np.arange(150) % 3
    x = (random.normal(size=(150, 4)) + y[:, None]).astype("float32")
    part = datasets.arrays(x, y).load().validation
    scores = model.evaluate(part.x, part.y, batch_size=32, verbose=0, return_dict=True)
    best = launched.document["best"]
    assert scores["accuracy"] == best["value"]
    assert scores["loss"] == pytest.approx(best["metrics"]["val_loss"], rel=1e-6)
    for told, size in ((signature.inputs, 4), (signature.outputs, 3)):
        assert told.to_dict()[0]["tensor-spec"] == {"dtype": "float32", "shape": (-1, size)}
    artifacts = in_mlflow.experiment.artifact_location
    assert artifacts.startswith((store / "mlartifacts").as_uri())

    (champion,) = read_record(store, "blobs")["champion"]
    recorded = json.loads(champion["predictions"])
    assert (recorded["trial"], recorded["epoch"]) == (best["trial"], best["epoch"])
    correct = sum(each["correct"] for each in recorded["classes"])
    assert correct / recorded["samples"] == pytest.approx(best["value"])
    assert [each["samples"] for each in recorded["classes"]] == np.bincount(part.y).tolist()


def test_the_registry_says_where_the_champion_comes_from(
    launched: Launched, shown: tuple[Path, InMlflow]
) -> None:
    store, in_mlflow = shown
    best, version = launched.document["best"], in_mlflow.champion
    assert version.run_id == in_mlflow.parent.info.run_id
    assert version.tags["kerastudy.champion_run"] == in_mlflow.run(best["uuid"]).info.run_id
    assert version.tags["kerastudy.verdict"] == launched.document["verdict"]["text"]
    assert "**Expect " in version.description
    assert version.tags["epoch"] == str(best["epoch"])
    (file,) = store.glob("mlartifacts/**/requirements.txt")
    fixed = [line for line in file.read_text().splitlines() if line]
    assert all("==" in line for line in fixed)
    assert {"keras", "tensorflow"} <= {line.partition("==")[0] for line in fixed}


@pytest.mark.exhaustive
def test_a_moved_study_reproduces_by_the_compiled_trainer(
    shown: tuple[Path, InMlflow], tmp_path: Path
) -> None:
    options = ("--trainer", "compiled", "--json", "--store", shown[0])
    document = as_json(kerastudy_here(tmp_path, "reproduce", "blobs", *options))
    assert (document["trainer"], document["identical"]) == ("compiled", True)
    assert document["max_difference"] == 0.0
