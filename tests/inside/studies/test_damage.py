"""What happens to a store from without, between launches and during one."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import scripted
from scripted import WithModel, describe, run_study
from stores import history_at
from study_record import differences, left_behind, read_record
from user_commands import kerastudy_here

from studies.commands import telling_errors
from tracking.records import TrialSpec
from tracking.store import create_store
from tracking.store_doctor import examine_store

SETTINGS = {"trials": 6, "epochs": 3, "pruner": "successive-halving", "seed": 2}


def launch(root: Path, before: Callable[[TrialSpec], None] = lambda spec: None) -> None:
    executor = WithModel(describe(name="faults", keep=1, **SETTINGS), before, infeasible={1})
    telling_errors(lambda: run_study(executor, store=root))()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("undisturbed") / "store"
    launch(root)
    return read_record(root, "faults")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(options, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if mounted.returncode:
        pytest.skip(f"nothing can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Leaves no room: with ever smaller writes, to the last byte."""
    with (folder / "filler").open("ab", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC


def test_a_disk_that_is_full_stops_the_study_which_then_goes_on(
    disk: Path, undisturbed: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    def before(spec: TrialSpec) -> None:
        if spec.number == 3:
            fill(disk)

    with pytest.raises(SystemExit, match="2"):
        launch(disk / "store", before)
    told = capfd.readouterr().err
    assert told.count("\n") == 1
    assert "full" in told or "No space left" in told
    assert "give the command again" in told
    (disk / "filler").unlink()
    launch(disk / "store")
    assert not [*differences(undisturbed, read_record(disk / "store", "faults"))]
    assert not left_behind(disk / "store")


def test_a_read_only_disk_is_told_and_then_forgotten(
    disk: Path, undisturbed: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """One that becomes so in the midst of a study is in `test_faults`: Linux lets no test do it."""

    def remount(how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)

    launch(disk / "store")
    remount("ro")
    with pytest.raises(SystemExit, match="2"):
        launch(disk / "store")
    told = capfd.readouterr().err
    assert told.count("\n") == 1 and "is not writable" in told
    by_command = kerastudy_here(
        disk.parent, "launch", "digits", "--store", str(disk / "store"), expect=2
    )
    assert "is not writable" in by_command.stderr and "damaged" not in by_command.stderr
    # It can be read, as a backup's snapshot can.
    assert len(history_at(disk / "store", "faults").trials) == SETTINGS["trials"]
    # (The scripted champion is no model of Keras.)
    assert {finding.kind for finding in examine_store(disk / "store").faults} <= {"champion"}
    remount("rw")
    launch(disk / "store")
    assert not [*differences(undisturbed, read_record(disk / "store", "faults"))]


KILLED = f"""
import os, signal, sys
sys.path[:0] = {[str(Path(scripted.__file__).parent)]!r}
from scripted import WithModel, describe, run_study

def before(spec):
    if spec.number == 4:
        os.kill(os.getpid(), signal.SIGKILL)

description = describe(name="faults", keep=1, **{SETTINGS!r})
run_study(WithModel(description, before, infeasible={{1}}), store=sys.argv[1])
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose driver was killed, as it was left."""
    root = create_store(tmp_path_factory.mktemp("killed") / "store").root
    ended = subprocess.run([sys.executable, "-c", KILLED, str(root)])
    assert ended.returncode == -signal.SIGKILL
    return root


# SQLite's write-ahead log: https://www.sqlite.org/fileformat.html#walformat
_HEADER, _FRAME_HEADER = 32, 24


def commits(log: Path) -> list[tuple[int, int]]:
    """Returns where each commit of a log begins and ends, in the order of the commits."""
    content = log.read_bytes()
    page = int.from_bytes(content[8:12], "big")
    salts, found, begin = content[16:24], [], _HEADER
    for frame in range(_HEADER, len(content), _FRAME_HEADER + page):
        header = content[frame : frame + _FRAME_HEADER]
        if header[8:16] != salts:
            # Left from an earlier round of the log.
            break
        if int.from_bytes(header[4:8], "big"):
            end = frame + _FRAME_HEADER + page
            found.append((begin, end))
            begin = end
    return found


def change_last_bytes(log: Path, of_commits: int) -> None:
    """Changes some bytes in the middle of each frame of the last commits; cuts nothing."""
    content = bytearray(log.read_bytes())
    page = int.from_bytes(content[8:12], "big")
    begin, end = commits(log)[-of_commits][0], commits(log)[-1][1]
    for frame in range(begin, end, _FRAME_HEADER + page):
        for place in range(frame + page // 2, frame + page // 2 + 8):
            content[place] ^= 0xA5
    log.write_bytes(content)


def dumped(database: Path) -> list[str]:
    """Returns all that a database holds."""
    with closing(sqlite3.connect(database)) as connection:
        return [*connection.iterdump()]


def test_a_damaged_end_of_the_databases_log_costs_what_it_held_and_no_more(
    killed: Path, tmp_path: Path, undisturbed: Any
) -> None:
    """Bytes of its last commits are changed: SQLite's checksums notice, and those before count."""
    root, whole, shorter = (tmp_path / name for name in ("store", "whole", "shorter"))
    for copy in (root, whole, shorter):
        shutil.copytree(killed, copy)
    journal = Path("faults", "journal.db")
    log = shorter / f"{journal}-wal"
    os.truncate(log, commits(log)[-7][0])
    change_last_bytes(root / f"{journal}-wal", 7)
    found = dumped(root / journal)
    assert found == dumped(shorter / journal) != dumped(whole / journal)
    launch(root)
    assert not [*differences(undisturbed, read_record(root, "faults"))]
    assert not left_behind(root)
