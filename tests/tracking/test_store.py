"""The store's folder: made, opened, refused."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from handmade import contents

from search_spaces import StoreError
from tracking.history import study_names
from tracking.store import (
    STORE_FORMAT,
    Store,
    check_writable,
    create_store,
    default_store_path,
    open_store,
    prepare_store,
)


def write_facts(folder: Path, text: str | bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    data = text.encode() if isinstance(text, str) else text
    (folder / "store.json").write_bytes(data)


def test_the_database_has_a_write_ahead_log(empty_store_folder: Path) -> None:
    with closing(sqlite3.connect(empty_store_folder / "mlflow.db")) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_new_store_is_whole(empty_store_folder: Path) -> None:
    """Its database opens in MLflow's hands, and nothing unfinished lies about."""
    store = open_store(empty_store_folder)
    assert store is not None
    assert study_names(store) == []
    assert not list(empty_store_folder.glob("unfinished*"))
    assert not list(empty_store_folder.glob("partial*"))


def test_making_a_store_that_is_there_changes_nothing(new_store: Store) -> None:
    before = contents(new_store.root)
    assert create_store(new_store.root).root == new_store.root
    assert contents(new_store.root) == before


def test_no_store_is_none_and_looking_makes_none(tmp_path: Path) -> None:
    assert open_store(tmp_path / "nowhere") is None
    assert open_store(tmp_path) is None
    assert contents(tmp_path) == {}


def test_a_path_with_a_space_and_korean(tmp_path: Path) -> None:
    store = create_store(tmp_path / "내 연구" / "my store")
    experiment = store.client.create_experiment("one", f"{store.artifacts_uri}/1")
    run = store.client.create_run(experiment)
    store.client.log_text(run.info.run_id, "text", "a/note.txt")
    assert (store.root / "mlartifacts/1" / run.info.run_id / "artifacts/a/note.txt").is_file()


def test_a_relative_path_is_made_absolute(
    empty_store_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(empty_store_folder.parent)
    store = open_store("store")
    assert store is not None
    assert store.root == empty_store_folder


def test_the_default_is_the_variable_or_a_folder_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERASTUDY_STORE", raising=False)
    assert default_store_path() == Path("kerastudy-store")
    monkeypatch.setenv("KERASTUDY_STORE", "/somewhere/else")
    assert default_store_path() == Path("/somewhere/else")


@pytest.mark.parametrize("function", [open_store, create_store])
def test_a_store_that_is_a_file(tmp_path: Path, function: object) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(StoreError, match="is a file") as told:
        function(file)  # type: ignore[operator]
    assert repr(str(file)) in str(told.value)
    assert file.read_text() == "mine"


def test_a_store_below_a_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for check in (create_store, check_writable):
        with pytest.raises(StoreError) as told:
            check(file / "store")
        assert str(file) in str(told.value)
    assert contents(tmp_path).keys() == {"file"}


@pytest.mark.parametrize("character", "?#%{}")
def test_a_path_that_database_addresses_cannot_hold(tmp_path: Path, character: str) -> None:
    with pytest.raises(StoreError) as told:
        create_store(tmp_path / f"a{character}b")
    assert repr(str(tmp_path / f"a{character}b")) in str(told.value)
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("function", [open_store, create_store])
def test_a_store_made_by_a_newer_kerastudy(tmp_path: Path, function: object) -> None:
    folder = tmp_path / "store"
    write_facts(folder, json.dumps({"format": STORE_FORMAT + 1, "path": "/x", "more": []}))
    before = contents(folder)
    with pytest.raises(StoreError, match="newer kerastudy") as told:
        function(folder)  # type: ignore[operator]
    assert str(STORE_FORMAT + 1) in str(told.value)
    assert "pip install" in str(told.value)
    assert contents(folder) == before


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "3", '{"format": 1}', '{"path": "/x"}', '{"format": 1, "path": null}',
     '{"format": "one", "path": "/x"}', '{"format": null, "path": "/x"}', b"\xff\xfe{",
     '{"format": 1e999, "path": "/x"}'],
)  # fmt: skip
@pytest.mark.parametrize("function", [open_store, create_store])
def test_a_damaged_store_says_which_file(
    tmp_path: Path, text: str | bytes, function: object
) -> None:
    folder = tmp_path / "store"
    write_facts(folder, text)
    before = contents(folder)
    with pytest.raises(StoreError, match="damaged") as told:
        function(folder)  # type: ignore[operator]
    assert str(folder / "store.json") in str(told.value)
    assert contents(folder) == before


def test_killed_while_it_was_created(tmp_path: Path) -> None:
    """What a killed process left unfinished is in nobody's way."""
    folder = tmp_path / "store"
    folder.mkdir()
    for name in ("unfinished-mlflow.db", "unfinished-mlflow.db-wal", "unfinished-mlflow.db-shm"):
        (folder / name).write_bytes(b"garbage " * 1000)
    (folder / "mlartifacts").mkdir()
    store = create_store(folder)
    assert study_names(store) == []
    assert not list(folder.glob("unfinished*"))


