"""Scores of samples in a launched study: kept, read, limited, lost and made again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_line import Launched, kerastudy_here
from damage import flip_byte

from studies.again.scoring import score_trial
from studies.doctor.diagnosis import diagnose
from tracking.history.study_history import StudyHistory, read_study, study_names
from tracking.history.trial_scores import best_scores, trial_scores
from tracking.store.folder import open_store


def history_of(root: Path) -> StudyHistory:
    store = open_store(root)
    assert store is not None
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


def test_lost_and_damaged_scores_are_found(launched: Launched, damaged: StudyHistory) -> None:
    told = kerastudy_here("doctor", "--store", damaged.store.root, cwd=launched.folder)

    assert told.out.count("the scores of its validation samples can't be used") == 2
    assert "--fix makes them again" in told.out and told.code == 1


@pytest.mark.exhaustive
def test_the_doctor_makes_them_again(launched: Launched, damaged: StudyHistory) -> None:
    fixed = kerastudy_here("doctor", "--fix", "--store", damaged.store.root, cwd=launched.folder)

    assert fixed.code == 0, fixed.out + fixed.err
    check_same(launched, damaged)


# Again for a confirmation in `test_confirming`, from a damaged checkpoint in `test_doctor_command`.
@pytest.mark.exhaustive
def test_a_trial_without_scores_and_checkpoint_is_trained_again(
    launched: Launched, damaged: StudyHistory
) -> None:
    damaged.files.checkpoint(1).unlink()

    scores = score_trial(damaged, 1)

    assert list(trial_scores(damaged)) == [1, 2]
    check_same(launched, damaged)
    # Nothing is made twice.
    damaged.files.scores(1).touch()
    changed = damaged.files.scores(1).stat().st_mtime_ns
    assert score_trial(damaged, 1)[0].value == scores[0].value
    assert damaged.files.scores(1).stat().st_mtime_ns == changed


def check_same(launched: Launched, now: StudyHistory) -> None:
    """Compares the scores of best epochs: those of others are not made again."""
    before = trial_scores(history_of(launched.store))
    for number, scores in trial_scores(now).items():
        epoch = now.trial(number).epoch
        same = [best_scores(each, epoch).values for each in (scores, before[number])]
        assert np.array_equal(*same)


def test_scores_of_no_recorded_trial_are_put_aside(damaged: StudyHistory) -> None:
    left = damaged.files.scores(77, 1)
    left.write_bytes(damaged.files.scores(2).read_bytes())

    findings = diagnose(damaged.store.root).left

    (orphan,) = [each for each in findings if each.kind == "orphan"]
    assert (orphan.path, orphan.trial) == (str(left), 77)
