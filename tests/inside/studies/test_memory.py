"""What is known of the memory of a trial."""

from __future__ import annotations

import numpy as np
import psutil
import pytest

from studies.training import PeakMemory

MEBIBYTE = 2**20


@pytest.mark.skipif(not psutil.LINUX, reason="others tell the peak of the whole process")
def test_the_peak_of_a_trial_is_its_own() -> None:
    large = PeakMemory()
    np.ones(200 * MEBIBYTE, np.uint8).sum()
    before = large.size
    small = PeakMemory()
    assert small.size < before - 150 * MEBIBYTE
