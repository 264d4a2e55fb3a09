"""Trials that end the process they run in: what is left of them is gone on with, or told."""

from __future__ import annotations

import math
import signal
from pathlib import Path
from typing import Any

import pytest
from damage import cut_short
from stores import history_at
from study_record import left_behind
from user_commands import kerastudy, kerastudy_here, write_study

from studies.training import checkpoints
from tracking.history import StudyHistory
from tracking.store import create_store

NAME, TRIALS, EPOCHS, CUT = "작은 연구", 4, 8, 5
DAMAGED, DOOMED, KILLED, CRASHED = range(TRIALS)
IN_ONE_PROCESS = ("--executor", "in-process", "--trials", "1")
BUILDER = f"""def build(hp):
    if hp.number == {DOOMED} and "WORKERS_DIE" in os.environ:
        os._exit(7)
"""
CALLBACKS = f"""
import math, os, pathlib, signal, threading
from studies.training import checkpoints

# Each epoch has its state, however short it is.
checkpoints._SHARE = math.inf
SIGNALS = {{
    "WORKERS_DIE": {{{KILLED}: signal.SIGKILL, {CRASHED}: signal.SIGSEGV}},
    "DRIVER_DIES": {{{DAMAGED}: signal.SIGKILL}},
}}
FOLDER = pathlib.Path(__file__).parent


class Dying(keras.callbacks.Callback):
    '''Notes each epoch; ends its process in one of them, once a trial, if asked to.'''

    def __init__(self, trial):
        super().__init__()
        self.trial = trial

    def on_epoch_end(self, epoch, logs=None):
        with open(FOLDER / "epochs.txt", "a") as file:
            print(os.getpid(), self.trial, epoch + 1, file=file)
        (asked,) = set(SIGNALS) & set(os.environ) or [""]
        dies_by, mark = SIGNALS.get(asked, {{}}).get(self.trial), FOLDER / f"died in {{self.trial}}"
        if dies_by is None or mark.exists():
            return
        # The state of an earlier epoch is there soon; of a later one too, and the one before.
        ending = ".before" if epoch + 1 == {CUT} else ""
        state = f"trial-{{self.trial:05}}.state.safetensors{{ending}}"
        for _ in range(6000 if epoch else 0):
            if any(FOLDER.rglob(state)):
                break
            threading.Event().wait(0.01)
        if epoch + 1 == {CUT}:
            mark.touch()
            os.kill(os.getpid(), dies_by)


study = ks.Study("""


def launch(folder: Path, store: str, *arguments: str, here: bool = False, **more: Any) -> str:
    """Launches the study, its driver in a process of its own or in this; returns what was told."""
    create_store(folder / store)
    options = ["--store", store, "--engine", "optuna:random", "--epochs", str(EPOCHS), *arguments]
    # It would train the best trial once more.
    options += ["--verify", "off"]
    command = kerastudy_here if here else kerastudy
    with pytest.MonkeyPatch.context() as patch:
        # The study's file changes it, which is to stay in its process.
        patch.setattr(checkpoints, "_SHARE", math.inf)
        return command(folder, "launch", "study.py", *options, **more).stderr


def read(folder: Path, store: str) -> StudyHistory:
    return history_at(folder / store, NAME)


def epochs_of(folder: Path, number: int) -> tuple[list[int], list[int], int]:
    """Returns a trial's epochs in its first process and in the second; and how many it had."""
    lines = [line.split() for line in (folder / "epochs.txt").read_text().splitlines()]
    seen: dict[str, list[int]] = {}
    for pid, trial, epoch in lines:
        if int(trial) == number:
            seen.setdefault(pid, []).append(int(epoch))
    first, again = [*seen.values(), [], []][:2]
    return first, again, len(seen)


def assert_as_undisturbed(wanted: StudyHistory, found: StudyHistory, number: int) -> None:
    one, other = wanted.trial(number), found.trial(number)
    assert one.result is not None and other.result is not None
    assert one.state == other.state == "complete"
    assert other.result.weights_sha256 == one.result.weights_sha256
    assert other.result.best == one.result.best
    assert found.curve(other) == wanted.curve(one)


