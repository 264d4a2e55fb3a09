"""A fault at every step of what a driver writes: launched again, the study is as if none had been.

The steps are not listed here: `faults` notes them while the code runs. Processes are really killed.
Below, disks are really full, or read-only, in the midst of a study or between launches.
"""

import errno
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faults
import pytest
from scripted import WithModel, describe, run_study
from stores import history_at
from study_record import differences, left_behind, read_record
from user_commands import environment, kerastudy_here

from studies.commands import telling_errors
from tracking.records import TrialSpec
from tracking.store_doctor import examine_store

Faults = Callable[..., Any]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    """Gives orders to the program: started once, as it forks for each case."""
    folder, support = tmp_path_factory.mktemp("faults"), Path(faults.__file__).parent
    with (folder / "errors").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, faults.__file__, str(folder / "store")],
            env=environment(PYTHONPATH=f"{support}:{support.parents[1]}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )

    def answer(**order: Any) -> Any:
        assert process.stdin and process.stdout
        print(json.dumps(order), file=process.stdin, flush=True)
        line = process.stdout.readline()
        assert line, (folder / "errors").read_text()
        reply = json.loads(line)
        failures = "\n".join(f"{at}: {what}" for at, what in reply["failures"].items())
        assert not reply["failures"], failures
        return reply

    yield answer
    process.communicate()


# Much happens in study 6.
@pytest.mark.parametrize(
    "seeds", [[6], pytest.param([*range(18), 1010, 1012], marks=pytest.mark.exhaustive)]
)
def test_all_kinds_of_faults_on_simulated_workers(
    run: Faults, tmp_path: Path, seeds: list[int]
) -> None:
    """Time is simulated, and seeds decide. `python -m tests.chaos --simulated` tries more."""
    happened = run(folder=str(tmp_path), seeds=seeds)["happened"]
    assert happened["interrupted trainings"] > len(seeds)
    assert {"kill", "read-only"} <= set(happened)


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize(
    ("fault", "least"), [("kill", 9), ("power", 9), ("full", 6), ("read-only", 2)]
)
def test_a_fault_at_any_step(
    run: Faults, tmp_path: Path, fault: str, least: int, every: bool
) -> None:
    """After lost power, the record lacks its end, and files are ahead. Refusals are reported."""
    reply = run(folder=str(tmp_path), fault=fault, every=every)
    assert {*reply["states"]} == {"complete", "pruned", "infeasible"}
    assert reply["champions"] == 1
    # Far fewer would mean that the steps are not seen any more.
    assert len(reply["tried"]) >= (2 * least if every else least)


def test_killed_at_each_step_of_a_study_with_folds(run: Faults, tmp_path: Path) -> None:
    """The training of the champion on all folds, too, is recorded once."""
    reply = run(folder=str(tmp_path), fault="kill", every=True, folds=True)
    assert reply["champions"] == 1 and len(reply["tried"]) > 30


def test_killed_while_the_store_is_made(run: Faults, tmp_path: Path) -> None:
    reply = run(folder=str(tmp_path), fault="kill", every=True, new_store=True)
    assert any(step.endswith(" faults/journal.db") for step in reply["tried"])


# Disks

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
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert "full" in error or "No space left" in error
    assert "give the command again" in error
    (disk / "filler").unlink()
    launch(disk / "store")
    assert not [*differences(undisturbed, read_record(disk / "store", "faults"))]
    assert not left_behind(disk / "store")


def test_a_read_only_disk_is_told_and_then_forgotten(
    disk: Path, undisturbed: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """Tests above simulate a disk that becomes read-only in a study, as Linux does not allow it."""

    def remount(how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)

    launch(disk / "store")
    remount("ro")
    with pytest.raises(SystemExit, match="2"):
        launch(disk / "store")
    error = capfd.readouterr().err
    assert error.count("\n") == 1 and "is not writable" in error
    by_command = kerastudy_here(
        disk.parent, "launch", "digits", "--store", str(disk / "store"), expect=2
    )
    assert "is not writable" in by_command.stderr and "damaged" not in by_command.stderr
    # A read-only store can be read, as a backup's snapshot can.
    assert len(history_at(disk / "store", "faults").trials) == SETTINGS["trials"]
    # (The scripted champion is no model of Keras.)
    assert {finding.kind for finding in examine_store(disk / "store").faults} <= {"champion"}
    remount("rw")
    launch(disk / "store")
    assert not [*differences(undisturbed, read_record(disk / "store", "faults"))]
