"""One store and several processes at once."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from stores import store_at

from search_spaces import StoreLockedError
from tracking.history import study_names
from tracking.store import Store, study_locks

# Each is a process of its own, forked from one that has imported what takes seconds.
CREATE = """
import os, sys
from tracking.store import create_store
from tracking.mlflow.server import open_store_client
import mlflow

begin, go = os.pipe()
children = []
for _ in range(4):
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

HOLD = """
import sys
from tracking.store import open_store
store = open_store(sys.argv[1])
with store.lock_study(store.root / sys.argv[2], sys.argv[2]):
    print("held", flush=True)
    sys.stdin.readline()
"""


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def let_go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX processes")
def test_several_processes_make_one_store_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "a new" / "store"
    made = start(CREATE, str(folder))
    told = made.communicate(timeout=120)
    assert made.returncode == 0, told
    store = store_at(folder)
    assert study_names(store) == []
    assert not list(folder.glob("partial*"))


def test_a_study_has_one_process_at_a_time(new_store: Store) -> None:
    """The other is named; it was killed, so the study is free again."""
    name = "손글씨 연구 1"
    holder = start(HOLD, str(new_store.root), name)
    try:
        assert said(holder) == "held"
        with (
            pytest.raises(StoreLockedError) as told,
            new_store.lock_study(new_store.root / name, name),
        ):
            pass
        assert f"process {holder.pid} " in str(told.value)
        assert repr(name) in str(told.value)
        with new_store.lock_study(new_store.root / "another", "another"):
            pass
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.communicate()
    with new_store.lock_study(new_store.root / name, name):
        pass


@pytest.mark.exhaustive
def test_the_refused_process_leaves_the_holders_name(new_store: Store) -> None:
    """Who was refused once must not take the name of the holder away from the next."""
    holder = start(HOLD, str(new_store.root), "digits")
    try:
        assert said(holder) == "held"
        for _ in range(2):
            with (
                pytest.raises(StoreLockedError, match=f"process {holder.pid} "),
                new_store.lock_study(new_store.root / "digits", "digits"),
            ):
                pass
        let_go(holder)
        assert holder.wait(60) == 0
    finally:
        holder.kill()
        holder.communicate()
    with new_store.lock_study(new_store.root / "digits", "digits"):
        pass
    with new_store.lock_study(new_store.root / "digits", "digits"):
        pass


def test_on_a_network_disk_another_machine_is_refused(
    new_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock may not be seen there, but the file that names it is."""
    monkeypatch.setattr(study_locks, "on_network_disk", lambda folder: True)
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
