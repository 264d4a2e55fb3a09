"""What a driver does for many workers."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from scripted import describe, loss, run_study

from benchmarks.many_workers.cluster import Faults, SimulatedCluster
from studies.progress import NoProgress
from studies.running import driver
from tracking.history import StudyHistory

TRIALS, EPOCHS = 48, 2
ROOM = str(Path(driver.__file__).parent)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("many") / "store"


def launch(store: Path, workers: int, **options: Any) -> tuple[StudyHistory, SimulatedCluster]:
    cluster = SimulatedCluster(
        describe(name=f"by {workers}", trials=TRIALS, epochs=EPOCHS, engine="optuna:random"),
        workers,
        lambda spec, epoch: {"val_loss": loss(spec, epoch)},
        spent=lambda: 0.0,
        **options,
    )
    return run_study(cluster, store=store, progress=NoProgress(), report=False), cluster


def test_the_work_for_a_trial_does_not_grow_with_the_workers(store: Path) -> None:
    """Counted in calls of the driver's functions, as time says little on a busy machine."""
    counts = {}
    for workers in (2, 48):
        called = Counter[str]()

        def count(frame: FrameType, event: str, _: object, called: Counter[str] = called) -> None:
            if event == "call" and frame.f_code.co_filename.startswith(ROOM):
                called[frame.f_code.co_qualname] += 1

        before = sys.getprofile()
        sys.setprofile(count)
        try:
            launch(store, workers)
        finally:
            sys.setprofile(before)
        counts[workers] = called
    more = counts[48] - counts[2]
    assert counts[48].total() < 1.2 * counts[2].total(), more.most_common(5)


def test_what_comes_late_or_twice_from_lost_workers_is_recorded_once(store: Path) -> None:
    faults = Faults(dies=0.2, silent=0.2, twice=0.5, nodes=60.0)
    history, cluster = launch(store, 7, faults=faults)
    assert cluster.figures.lost > 5
    assert cluster.figures.dropped > 5
    assert [trial.state for trial in history.ended] == ["complete"] * TRIALS
    for trial in history.ended:
        curve = history.curve(trial)
        assert curve == {e: {"val_loss": loss(trial.spec, e)} for e in range(1, EPOCHS + 1)}
