"""What is recorded of validation samples: their scores by trial, the champion's predictions."""

from __future__ import annotations

from tracking.history.study_history import StudyHistory
from tracking.records import EndedTrial
from tracking.records.converting import from_json
from tracking.records.validation_predictions import ValidationPredictions
from tracking.scores.files import ScoresError, read_scores
from tracking.scores.sample_scores import SampleScores, average, pooled


def trial_scores(history: StudyHistory) -> dict[int, list[SampleScores]]:
    """Returns the scores of all trials that have them.

    Returns:
        By trial number: the scores of the best epoch, or of each epoch if the study kept those.
        Of a repeated trial one entry, the average of its trainings at their best epochs. Of a
        cross-validated one the out-of-fold scores of all samples, after each epoch that all folds
        have; if samples are split several times, those of the first time. Trials
        without a value, or with one that `model.fit` contradicts, are left out, and so are those
        whose files are missing or damaged.
    """
    found: dict[int, list[SampleScores]] = {}
    for trial in history.top(len(history.trials)):
        try:
            found[trial.number] = scores_of(history, trial)
        except ScoresError:
            continue
    return dict(sorted(found.items()))


def scores_of(history: StudyHistory, trial: EndedTrial) -> list[SampleScores]:
    """Returns the scores of one trial, as `trial_scores` does.

    Raises:
        ScoresError: If they, or those of one of its trainings, are missing or damaged.
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
    """Returns the pooled scores of a cross-validated trial by epoch."""
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
    """Returns the number of folds in which each sample is validated once."""
    data = history.description.data
    left = data.sizes.get("validation", 0)
    for place, fold in enumerate(data.details.get("folds", ()), start=1):
        left -= fold["validation"]
        if left <= 0:
            return place
    return history.description.folds


def best_scores(scores: list[SampleScores], epoch: int) -> SampleScores:
    """Returns the scores of one epoch among those of a training."""
    for each in scores:
        if each.epoch == epoch:
            return each
    raise ScoresError(f"they lack epoch {epoch}")


def read_validation_predictions(history: StudyHistory) -> ValidationPredictions | None:
    """Returns what a study's champion predicts of the validation data.

    None if there is no champion, or if its outputs are of no known kind.
    """
    registered = history.registered
    if registered is None or not registered.predictions:
        return None
    return from_json(ValidationPredictions, registered.predictions)
