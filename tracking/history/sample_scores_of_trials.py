"""The scores of validation samples, for each trial of a study."""

from __future__ import annotations

import contextlib

from tracking.history.study_history import StudyHistory
from tracking.records import EndedTrial
from tracking.scores.sample_scores import SampleScores, average, pooled
from tracking.scores.score_files import ScoresError, read_scores


def trial_scores(history: StudyHistory) -> dict[int, list[SampleScores]]:
    """Returns the scores of validation samples, by trial number.

    A trial has an entry for each epoch whose scores are recorded: the best epoch, and perhaps
    others.

    - A repeated trial has one entry, the average of its trainings at their best epochs.
    - A cross-validated trial has the out-of-fold scores of all samples, for each epoch after which
      all folds have scores.
    - Trials that are not in `StudyHistory.holding` are left out, and so are trials whose files are
      missing or damaged.
    """
    scores: dict[int, list[SampleScores]] = {}
    for trial in history.holding:
        with contextlib.suppress(ScoresError):
            scores[trial.number] = scores_of(history, trial)
    return dict(sorted(scores.items()))


def scores_of(history: StudyHistory, trial: EndedTrial) -> list[SampleScores]:
    """Returns the scores of one trial, in the form of `trial_scores`.

    Raises:
        ScoresError: If a file of scores is missing or damaged.
    """
    files, repeats = history.files, trial.result.repeats
    if not repeats:
        digest = trial.result.weights_sha256
        return read_scores(files.scores(trial.number), weights_sha256=digest)
    scores = [
        read_scores(files.scores(trial.number, repeat), weights_sha256=fit.weights_sha256)
        for repeat, fit in enumerate(repeats)
    ]
    if not trial.result.folds:
        trainings = zip(scores, repeats, strict=True)
        return [average([best_scores(epochs, fit.best.epoch) for epochs, fit in trainings])]
    folds = [{each.epoch: each for each in epochs} for epochs in scores]
    common = set.intersection(*map(set, folds))
    if trial.epoch not in common:
        raise ScoresError(f"not all folds have scores after epoch {trial.epoch}")
    return [pooled([fold[epoch] for fold in folds]) for epoch in sorted(common)]


def best_scores(scores: list[SampleScores], epoch: int) -> SampleScores:
    """Returns the scores after an epoch; raises ScoresError if there are none."""
    for each in scores:
        if each.epoch == epoch:
            return each
    raise ScoresError(f"there are no scores after epoch {epoch}")
