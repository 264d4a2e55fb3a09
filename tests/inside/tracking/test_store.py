"""The store's folder: made, opened, refused; files that are written whole or not at all."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from handmade import ENVIRONMENT, contents
from mlflow import MlflowClient
from scripted import describe
from stores import store_at

from search_spaces import StoreError
from studies.exporting import check_free, file_for, written
from tracking.history import study_names
from tracking.journal import Journal
from tracking.mlflow import bring_up_to_date
from tracking.store import (
    STORE_FORMAT,
    Store,
    check_writable,
    create_store,
    default_store_path,
    open_store,
    replacing,
    write_atomically,
)


def write_facts(folder: Path, text: str | bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    data = text.encode() if isinstance(text, str) else text
    (folder / "store.json").write_bytes(data)


def test_a_new_store_is_whole(empty_store_folder: Path) -> None:
    """It has no database yet, and nothing unfinished lies about."""
    store = store_at(empty_store_folder)
    assert study_names(store) == []
    assert contents(empty_store_folder).keys() <= {"store.json", "store.lock"}


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
    Journal.begin(store.root / "하나", describe(name="하나"), ENVIRONMENT).close()
    bring_up_to_date(store, store.root / "하나")
    (run,) = MlflowClient(store.mlflow_uri).search_runs(["1"])
    files = f"mlartifacts/*/{run.info.run_id}/artifacts/study/definition.json"
    assert len(list(store.root.glob(files))) == 1


def test_a_relative_path_is_made_absolute(
    empty_store_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(empty_store_folder.parent)
    store = store_at("store")
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


def test_a_store_made_by_an_earlier_kerastudy(tmp_path: Path) -> None:
    write_facts(tmp_path / "store", '{"format": 1, "path": "/x"}')
    with pytest.raises(StoreError, match=r"earlier kerastudy \(store format 1.*--store"):
        open_store(tmp_path / "store")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "3", '{"path": "/x"}', '{"format": "one", "path": "/x"}',
     '{"format": null, "path": "/x"}', b"\xff\xfe{",
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
def test_a_store_that_cannot_be_written(open_to_all: Path) -> None:
    folder = open_to_all / "store"
    folder.mkdir()
    write_facts(folder, json.dumps({"format": STORE_FORMAT, "path": str(folder)}))
    before = contents(folder)
    os.chmod(folder, 0o555)
    assert all("not writable" in line for line in as_nobody(folder))
    assert contents(folder) == before


def test_killed_before_it_was_called_a_store(new_store: Store) -> None:
    """The piece of `store.json` that it leaves is removed by the next process."""
    Journal.begin(new_store.root / "kept", describe(name="kept"), ENVIRONMENT).close()
    (new_store.root / "store.json").rename(new_store.root / "partial-1-store.json")
    assert study_names(create_store(new_store.root)) == ["kept"]
    assert not list(new_store.root.glob("partial*"))


@pytest.mark.parametrize("way", ["elsewhere", "upwards", "by a link"])
def test_paths_of_a_record_do_not_lead_out_of_the_store(tmp_path: Path, way: str) -> None:
    store, outside = create_store(tmp_path / "store"), tmp_path / "secret"
    outside.mkdir()
    folder = store.root / "mlartifacts"
    folder.mkdir()
    (folder / "link").symlink_to(outside)
    path = {
        "elsewhere": outside / "model",
        "upwards": folder / ".." / ".." / "secret" / "model",
        "by a link": folder / "link" / "model",
    }[way]
    with pytest.raises(StoreError, match="is not in the store"):
        store.inside(path)
    assert store.inside(folder / "1" / "model") == folder / "1" / "model"


def test_a_file_stays_as_it_was_if_writing_fails(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    write_atomically(file, "before")
    with pytest.raises(OSError, match="full"), replacing(file) as partial:
        partial.write_text("half")
        raise OSError("the disk is full")
    assert file.read_text() == "before"
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_pipe_is_written_into_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        check_free(pipe, force=False)
        write_atomically(pipe, "a line")
        assert os.read(reader, 100) == b"a line"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert os.listdir(tmp_path) == ["pipe"]


def test_what_a_user_writes_into_a_link_goes_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "trials.csv", tmp_path / "latest.csv"
    target.write_text("before")
    link.symlink_to(target)
    assert file_for(link, "", force=True) == target.resolve()
    with written(link, "", force=True) as (_, partial):
        partial.write_text("after")
    assert link.is_symlink() and target.read_text() == "after"
