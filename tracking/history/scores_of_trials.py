"""The scores of validation samples, for each trial of a study."""

from __future__ import annotations

from tracking.history.study_history import StudyHistory
from tracking.records import EndedTrial
from tracking.scores.files import ScoresError, read_scores
from tracking.scores.sample_scores import SampleScores, average, pooled


def trial_scores(history: StudyHistory) -> dict[int, list[SampleScores]]:
    """Returns the scores of trials by number: after the best epoch, or after each epoch if kept.

    - A repeated trial has one entry, the average of its trainings at their best epochs.
    - A cross-validated trial has the out-of-fold scores of all samples, for each epoch that all
      folds have. If samples are split into folds several times, only the first split counts.
    - Trials without a value are left out, and trials whose files are missing or damaged, or whose
      value `model.fit` contradicts.
    """
    scores: dict[int, list[SampleScores]] = {}
    for trial in history.top(len(history.trials)):
        try:
            scores[trial.number] = scores_of(history, trial)
        except ScoresError:
            continue
    return dict(sorted(scores.items()))


def scores_of(history: StudyHistory, trial: EndedTrial) -> list[SampleScores]:
    """Returns the scores of one trial, in the form of `trial_scores`.

    Raises:
        ScoresError: If a file of scores is missing or damaged.
    """
    result = trial.result
    if not result.repeats:
        return read_scores(history.files.scores(trial.number), weights_sha256=result.weights_sha256)
    if result.folds:
        return _of_folds(history, trial)
    trainings = [
        best_scores(
            read_scores(
                history.files.scores(trial.number, repeat), weights_sha256=each.weights_sha256
            ),
            each.best.epoch,
        )
        for repeat, each in enumerate(result.repeats)
    ]
    return [average(trainings)]


def _of_folds(history: StudyHistory, trial: EndedTrial) -> list[SampleScores]:
    count = folds_of_one_drawing(history)
    folds = [
        {
            each.epoch: each
            for each in read_scores(
                history.files.scores(trial.number, fold), weights_sha256=recorded.weights_sha256
            )
        }
        for fold, recorded in enumerate(trial.result.repeats[:count])
    ]
    epochs = set.intersection(*(set(each) for each in folds))
    if trial.epoch not in epochs:
        raise ScoresError(f"not all folds have scores after epoch {trial.epoch}")
    return [pooled([each[epoch] for each in folds]) for epoch in sorted(epochs)]


def folds_of_one_drawing(history: StudyHistory) -> int:
    """Returns the number of folds in one split, which validate each sample once."""
    data = history.description.data
    left = data.sizes.get("validation", 0)
    for place, fold in enumerate(data.details.get("folds", ()), start=1):
        left -= fold["validation"]
        if left <= 0:
            return place
    return history.description.folds


def best_scores(scores: list[SampleScores], epoch: int) -> SampleScores:
    """Returns the scores after an epoch."""
    for each in scores:
        if each.epoch == epoch:
            return each
    raise ScoresError(f"they lack epoch {epoch}")
