"""Which checkpoints stay on disk."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from conformance.engine import make
from handmade import trial_record
from scripted import describe

from studies.launching import Retention
from tracking.records import EndedTrial, Rank, TrialRecord, TrialState
from tracking.scores import KeptScores
from tracking.store import StudyFiles

# Ties of values and of best epochs, pruned trials, and infeasible ones.
VALUES = (0.5, 0.125, None, 0.5, 0.75, 0.25, 0.5, 0.0625)
EPOCHS = (4, 1, 1, 2, 1, 3, 2, 9)
STATES: dict[int, TrialState] = {1: "pruned", 2: "infeasible", 5: "pruned"}
TRIALS = [
    trial_record(number, value, epoch=epoch, state=STATES.get(number, "complete"))
    for number, (value, epoch) in enumerate(zip(VALUES, EPOCHS, strict=True))
]
BEST = [7, 1, 5, 3, 6, 0, 4]


@pytest.mark.parametrize("keep", [1, 3, 6, 7, None])
@pytest.mark.parametrize("recorded", [0, 4, 8])
def test_the_best_are_kept_and_no_others(keep: int | None, recorded: int, tmp_path: Path) -> None:
    engine = make("optuna:random")
    for attempt in range(20):
        trials = random.Random(attempt).sample(TRIALS, len(TRIALS))
        files = StudyFiles(tmp_path / f"{attempt}")
        files.folder.mkdir()
        retention = Retention(files, describe(keep=keep), trials[:recorded])
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


def rank(trial: TrialRecord) -> tuple[float, float, int, int]:
    if trial.best is None:
        return 9.0, 9.0, 0, 0
    return trial.best.value, trial.best.value, trial.best.epoch, trial.number


def test_the_best_trials_keep_their_scores_within_the_limit() -> None:
    sizes = {0: 30, 1: 20, 3: 30, 4: 40, 5: 0, 6: 10, 7: 25}
    trials = [
        replace(trial, result=replace(trial.result, scores_bytes=sizes.get(trial.number, 0)))
        for trial in TRIALS
        if isinstance(trial, EndedTrial)
    ]
    # From the best: 25, 20, 0, 30, 10, 30, 40 bytes.
    for attempt in range(20):
        kept = KeptScores(most=90)
        lines = []
        order = random.Random(attempt).sample(trials, len(trials))
        for trial in order:
            if trial.best is not None:
                kept.add(Rank(*rank(trial)), trial.result.scores_bytes)
                lines.append(kept.notice())
        assert kept.numbers == {7, 1, 3, 6}
        assert kept.dropped() == {0, 4} and kept.dropped() == set()
        assert len([line for line in lines if line]) == 1


def test_files_of_scores_beyond_the_limit_are_removed(tmp_path: Path) -> None:
    description, files = describe(repeats=2), StudyFiles(tmp_path)
    retention = Retention(files, description, [])
    trial = TRIALS[1]
    assert isinstance(trial, EndedTrial)
    for repeat in (0, 1):
        files.scores(1, repeat).write_bytes(b"0" * 60)
    retention.add(replace(trial, result=replace(trial.result, scores_bytes=65 * 10**6)))
    assert retention.told() == (
        "the scores of validation samples reached 64 MB: only those of the best 0 trials are kept"
    )
    retention.tidy(make("optuna:random"))
    assert list(tmp_path.iterdir()) == [] and retention.told() == ""
