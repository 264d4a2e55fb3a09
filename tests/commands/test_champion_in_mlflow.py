"""The champion is a model of MLflow, and gives its trial's score."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from blobs import Launched
from in_mlflow import InMlflow
from stores import history_at


@pytest.fixture(scope="module")
def shown(launched: Launched, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, InMlflow]:
    """A copy of the launched store in another place, and its MLflow's contents."""
    store = tmp_path_factory.mktemp("shown") / "옮긴 store"
    shutil.copytree(launched.store, store)
    return store, InMlflow(history_at(store, "blobs"))


def test_the_registry_says_where_the_champion_comes_from(
    launched: Launched, shown: tuple[Path, InMlflow]
) -> None:
    store, in_mlflow = shown
    best, version = launched.document["best"], in_mlflow.champion
    assert version.run_id == in_mlflow.parent.info.run_id
    assert version.tags["kerastudy.champion_run"] == in_mlflow.run(best["uuid"]).info.run_id
    # The verdict changes, so a link leads to it.
    assert "[The study](#/experiments/" in version.description
    assert version.tags["epoch"] == str(best["epoch"])
    (file,) = store.glob("mlartifacts/**/requirements.txt")
    fixed = [line for line in file.read_text().splitlines() if line]
    assert all("==" in line for line in fixed)
    assert {"keras", "tensorflow"} <= {line.partition("==")[0] for line in fixed}
