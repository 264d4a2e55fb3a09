"""Trials that end the process they run in: what is left of them is gone on with, or told."""

from __future__ import annotations

import signal
from pathlib import Path

from study_record import left_behind
from user_commands import kerastudy, write_study

from tracking.history import StudyHistory, read_study
from tracking.store import open_store

KILLED, CRASHED, DOOMED, EPOCHS, CUT = 2, 3, 1, 8, 5
BUILDER = f"""def build(hp):
    if hp.number == {DOOMED} and "DISTURBED" in os.environ:
        os._exit(7)
"""
CALLBACKS = f"""
import os, pathlib, signal, threading

SIGNALS = {{{KILLED}: signal.SIGKILL, {CRASHED}: signal.SIGSEGV}}
FOLDER = pathlib.Path(__file__).parent


class Dying(keras.callbacks.Callback):
    '''Notes each epoch; ends its process in one of them, once a trial, when there is a state.'''

    def __init__(self, trial):
        super().__init__()
        self.trial = trial

    def on_epoch_end(self, epoch, logs=None):
        with open(FOLDER / "epochs.txt", "a") as file:
            print(os.getpid(), self.trial, epoch + 1, file=file)
        mark = FOLDER / f"died in {{self.trial}}"
        dies = self.trial in SIGNALS and "DISTURBED" in os.environ and not mark.exists()
        if dies and epoch + 1 == {CUT}:
            while not any(FOLDER.rglob(f"trial-{{self.trial:05}}.state.safetensors")):
                threading.Event().wait(0.01)
            mark.touch()
            os.kill(os.getpid(), SIGNALS[self.trial])


study = ks.Study("""


def launch(folder: Path, store: str, **more: str) -> tuple[StudyHistory, str]:
    """Launches the study; returns it and what was told."""
    arguments = ["--store", store, "--engine", "optuna:random", "--trials", "4"]
    told = kerastudy(folder, "launch", "study.py", *arguments, "--epochs", str(EPOCHS), **more)
    opened = open_store(folder / store)
    assert opened is not None
    return read_study(opened, "작은 연구"), told.stderr


def test_trials_that_end_their_process_go_on_or_are_given_up(tmp_path: Path) -> None:
    write_study(
        tmp_path,
        **{
            "def build(hp):\n": BUILDER,
            "study = ks.Study(": CALLBACKS,
            "build=build,": "build=build, callbacks=lambda hp: [Dying(hp.number)],",
        },
    )
    wanted, _ = launch(tmp_path, "undisturbed")
    (tmp_path / "epochs.txt").unlink()
    found, told = launch(tmp_path, "store", DISTURBED="yes")

    seen: dict[int, list[tuple[int, int]]] = {number: [] for number in range(4)}
    for line in (tmp_path / "epochs.txt").read_text().splitlines():
        pid, number, epoch = map(int, line.split())
        seen[number].append((pid, epoch))
    for number, died_by in ((KILLED, signal.SIGKILL), (CRASHED, signal.SIGSEGV)):
        first, again = seen[number][:CUT], seen[number][CUT:]
        assert [epoch for _, epoch in first] == [1, 2, 3, 4, 5]
        begun = again[0][1]
        assert 1 < begun <= CUT, "it goes on from a state"
        assert [epoch for _, epoch in again] == [*range(begun, EPOCHS + 1)]
        assert len({pid for pid, _ in first}) == len({pid for pid, _ in again}) == 1
        assert first[0][0] != again[0][0]
        assert found.trial(number).spec.attempt == 2
        assert f"trial {number}: the worker process ended by signal {died_by:d}" in told

    assert seen[DOOMED] == []
    doomed = found.trial(DOOMED)
    assert doomed.state == "infeasible" and doomed.result is not None
    assert "3 attempts" in doomed.result.reason and "exit code 7" in doomed.result.reason
    assert doomed.spec.attempt == 3

    for number in (0, KILLED, CRASHED):
        one, other = wanted.trial(number), found.trial(number)
        assert one.result is not None and other.result is not None
        assert one.state == other.state == "complete"
        assert other.result.weights_sha256 == one.result.weights_sha256
        assert other.result.best == one.result.best
        assert found.curve(other) == wanted.curve(one)
    assert found.best is not None and found.champion_run_id == found.best.run_id
    assert not left_behind(tmp_path / "store")
