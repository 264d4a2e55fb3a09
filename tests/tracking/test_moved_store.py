"""A store that was moved, copied, or is reached by another path."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from handmade import ENVIRONMENT, losses, make_spec, record_trial
from scripted import describe

from tracking.history import StudyHistory, read_source, read_study, study_note
from tracking.records import CodeDescription
from tracking.registry import register_champion
from tracking.runs import StudyRuns
from tracking.store import Store, create_store, open_store

NAME = "손글씨 연구 1"
SOURCE = "# the study's file\nstudy = 1\n"
DIGEST = hashlib.sha256(SOURCE.encode()).hexdigest()


def make_study(store: Store, saved_model: Path) -> StudyHistory:
    """A study of two trials with a registered champion, in a store."""
    code = CodeDescription("/home/someone/my_study.py", "study", SOURCE, DIGEST)
    runs = StudyRuns.create(store, describe(name=NAME, code=code), ENVIRONMENT)
    runs.set_running()
    record_trial(runs, make_spec(0), losses(0.5, 0.4, 0.6))
    record_trial(runs, make_spec(1), losses(0.3, 0.7))
    history = read_study(store, NAME)
    assert history.best is not None
    save_model(saved_model)
    register_champion(history, history.best, saved_model)
    checkpoint = history.files.checkpoint(1)
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"weights")
    history = read_study(store, NAME)
    runs.close("FINISHED", study_note(history, "all 2 trials are done"), "trials", "")
    return history


def save_model(folder: Path) -> None:
    """A folder such as MLflow saves a model in; the model is a file of text."""
    from mlflow.models import Model

    folder.mkdir()
    (folder / "weights.txt").write_text("the champion's")
    model = Model(flavors={"keras": {"data": "weights.txt"}})
    model.save(str(folder / "MLmodel"))


@pytest.fixture(scope="module")
def original(empty_store_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> StudyHistory:
    root = tmp_path_factory.mktemp("original") / "old place"
    shutil.copytree(empty_store_folder, root)
    return make_study(create_store(root), root.parent / "saved")


@pytest.fixture(scope="module")
def moved(original: StudyHistory, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The store in another place, and nothing in the old one."""
    place = tmp_path_factory.mktemp("moved") / "새 곳" / "other store"
    place.parent.mkdir()
    original.store.root.rename(place)
    store = open_store(place)
    assert store is not None
    return store


def texts(database: Path) -> list[tuple[str, str, str]]:
    """All texts in a database: table, column, text."""
    found = []
    with closing(sqlite3.connect(database)) as connection:
        tables = [
            row[0]
            for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        for table in tables:
            rows = connection.execute(f'SELECT * FROM "{table}"')
            columns = [column[0] for column in rows.description]
            found += [
                (table, column, value)
                for row in rows
                for column, value in zip(columns, row, strict=True)
                if isinstance(value, str)
            ]
    return found


def test_a_moved_study_reads_as_before(original: StudyHistory, moved: Store) -> None:
    history = read_study(moved, NAME)
    assert history.description == original.description
    assert history.trials == original.trials
    assert history.counts() == original.counts()
    assert history.best is not None
    assert history.curve(history.best) == {
        1: {"loss": 0.15, "val_loss": 0.3},
        2: {"loss": 0.35, "val_loss": 0.7},
    }


def test_artifacts_of_a_moved_study_are_read(moved: Store) -> None:
    history = read_study(moved, NAME)
    assert read_source(history, DIGEST) == SOURCE
    path = moved.client.download_artifacts(history.parent_run_id, "study/definition.json")
    assert NAME in Path(path).read_text(encoding="utf-8")


def test_the_registered_model_of_a_moved_study_is_found(moved: Store) -> None:
    history = read_study(moved, NAME)
    assert history.best is not None
    assert history.model_uri(history.best) == f"models:/{NAME}@champion"
    version = moved.client.get_model_version_by_alias(NAME, "champion")
    address = moved.client.get_model_version_download_uri(NAME, version.version)
    assert address.startswith(moved.artifacts_uri)
    from mlflow.artifacts import download_artifacts

    folder = Path(download_artifacts(address))
    assert (folder / "weights.txt").read_text() == "the champion's"


def test_the_checkpoints_of_a_moved_study_are_found(moved: Store) -> None:
    history = read_study(moved, NAME)
    assert history.best is not None
    checkpoint = history.checkpoint(history.best)
    assert checkpoint is not None
    assert checkpoint.is_relative_to(moved.root)
    assert checkpoint.read_bytes() == b"weights"


def test_what_is_written_after_the_move_goes_to_the_new_place(moved: Store) -> None:
    history = read_study(moved, NAME)
    runs = StudyRuns(moved, history.experiment_id, history.parent_run_id, history.description)
    run_id = record_trial(runs, make_spec(2), losses(0.9))
    moved.client.log_text(run_id, "text", "note.txt")
    assert list(moved.root.glob(f"mlartifacts/*/{run_id}/artifacts/note.txt"))
    StudyRuns.create(moved, describe(name="made after"), ENVIRONMENT)
    assert read_study(moved, "made after").description.name == "made after"


def test_no_address_of_the_old_place_is_left(original: StudyHistory, moved: Store) -> None:
    """Not even spelled as an address, where a space is %20."""
    old = original.store.root
    spellings = (str(old), old.as_uri(), original.store.artifacts_uri)
    left = [
        (table, column)
        for table, column, text in texts(moved.root / "mlflow.db")
        if any(spelling in text for spelling in spellings) and not text.startswith("###")
    ]
    assert left == []
    assert not old.exists()


def test_the_commands_on_a_moved_studys_page_name_the_new_place(
    original: StudyHistory, moved: Store
) -> None:
    history = read_study(moved, NAME)
    note = moved.client.get_run(history.parent_run_id).data.tags["mlflow.note.content"]
    assert "kerastudy reproduce" in note
    assert str(original.store.root) not in note
    assert str(moved.root) in note


def test_a_copy_leaves_the_original_alone(moved: Store, tmp_path: Path) -> None:
    """Each of the two reads and writes its own files."""
    shutil.copytree(moved.root, tmp_path / "copy")
    before = texts(moved.root / "mlflow.db")
    copy = open_store(tmp_path / "copy")
    assert copy is not None
    history = read_study(copy, NAME)
    for run in copy.client.search_runs([history.experiment_id]):
        assert run.info.artifact_uri.startswith(copy.artifacts_uri)
    assert texts(moved.root / "mlflow.db") == before
    shutil.rmtree(copy.root)
    assert read_study(moved, NAME).trials


def test_moved_twice_and_back(moved: Store, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    shutil.copytree(moved.root, first)
    for place, following in ((first, second), (second, first)):
        opened = open_store(place)
        assert opened is not None
        assert read_study(opened, NAME).trials
        place.rename(following)
    opened = open_store(first)
    assert opened is not None
    assert read_study(opened, NAME).description.name == NAME