def assert_tidy(folder: Path, store: str) -> None:
    assert not left_behind(folder / store)
    assert not [*(folder / store).rglob("*.state.safetensors*")]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(
        tmp_path_factory.mktemp("undisturbed"),
        **{
            "def build(hp):\n": BUILDER,
            "study = ks.Study(": CALLBACKS,
            "build=build,": "build=build, callbacks=lambda hp: [Dying(hp.number)],",
        },
    )


@pytest.fixture(scope="module")
def undisturbed(source: Path) -> StudyHistory:
    """A study of the first trial: more are trained where they are looked at."""
    launch(source.parent, "store", *IN_ONE_PROCESS, here=True)
    return read(source.parent, "store")


@pytest.fixture
def folder(tmp_path: Path, source: Path) -> Path:
    (tmp_path / source.name).write_bytes(source.read_bytes())
    return tmp_path


@pytest.mark.exhaustive
def test_trials_that_end_their_process_go_on_or_are_given_up(
    folder: Path, source: Path, undisturbed: StudyHistory
) -> None:
    launch(source.parent, "store", *IN_ONE_PROCESS[:2], "--trials", str(TRIALS), here=True)
    undisturbed = read(source.parent, "store")
    told = launch(folder, "store", "--trials", str(TRIALS), WORKERS_DIE="yes")
    found = read(folder, "store")
    for number, died_by in ((KILLED, signal.SIGKILL), (CRASHED, signal.SIGSEGV)):
        first, again, processes = epochs_of(folder, number)
        assert (first, processes) == ([1, 2, 3, 4, 5], 2)
        assert 1 < again[0] <= CUT, "it goes on from a state"
        assert again == [*range(again[0], EPOCHS + 1)]
        assert found.trial(number).spec.attempt == 2
        assert f"trial {number}: the worker process ended by signal {died_by:d}" in told
        assert_as_undisturbed(undisturbed, found, number)
    assert_as_undisturbed(undisturbed, found, DAMAGED)

    assert epochs_of(folder, DOOMED)[2] == 0
    doomed = found.trial(DOOMED)
    assert doomed.state == "infeasible" and doomed.result is not None
    assert "3 attempts" in doomed.result.reason and "exit code 7" in doomed.result.reason
    assert doomed.spec.attempt == 3
    assert found.best is not None and found.is_champion(found.best)
    assert_tidy(folder, "store")


@pytest.mark.exhaustive  # In one process the trainers' conformance suite shows it.
def test_a_damaged_state_costs_the_epochs_since_the_one_before_and_is_told(
    folder: Path, undisturbed: StudyHistory
) -> None:
    """The driver is killed, and the newest state damaged before the next launch."""
    launch(folder, "store", *IN_ONE_PROCESS, expect=-signal.SIGKILL, DRIVER_DIES="yes")
    (newest,) = (folder / "store").rglob(f"trial-{DAMAGED:05}.state.safetensors")
    assert newest.with_name(f"{newest.name}.before").exists()
    cut_short(newest)
    told = launch(folder, "store", "--trials", "1", here=True)
    first, again, processes = epochs_of(folder, DAMAGED)
    assert (first, processes) == ([1, 2, 3, 4, 5], 2)
    assert 1 < again[0] < CUT
    assert again == [*range(again[0], EPOCHS + 1)]
    told = " ".join(told.split())
    after = f"; it resumes from an earlier one, after epoch {again[0] - 1}"
    assert told.count(f"trial {DAMAGED}: its newest state can't be used (") == 1
    assert told.count(after) == told.count("newest state") == 1
    found = read(folder, "store")
    assert found.trial(DAMAGED).spec.attempt == 2
    assert_as_undisturbed(undisturbed, found, DAMAGED)
    assert_tidy(folder, "store")
