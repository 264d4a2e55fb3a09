"""What is known of the memory of a trial, and of a process that is gone."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from studies.executors.memory import ProcessMemory
from studies.executors.sizing import memory_limit
from studies.training.process.peak_memory import PeakMemory

MEBIBYTE = 2**20
HOLDS = "held = b'x' * (200 * 2**20)\nprint('holds', flush=True)\nimport time\ntime.sleep(600)\n"


@pytest.mark.skipif(not psutil.LINUX, reason="others tell the peak of the whole process")
def test_the_peak_of_a_trial_is_its_own() -> None:
    large = PeakMemory()
    np.ones(200 * MEBIBYTE, np.uint8).sum()
    before = large.size
    small = PeakMemory()
    assert small.size < before - 150 * MEBIBYTE


@pytest.mark.parametrize("limit", [210 * MEBIBYTE, None])
def test_what_was_killed_near_its_limit_ran_out_of_memory(
    limit: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if limit is not None:
        monkeypatch.setattr("studies.executors.memory.memory_limit", lambda: limit)
    process = subprocess.Popen([sys.executable, "-c", HOLDS], stdout=subprocess.PIPE)
    memory = ProcessMemory(process.pid)
    assert process.stdout is not None and process.stdout.readline()
    while memory.peak < 200 * MEBIBYTE:
        time.sleep(0.01)
    process.kill()
    process.wait()
    process.stdout.close()
    assert memory.ran_out() == (limit is not None)
    assert str(memory).startswith("it had 0.2 GiB of ")
    assert memory_limit() <= psutil.virtual_memory().total
    memory.begin_trial()
    assert not memory.ran_out()
