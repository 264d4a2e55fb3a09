"""Time that counts: that in which a study's processes run."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from killing import pause
from scripted import describe
from stores import history_at
from user_commands import KERASTUDY, environment, write_study

from studies.running import TICK, AwakeClock, Running, TimeLimit
from tracking.records import TrialRecord, TrialSpec


@dataclass
class Process:
    """A process whose clock ticks as it is told."""

    now: float = 1000.0
    used: float = 7.0

    def __post_init__(self) -> None:
        self.clock = AwakeClock(lambda: self.now, lambda: self.used)

    def runs(self, seconds: float, used: float = 0.0) -> None:
        self.now += seconds
        self.used += used
        self.clock.tick()

    def runs_on(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK)):
            self.runs(TICK)


@pytest.fixture
def process() -> Process:
    return Process()


def test_time_counts_while_it_runs(process: Process) -> None:
    process.runs_on(60)
    assert process.clock.seconds == pytest.approx(60)
    # As on a machine with much to do.
    process.runs(4 * TICK)
    assert process.clock.seconds == pytest.approx(61)
    assert process.clock.caught_up


def test_however_often_it_is_stopped_a_stop_is_no_more_than_a_tick(process: Process) -> None:
    for _ in range(20):
        process.runs_on(1)
        process.runs(5)
        process.runs(3600)
    assert process.clock.seconds == pytest.approx(20 * (1 + 2 * TICK))


def test_a_call_that_lets_no_thread_run_is_no_stop(process: Process) -> None:
    """As in a study that trains in this process."""
    process.runs(30, used=29.9)
    assert process.clock.seconds == pytest.approx(30)
    # With several threads it uses more than passes.
    process.runs(30, used=200)
    assert process.clock.seconds == pytest.approx(60)
    # It may be stopped in the midst of it.
    process.runs(3600, used=12)
    assert process.clock.seconds == pytest.approx(72)


def training(clock: AwakeClock) -> Running:
    spec = TrialSpec(0, 1, {}, 0, 3, 32, 1, "d" * 64, describe().objective)
    running = Running(TrialRecord("run", spec, "running", None, "", {}, "", 0), [spec])
    running.begin_fit("run", clock.seconds)
    return running


def test_after_a_stop_nothing_hangs_before_it_could_tell_what_it_did(process: Process) -> None:
    limit = TimeLimit(3.0, process.clock)
    running = training(process.clock)
    process.runs_on(3)
    assert limit.hanging([running]) == [0]
    process.now += 60
    assert limit.hanging([running]) == [], "the clock has not even ticked"
    process.clock.tick()
    assert limit.hanging([running]) == []
    process.runs(TICK)
    assert limit.hanging([running]) == []
    process.runs_on(1)
    assert limit.hanging([running]) == [0]


def test_stops_bring_a_training_no_nearer_to_its_limit(process: Process) -> None:
    limit = TimeLimit(3.0, process.clock)
    running = training(process.clock)
    for _ in range(8):
        process.runs(60)
        process.runs_on(TICK / 2)
    process.runs_on(0.75)
    assert process.clock.caught_up is False
    assert limit.hanging([running]) == []


SECONDS, STOPS, SECONDS_OF_A_STOP = 8, 2, 4.5
"""What stops take is more than the limit, and each is less than what was once counted of one."""

WAITS = """
    import pathlib
    import time

    class Waiting(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            print("it trains", flush=True)
            while not pathlib.Path("go on").exists():
                time.sleep(0.05)

    return [Waiting()]
"""


@pytest.mark.exhaustive  # The clock that this is about is tested above, without a process.
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes can't be stopped here")
def test_a_launch_that_is_stopped_and_goes_on_loses_no_trial(tmp_path: Path) -> None:
    """Its driver and its worker, for longer than a trial may take."""
    callbacks = f"def callbacks(hp):{WAITS}\n\nstudy = ks.Study("
    write_study(
        tmp_path,
        **{"study = ks.Study(": callbacks, "build=build,": "build=build, callbacks=callbacks,"},
    )
    process = subprocess.Popen(
        [*KERASTUDY, "launch", "study.py", "--trials", "2", "--trial-timeout", str(SECONDS)],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    told = []
    while "it trains" not in (line := process.stderr.readline()):
        assert line, told
        told.append(line)
    for _ in range(STOPS):
        pause(process.pid, SECONDS_OF_A_STOP)
    (tmp_path / "go on").touch()
    rest = process.stderr.read()
    assert process.wait() == 0, rest
    trials = history_at(tmp_path / "kerastudy-store", "작은 연구").trials
    assert [(t.state, t.spec.attempt) for t in trials] == [("complete", 1)] * 2
