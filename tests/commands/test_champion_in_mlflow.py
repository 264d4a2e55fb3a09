"""The champion is a model of MLflow, and gives its trial's score."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import mlflow
import numpy as np
import pytest
from blobs import Launched
from in_mlflow import InMlflow
from stores import history_at
from study_record import read_record
from suite import exhaustive_but
from user_commands import kerastudy_here, run

from kerastudy import datasets

# Plain MLflow, as a user's program would have it.
EVALUATE = """
import json, sys
import mlflow, mlflow.keras
import numpy as np

uri, name, data = sys.argv[1:]
mlflow.set_tracking_uri(uri)
model = mlflow.keras.load_model(f"models:/{name}@champion")
part = np.load(data)
scores = model.evaluate(part["x"], part["y"], batch_size=32, verbose=0, return_dict=True)
info = mlflow.models.get_model_info(f"models:/{name}@champion")
print(json.dumps({
    "scores": scores,
    "inputs": info.signature.inputs.to_dict(),
    "outputs": info.signature.outputs.to_dict(),
    "ours": "kerastudy" in sys.modules,
}))
"""


@pytest.fixture(scope="module")
def shown(launched: Launched, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, InMlflow]:
    """A copy of the launched store in another place, and its MLflow's contents."""
    store = tmp_path_factory.mktemp("shown") / "옮긴 store"
    shutil.copytree(launched.store, store)
    return store, InMlflow(history_at(store, "blobs"))


@pytest.fixture(scope="module")
def validation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The validation part of the study's data, made anew."""
    random = np.random.default_rng(0)
    y = np.arange(150) % 3
    x = (random.normal(size=(150, 4)) + y[:, None]).astype("float32")
    part = datasets.arrays(x, y).load().validation
    path = tmp_path_factory.mktemp("validation") / "part.npz"
    np.savez(path, x=part.x, y=part.y)
    return path


def evaluate(arguments: list[str], cwd: Path) -> Any:
    """In a new process, which has nothing of kerastudy's."""
    told = run(cwd, [sys.executable, "-c", EVALUATE, *arguments])
    found = json.loads(told.stdout.splitlines()[-1])
    assert not found["ours"]
    return found


def evaluate_here(arguments: list[str], cwd: Path) -> Any:
    before, printed = mlflow.get_tracking_uri(), io.StringIO()
    try:
        with patch.object(sys, "argv", ["-c", *arguments]), contextlib.redirect_stdout(printed):
            exec(EVALUATE, {})
    finally:
        mlflow.set_tracking_uri(before)
    return json.loads(printed.getvalue().splitlines()[-1])


# `end_to_end/test_own_layers` and `test_served_models` show models in new processes, too.
@pytest.mark.parametrize("how", exhaustive_but([evaluate_here], [evaluate_here, evaluate]))
def test_mlflow_loads_the_champion_of_a_moved_store(
    launched: Launched,
    shown: tuple[Path, InMlflow],
    validation: Path,
    tmp_path: Path,
    how: Callable[..., Any],
) -> None:
    store, in_mlflow = shown
    database = f"sqlite:///{(store / 'mlflow.db').as_posix()}"
    found = how([database, "blobs", str(validation)], tmp_path)
    best = launched.document["best"]
    assert found["scores"]["accuracy"] == best["value"]
    assert found["scores"]["loss"] == pytest.approx(best["metrics"]["val_loss"], rel=1e-6)
    assert found["inputs"][0]["tensor-spec"] == {"dtype": "float32", "shape": [-1, 4]}
    assert found["outputs"][0]["tensor-spec"] == {"dtype": "float32", "shape": [-1, 3]}
    artifacts = in_mlflow.experiment.artifact_location
    assert artifacts.startswith((store / "mlartifacts").as_uri())
    told = kerastudy_here(tmp_path, "show", "blobs", "--json", "--store", store)
    now = json.loads(told.stdout)["best"]
    assert now["model_uri"] == "models:/blobs@champion"
    assert Path(now["checkpoint"]).is_relative_to(store)


def test_the_record_has_what_the_champion_predicts(launched: Launched, validation: Path) -> None:
    (champion,) = read_record(launched.store, "blobs")["champion"]
    found, best = json.loads(champion["predictions"]), launched.document["best"]
    assert (found["trial"], found["epoch"]) == (best["trial"], best["epoch"])
    correct = sum(each["correct"] for each in found["classes"])
    assert correct / found["samples"] == pytest.approx(best["value"])
    y = np.load(validation)["y"]
    assert [each["samples"] for each in found["classes"]] == np.bincount(y).tolist()


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
    document = json.loads(kerastudy_here(tmp_path, "reproduce", "blobs", *options).stdout)
    assert (document["trainer"], document["identical"]) == ("compiled", True)
    assert document["max_difference"] == 0.0
