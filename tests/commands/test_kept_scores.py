"""Scores of samples in a launched study: kept, read and lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from blobs import Launched
from damage import flip_byte
from stores import store_at

from tracking.history import (
    StudyHistory,
    best_scores,
    read_study,
    study_names,
    study_verdict,
    trial_scores,
)


def history_of(root: Path) -> StudyHistory:
    store = store_at(root)
    return read_study(store, study_names(store)[0])


def test_every_trial_has_scores_that_agree_with_its_value(launched: Launched) -> None:
    history = history_of(launched.store)

    scores = trial_scores(history)

    assert list(scores) == [0, 1, 2]
    for trial in history.ended:
        assert trial.value is not None and trial.epoch is not None
        best = best_scores(scores[trial.number], trial.epoch)
        assert best.value == pytest.approx(trial.value, rel=1e-4)
        assert trial.result.scores_bytes == history.files.scores(trial.number).stat().st_size


@pytest.fixture
def damaged(copied_store: Path) -> StudyHistory:
    """A study that has lost the scores of one trial; those of another are damaged."""
    history = history_of(copied_store)
    history.files.scores(0).unlink()
    flip_byte(history.files.scores(1), b"sha256")
    assert list(trial_scores(history)) == [2]
    return history


def test_trials_with_lost_and_damaged_scores_do_not_count(damaged: StudyHistory) -> None:
    best = damaged.best
    assert best is not None
    verdict = study_verdict(damaged)

    if best.number == 2:
        assert "2 trials have no scores of samples, and did not count." in verdict.grounds[-1]
    else:
        assert f"trial {best.number}, the best, has no scores" in verdict.text
        assert "`kerastudy confirm` needs none." in verdict.text