def test_killed_before_it_was_called_a_store(new_store: Store) -> None:
    new_store.client.create_experiment("kept")
    (new_store.root / "store.json").unlink()
    store = create_store(new_store.root)
    assert store.client.get_experiment_by_name("kept") is not None


def test_a_store_whose_database_is_gone_is_told_and_not_made_anew(new_store: Store) -> None:
    """An empty database in place of the lost one would hide the loss."""
    (new_store.root / "mlflow.db").unlink()
    before = contents(new_store.root)
    with pytest.raises(StoreError, match=r"mlflow\.db"):
        study_names(new_store)
    assert contents(new_store.root) == before


def test_killed_while_a_moved_store_was_opened(new_store: Store) -> None:
    """The piece of `store.json` that it leaves is removed by the next process."""
    moved = new_store.root.rename(new_store.root.parent / "moved")
    (moved / "partial-1-store.json").write_text("{")
    before = set(contents(moved))
    assert open_store(moved) is not None
    assert before - set(contents(moved)) == {"partial-1-store.json"}


def test_a_moved_store_whose_database_is_gone_is_told(new_store: Store) -> None:
    (new_store.root / "mlflow.db").unlink()
    moved = new_store.root.rename(new_store.root.parent / "moved")
    with pytest.raises(StoreError, match=r"mlflow\.db"):
        open_store(moved)


READ = """
import sys
from search_spaces import StoreError
from tracking.history import study_names
from tracking.store import open_store
try:
    study_names(open_store(sys.argv[1]))
except StoreError as error:
    print("told:", error)
"""


def test_a_database_that_is_none_is_told_before_long(new_store: Store) -> None:
    """MLflow by itself tries again for minutes, without a word."""
    (new_store.root / "mlflow.db").write_bytes(b"this is no database " * 500)
    run = subprocess.run(
        [sys.executable, "-c", READ, str(new_store.root)],
        capture_output=True,
        text=True,
        timeout=40,
    )
    assert run.stdout.startswith("told:"), run.stderr[-500:]
    assert str(new_store.root / "mlflow.db") in run.stdout


AS_NOBODY = """
import os, sys
from search_spaces import StoreError
from tracking.store import check_writable, create_store, open_store
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for function in (check_writable, create_store):
    from pathlib import Path
    try:
        function(Path(sys.argv[1]))
        print(function.__name__, "passed")
    except StoreError as error:
        print(function.__name__, "refused:", error)
"""


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that everybody may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def as_nobody(path: Path) -> list[str]:
    run = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(path)], capture_output=True, text=True, check=True
    )
    return run.stdout.splitlines()


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs POSIX users")
def test_a_store_that_cannot_be_made(open_to_all: Path) -> None:
    os.chmod(open_to_all, 0o555)
    told = as_nobody(open_to_all / "store")
    assert len(told) == 2
    for line in told:
        assert "refused" in line
        assert str(open_to_all / "store") in line
    assert contents(open_to_all) == {}


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs POSIX users")
def test_a_store_that_cannot_be_written(open_to_all: Path, empty_store_folder: Path) -> None:
    folder = open_to_all / "store"
    folder.mkdir()
    write_facts(folder, json.dumps({"format": STORE_FORMAT, "path": str(folder)}))
    database = folder / "mlflow.db"
    database.write_bytes((empty_store_folder / "mlflow.db").read_bytes())
    before = contents(folder)
    for mode in (0o555, 0o777):
        # The second time the folder may be written, and its database may not.
        os.chmod(folder, mode)
        os.chmod(database, 0o444)
        assert all("not writable" in line for line in as_nobody(folder))
        assert contents(folder) == before


def test_a_store_that_was_prepared_elsewhere_is_put_in_its_place(tmp_path: Path) -> None:
    """Until then its place is untouched."""
    place, made = tmp_path / "store", tmp_path / "made"
    prepare_store(place, made)
    assert not place.exists()
    store = create_store(place, made)
    assert store.client.get_experiment("0").artifact_location.startswith(store.artifacts_uri)
    with closing(sqlite3.connect(place / "mlflow.db")) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    # Another process may have been quicker: its store is left alone.
    run = store.client.create_run(store.client.create_experiment("mine"))
    prepare_store(place, tmp_path / "again")
    again = create_store(place, tmp_path / "again")
    assert again.client.get_run(run.info.run_id).info.run_id == run.info.run_id


@pytest.mark.parametrize("way", ["elsewhere", "upwards", "by a link"])
def test_paths_of_a_record_do_not_lead_out_of_the_store(tmp_path: Path, way: str) -> None:
    store, outside = create_store(tmp_path / "store"), tmp_path / "secret"
    outside.mkdir()
    folder = store.root / "mlartifacts"
    (folder / "link").symlink_to(outside)
    path = {
        "elsewhere": outside / "model",
        "upwards": folder / ".." / ".." / "secret" / "model",
        "by a link": folder / "link" / "model",
    }[way]
    with pytest.raises(StoreError, match="is not in the store"):
        store.inside(path)
    assert store.inside(folder / "1" / "model") == folder / "1" / "model"
