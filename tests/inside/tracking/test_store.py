"""The store's folder: made, opened, refused, locked. Its files are whole or missing."""

import os
import platform
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from handmade import contents, record_study
from scripted import describe
from stores import held_by_a_process, store_at

from search_spaces import StoreError, StoreLockedError
from studies.exporting import file_for, written
from tracking.history import delete_study, study_names, study_size
from tracking.journal import Journal
from tracking.store import (
    Store,
    create_store,
    locks_and_atomic_writing,
    replacing,
    write_atomically,
)


def test_a_new_store_is_whole_and_making_it_again_changes_nothing(new_store: Store) -> None:
    """The new store has neither a database nor unfinished files."""
    before = contents(new_store.root)
    assert study_names(new_store) == []
    assert before.keys() <= {"store.json", "store.lock"}
    assert create_store(new_store.root).root == new_store.root
    assert contents(new_store.root) == before


def test_a_study_that_can_not_be_deleted_is_told_by_its_folder(new_store: Store) -> None:
    journal = record_study(new_store.root, "mine", [0.5])
    journal.close()
    (journal.folder / "deleted.db").mkdir()
    with pytest.raises(StoreError, match="can't be deleted") as error:
        delete_study(new_store, study_size(new_store, "mine"), lambda *_: nullcontext())
    assert f"Delete the folder {str(journal.folder)!r}" in str(error.value)


AS_NOBODY = """
import os, sys
from pathlib import Path
from search_spaces import StoreError
from tracking.store import check_writable, create_store
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for path in sys.argv[1:]:
    for function in (check_writable, create_store):
        try:
            function(Path(path))
            print(function.__name__, "passed")
        except StoreError as error:
            print(function.__name__, "refused:", error)
"""


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that everybody may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs POSIX users")
def test_a_store_that_cannot_be_made_or_written(open_to_all: Path) -> None:
    store = create_store(open_to_all / "store").root
    before = contents(open_to_all)
    for folder in (store, open_to_all):
        os.chmod(folder, 0o555)
    command = [sys.executable, "-c", AS_NOBODY, str(store), str(open_to_all / "another")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = run.stdout.splitlines()
    assert len(lines) == 4
    assert all("refused" in line and str(open_to_all) in line for line in lines)
    assert all("not writable" in line for line in lines[:3])
    assert contents(open_to_all) == before


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs POSIX users")
def test_a_store_of_another_user_is_opened(open_to_all: Path) -> None:
    """Users share its folder, but may not write each other's files, such as the lock."""
    store = create_store(open_to_all / "store").root
    for folder in (store, open_to_all):
        os.chmod(folder, 0o777)
    command = [sys.executable, "-c", AS_NOBODY, str(store)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout == "check_writable passed\ncreate_store passed\n"


def test_killed_before_it_was_called_a_store(new_store: Store) -> None:
    """The next process removes the piece of `store.json` that is left."""
    Journal.begin(new_store.root / "kept", describe(name="kept")).close()
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


# Files.


def test_a_file_stays_as_it_was_if_writing_fails(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    write_atomically(file, "before")
    with pytest.raises(OSError, match="full"), replacing(file) as partial:
        partial.write_text("half")
        raise OSError("the disk is full")
    assert file.read_text() == "before"
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_pipe_is_written_into_and_a_link_followed(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        assert file_for(pipe, "", force=False) == pipe
        write_atomically(pipe, "a line")
        assert os.read(reader, 100) == b"a line"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode) and os.listdir(tmp_path) == ["pipe"]
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "trials.csv", tmp_path / "latest.csv"
    target.write_text("before")
    link.symlink_to(target)
    file = file_for(link, "", force=True)
    assert file == target.resolve()
    with written(file) as partial:
        partial.write_text("after")
    assert link.is_symlink() and target.read_text() == "after"


# Several processes.

# Each is a forked process, as imports take seconds.
CREATE = """
import os, sys
from tracking.store import create_store
from tracking.mlflow.servers_and_databases import open_store_client
import mlflow

begin, go = os.pipe()
children = []
for _ in range(3):
    child = os.fork()
    if not child:
        os.close(go)
        os.read(begin, 1)
        store = create_store(sys.argv[1])
        assert open_store_client(store).search_experiments() == []
        os._exit(0)
    children.append(child)
os.close(begin)
# All of them read its end.
os.close(go)
sys.exit(max(os.waitpid(child, 0)[1] for child in children) != 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX processes")
def test_several_processes_make_one_store_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "새 곳" / "my store"
    process = subprocess.run([sys.executable, "-c", CREATE, str(folder)], capture_output=True)
    assert process.returncode == 0, process.stderr
    assert study_names(store_at(folder)) == []
    assert not list(folder.glob("partial*"))


def test_a_study_has_one_process_at_a_time(new_store: Store) -> None:
    """Other processes get its number. When it is killed, the study is free again."""
    name = "손글씨 연구 1"
    with held_by_a_process(new_store.root / name) as process:
        for _ in range(2):
            with (
                pytest.raises(StoreLockedError, match=f"{name!r}.*process {process} "),
                new_store.lock_study(new_store.root / name, name),
            ):
                pass
        with new_store.lock_study(new_store.root / "another", "another"):
            pass
    for _ in range(2):
        with new_store.lock_study(new_store.root / name, name):
            pass


def test_another_machine_is_refused(new_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other machine's lock may be invisible here. The file that names it is visible."""
    monkeypatch.setattr(locks_and_atomic_writing, "on_network_disk", lambda folder: True)
    folder = new_store.root / "digits"
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(platform, "node", lambda: "another-desk")
        with new_store.lock_study(folder, "digits"):
            holder = (folder / "lock.json").read_bytes()
    (folder / "lock.json").write_bytes(holder)
    with (
        pytest.raises(StoreLockedError, match="on another-desk is running it"),
        new_store.lock_study(folder, "digits"),
    ):
        pass
    assert (folder / "lock.json").read_bytes() == holder
