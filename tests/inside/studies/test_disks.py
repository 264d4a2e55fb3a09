"""A disk that is full, or read-only, in the midst of a study or between launches."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted import WithModel, describe, run_study
from stores import history_at
from study_record import differences, left_behind, read_record
from user_commands import kerastudy_here

from studies.commands import telling_errors
from tracking.records import TrialSpec
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
