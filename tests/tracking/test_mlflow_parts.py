"""Each private part of MLflow is taken away in turn: studies are recorded as before."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from handmade import ENVIRONMENT, losses, make_spec, record_trial
from scripted import describe

from search_spaces import AttributePart, ModulePart, PrivatePart, private_parts
from tracking import mlflow_parts
from tracking.history import read_study
from tracking.runs import ClientWriter, StudyRuns, TableWriter, make_writer
from tracking.store import Store, create_store, forget_database, open_store

PARTS = private_parts("mlflow")


def check_records(store: Store) -> StudyRuns:
    runs = StudyRuns.create(store, describe(name="kept"), ENVIRONMENT)
    curve = losses(0.5, 0.25)
    record_trial(runs, make_spec(), curve)
    history = read_study(store, "kept")
    assert history.curve(history.trial(0)) == dict(enumerate(curve, start=1))
    return runs


def test_parts_are_declared() -> None:
    assert PARTS
    for part in PARTS:
        if isinstance(part, AttributePart):
            part.of(mlflow_parts._STORE.get())
        else:
            part.get()  # type: ignore[attr-defined]


# Those of its store's objects delete studies.
@pytest.mark.parametrize("part", [p for p in PARTS if isinstance(p, ModulePart)], ids=str)
def test_without_one_a_study_is_recorded_all_the_same(
    part: PrivatePart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> Any:
        raise part.missing()

    monkeypatch.setattr(part, "get", missing)
    # A new process on a new machine has made no database yet.
    monkeypatch.setenv("KERASTUDY_CACHE", str(tmp_path / "cache"))
    forget_database()
    store = create_store(tmp_path / "store")
    runs = check_records(store)
    by_client = isinstance(make_writer(store, runs.experiment_id), ClientWriter)
    assert by_client == (part is mlflow_parts._CHECK)
    forget_database()


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE runs ADD COLUMN owner VARCHAR(32)",
        "ALTER TABLE latest_metrics RENAME COLUMN is_nan TO nan",
        "CREATE TRIGGER later AFTER INSERT ON params BEGIN SELECT 1; END",
        # No column of it is lost, but it holds what it did not.
        "ALTER TABLE tags RENAME TO former; CREATE TABLE tags (key VARCHAR(250) NOT NULL, value "
        "VARCHAR(8000), run_uuid VARCHAR(32) NOT NULL, PRIMARY KEY (run_uuid))",
    ],
)
def test_a_schema_that_is_not_known_is_not_written_into(new_store: Store, change: str) -> None:
    path = new_store.root / "mlflow.db"
    assert mlflow_parts.can_write_tables(path)
    assert isinstance(make_writer(new_store, "1"), TableWriter)
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.executescript(change)
    assert not mlflow_parts.can_write_tables(path)


def test_a_moved_store_opens_where_a_column_of_addresses_is_gone(
    new_store: Store, tmp_path: Path
) -> None:
    check_records(new_store)
    with contextlib.closing(sqlite3.connect(new_store.root / "mlflow.db")) as database, database:
        database.execute("ALTER TABLE model_versions RENAME COLUMN storage_location TO place")
    moved = open_store(new_store.root.rename(tmp_path / "moved"))
    assert moved is not None
    place = moved.client.get_experiment_by_name("kept").artifact_location
    assert place.startswith(moved.artifacts_uri)
