"""A racer under one of the race's seeds: its training, or its trainings on folds."""

from __future__ import annotations

from collections.abc import Sequence

from studies.confirming.plan import Plan, Training
from studies.confirming.trainings import Trainings
from studies.running.folds import common_best
from tracking.history.trial_scores import folds_of_one_drawing
from tracking.records import BestEpoch
from tracking.scores.pooled import pooled
from tracking.scores.sample_scores import SampleScores


def value_at(plan: Plan, done: Trainings, trial: int, place: int) -> float | None:
    """Returns a racer's objective under a seed, as a trial has it; None if it is infeasible.

    Args:
        plan: The plan.
        done: Has the trainings.
        trial: The racer.
        place: Of the seed, from 0.
    """
    best = _best(plan, done, plan.trainings_at(trial, place))
    return None if best is None else best.value


def scores_at(plan: Plan, done: Trainings, trial: int, place: int) -> SampleScores | None:
    """Returns the scores of validation samples under a seed; None if it has none.

    Of folds the out-of-fold scores of all samples, after their best common epoch.

    Raises:
        StudyError: If the objective can't be scored by sample.
    """
    trainings = plan.trainings_at(trial, place)
    if not plan.folds:
        return done.validation_scores(trainings[0])
    best = _best(plan, done, trainings)
    if best is None:
        return None
    found = []
    for training in trainings[: folds_of_one_drawing(plan.history)]:
        scores = {each.epoch: each for each in done.scores_by_epoch(training)}
        if best.epoch not in scores:
            return None
        found.append(scores[best.epoch])
    return pooled(found)


def why_infeasible(done: Trainings, trainings: Sequence[Training]) -> str:
    """Returns why trainings under one seed have no value, without a period."""
    reasons = [done.result(each).reason for each in trainings]
    return next(filter(None, reasons), "no epoch of all folds has a value").rstrip(".")


def _best(plan: Plan, done: Trainings, trainings: Sequence[Training]) -> BestEpoch | None:
    bests = [done.result(each).best for each in trainings]
    if not plan.folds:
        return bests[0]
    if any(best is None for best in bests):
        return None
    objective = plan.history.description.objective
    return common_best([done.epochs(each) for each in trainings], objective)
