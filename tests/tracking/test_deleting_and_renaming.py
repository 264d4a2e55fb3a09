"""Studies under another name, and deleted for ever."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from damage import settle
from scripted import ScriptedExecutor, describe, run_study, save_made_up_model
from study_record import read_record
from user_commands import kerastudy_here

import kerastudy as ks
from search_spaces import (
    SearchSpace,
    StoreError,
    StoreLockedError,
    StudyNameError,
    StudyNotFoundError,
)
from studies.doctor import diagnose
from studies.progress import NoProgress
from tracking import mlflow_parts
from tracking.history import read_study
from tracking.records import TrialSpec
from tracking.runs import experiments
from tracking.store import Store, open_store


class Registering(ScriptedExecutor):
    """Saves something that MLflow takes for the champion's model."""

    def save_champion(
        self, spec: TrialSpec, checkpoint: Path, space: SearchSpace, folder: Path
    ) -> dict[str, float]:
        return save_made_up_model(folder, checkpoint)


def launch(root: Path, name: str, trials: int = 3) -> None:
    executor = Registering(describe(name=name, trials=trials))
    run_study(executor, store=root, progress=NoProgress())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made") / "store"
    for name in ("first", "second"):
        launch(root, name)
    settle(root / "mlflow.db")
    return root


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Store:
    shutil.copytree(made, tmp_path / "store")
    opened = open_store(tmp_path / "store")
    assert opened is not None
    return opened


def rows_of(store: Store, experiment: str) -> dict[str, int]:
    """How many rows of each of MLflow's tables belong to an experiment."""
    found = {}
    with sqlite3.connect(store.root / "mlflow.db") as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
            columns = {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
            if "experiment_id" in columns:
                count = f"SELECT count(*) FROM {table} WHERE experiment_id = ?"
                found[table] = database.execute(count, (experiment,)).fetchone()[0]
            elif "run_uuid" in columns:
                lost = "run_uuid NOT IN (SELECT run_uuid FROM runs)"
                rows = database.execute(f"SELECT count(*) FROM {table} WHERE {lost}")
                found[table] = rows.fetchone()[0]
    return {table: count for table, count in found.items() if count}


def nothing_left(store: Store, experiment: str) -> None:
    assert rows_of(store, experiment) == {}
    assert not list(store.root.glob(f"checkpoints/*@{experiment}"))
    names = {model.name for model in store.client.search_registered_models()}
    assert names == {"second"}
    assert diagnose(store.root).findings == ()


def test_a_deleted_study_leaves_nothing(store: Store) -> None:
    before = read_record(store.root, "second")
    identity = read_study(store, "first").experiment_id
    assert rows_of(store, identity)
    refused = kerastudy_here(store.root, "delete", "first", "--store", store.root, expect=2)
    assert (
        "Nothing was deleted" in refused.stderr and "the registered model first" in refused.stderr
    )
    ks.delete_study("first", store=store)
    nothing_left(store, identity)
    assert read_record(store.root, "second") == before
    with pytest.raises(StudyNotFoundError, match="no study 'first'"):
        ks.delete_study("first", store=store)
    # Its name, and its number in MLflow, are free.
    launch(store.root, "first", 2)
    assert len(read_study(store, "first").trials) == 2
    assert diagnose(store.root).findings == ()


@pytest.mark.parametrize("finished_by", ["doctor", "launch", "delete"])
def test_an_interrupted_deletion_is_finished(
    store: Store, monkeypatch: pytest.MonkeyPatch, finished_by: str
) -> None:
    identity = read_study(store, "first").experiment_id

    def killed(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(experiments, "purge_experiment", killed)
        with pytest.raises(KeyboardInterrupt):
            ks.delete_study("first", store=store)
    (finding,) = diagnose(store.root).findings
    assert (finding.kind, finding.study) == ("leftover", "first")
    if finished_by == "launch":
        launch(store.root, "first", 2)
        assert len(read_study(store, "first").trials) == 2
        assert diagnose(store.root).findings == ()
        return
    if finished_by == "doctor":
        assert [each.mended for each in diagnose(store.root, fix=True).findings] == [True]
    else:
        kerastudy_here(store.root, "delete", "first", "--yes", "--store", store.root)
    nothing_left(store, identity)


def test_a_study_in_the_trash_of_mlflow_can_be_deleted(store: Store) -> None:
    identity = read_study(store, "first").experiment_id
    store.client.delete_experiment(identity)
    ks.delete_study("first", store=store)
    nothing_left(store, identity)


def test_a_record_that_mlflow_can_not_remove_stays_in_its_trash(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = read_study(store, "first").experiment_id

    def missing(thing: Any) -> Any:
        raise mlflow_parts._REMOVE_EXPERIMENT.missing()

    with monkeypatch.context() as patched:
        patched.setattr(mlflow_parts._REMOVE_EXPERIMENT, "of", missing)
        with pytest.raises(StoreError, match="record stays in MLflow's trash"):
            ks.delete_study("first", store=store)
    assert not list(store.root.glob(f"checkpoints/*@{identity}"))
    ks.delete_study("first", store=store)
    nothing_left(store, identity)


def test_a_running_study_is_neither_deleted_nor_renamed(store: Store) -> None:
    history = read_study(store, "first")
    with store.lock_study("first", history.experiment_id):
        for change in (
            lambda: ks.delete_study("first", store=store),
            lambda: ks.rename_study("first", "third", store=store),
        ):
            with pytest.raises(StoreLockedError):
                change()
    assert len(read_study(store, "first").trials) == 3


def test_a_renamed_study_resumes(store: Store) -> None:
    before = read_study(store, "first")
    with pytest.raises(StudyNameError, match="has a study 'second' already"):
        ks.rename_study("first", "second", store=store)
    with pytest.raises(StudyNameError, match="must not contain '/'"):
        ks.rename_study("first", "a/b", store=store)
    kerastudy_here(store.root, "rename", "first", "third, 셋째", "--store", store.root)
    after = read_study(store, "third, 셋째")
    assert after.trials == before.trials and after.champion_run_id == before.champion_run_id
    assert after.model_uri(after.best) == "models:/third, 셋째@champion"  # type: ignore[arg-type]
    parent = store.client.get_run(after.parent_run_id)
    assert parent.info.run_name == "third, 셋째 (optuna:tpe)"
    note = parent.data.tags["mlflow.note.content"]
    assert "third" in note and "first" not in note
    [logged] = store.client.search_logged_models([after.experiment_id])
    # As MLflow's server writes it: else the page of the model's files says "Not registered".
    registered = [{"name": "third, 셋째", "version": "1"}]
    assert json.loads(logged.tags["mlflow.modelVersions"]) == registered
    with pytest.raises(StudyNotFoundError):
        read_study(store, "first")
    launch(store.root, "third, 셋째", 4)
    assert len(read_study(store, "third, 셋째").trials) == 4
    assert diagnose(store.root).findings == ()
