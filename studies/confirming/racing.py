"""The race of the best trials under new seeds."""

from __future__ import annotations

from collections.abc import Sequence

from search_spaces.errors import StudyError
from studies.confirming.plan import DEFAULTS, Plan, Training
from studies.confirming.trainings import Trainings
from studies.running.folds import common_best
from tracking.statistics.race import survivors


def run_race(plan: Plan, done: Trainings) -> list[int]:
    """Runs the race; returns the racers' numbers, best first.

    The trainings of the defaults, which do not depend on it, fill its last round.

    Raises:
        StudyError: If every training of the first one is infeasible.
    """
    description = plan.history.description
    staying, out, seeds = [each.number for each in plan.racers], list[int](), 0
    for planned in plan.rounds:
        staying, left = staying[: planned.racers], staying[planned.racers :]
        out = [*left, *out]
        wanted = [t for n in staying for t in plan.race_trainings(n, seeds, planned.seeds)]
        further = plan.test_trainings(DEFAULTS) if planned is plan.rounds[-1] else []
        done.run(wanted, further)
        seeds += planned.seeds
        values = {n: [value_at(plan, done, n, p) for p in range(seeds)] for n in staying}
        staying = list(survivors(values, len(staying), description.objective.direction))
    if all(value is None for value in values[staying[0]]):
        first = plan.trainings_at(staying[0], 0)
        raise StudyError(
            f"The trainings of {description.name!r} under new seeds are all infeasible: "
            f"{_why_infeasible(done, first)}. Mend that, and confirm again."
        )
    return [*staying, *out]


def value_at(plan: Plan, done: Trainings, trial: int, place: int) -> float | None:
    """Returns a racer's objective under a seed, as a trial has it; None if it is infeasible.

    Args:
        plan: The plan.
        done: Has the trainings.
        trial: The racer.
        place: Of the seed, from 0.
    """
    trainings = plan.trainings_at(trial, place)
    if not plan.folds:
        return done.value(trainings[0])
    if any(done.value(each) is None for each in trainings):
        return None
    objective = plan.history.description.objective
    best = common_best([done.epochs(each) for each in trainings], objective)
    return None if best is None else best.value


def _why_infeasible(done: Trainings, trainings: Sequence[Training]) -> str:
    """Returns why trainings under one seed have no value, without a period."""
    reasons = [done.result(each).reason for each in trainings]
    return next(filter(None, reasons), "no epoch of all folds has a value").rstrip(".")
