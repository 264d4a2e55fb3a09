"""Which checkpoints stay on disk."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from handmade import trial_record
from scripted import SPACE, describe

from studies.engines.engine import EngineSettings
from studies.engines.make import make_engine
from studies.running.retention import Retention
from tracking.records import TrialRecord
from tracking.runs.study_files import StudyFiles

# Values, best epochs and states: ties of both, pruned trials, and infeasible ones.
TRIALS = [
    trial_record(number, value, epoch=epoch, state=state)  # type: ignore[arg-type]
    for number, (value, epoch, state) in enumerate(
        [
            (0.5, 4, "complete"),
            (0.125, 1, "pruned"),
            (None, 1, "infeasible"),
            (0.5, 2, "complete"),
            (0.75, 1, "complete"),
            (0.25, 3, "pruned"),
            (0.5, 2, "complete"),
            (0.0625, 9, "complete"),
        ]
    )
]
BEST = [7, 1, 5, 3, 6, 0, 4]


@pytest.mark.parametrize("keep", [1, 2, 3, 5, 6, 7, 9, None])
@pytest.mark.parametrize("recorded", [0, 4, 8])
def test_the_best_are_kept_and_no_other_is_written(
    keep: int | None, recorded: int, tmp_path: Path
) -> None:
    description = describe(keep=keep)
    engine = make_engine(EngineSettings(
        name="any", engine="optuna:random", space=SPACE, objective=description.objective,
        pruner="none", epochs=9, seed=0,
    ))  # fmt: skip
    for attempt in range(20):
        trials = random.Random(attempt).sample(TRIALS, len(TRIALS))
        files = StudyFiles(tmp_path / f"{attempt}")
        files.folder.mkdir()
        retention = Retention(files, description, trials[:recorded])
        for trial in trials[:recorded]:
            files.checkpoint(trial.number).touch()
        retention.tidy(engine)
        for trial in trials[recorded:]:
            last_kept = retention.last_kept()
            if last_kept is None or rank(trial) < last_kept:
                files.checkpoint(trial.number).touch()
            retention.add(trial)
            retention.tidy(engine)
        kept = {path.name for path in files.folder.iterdir()} - {files.checkpoint(2).name}
        assert kept == {files.checkpoint(number).name for number in BEST[:keep]}


def test_only_trials_that_are_known_count() -> None:
    retention = Retention(StudyFiles(Path("none")), describe(keep=2), TRIALS)
    numbers = [last and last.number for last in map(retention.last_kept, (1, 2, 4, 6, 8, None))]
    assert numbers == [None, 0, 3, 5, 1, 1]


def rank(trial: TrialRecord) -> tuple[float, int, int]:
    if trial.best is None:
        return 9.0, 0, 0
    return trial.best.value, trial.best.epoch, trial.number
