"""The race of the best trials under new seeds, and the scores of its trainings."""

from __future__ import annotations

from collections.abc import Sequence

from search_spaces.errors import StudyError
from studies.confirming.one_seed import scores_at, value_at, why_infeasible
from studies.confirming.outcome import raced
from studies.confirming.plan import DEFAULTS, Plan
from studies.confirming.trainings import Trainings
from tracking.scores.sample_scores import SampleScores
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
            f"{why_infeasible(done, first)}. Mend that, and confirm again."
        )
    return [*staying, *out]


def scores_of_race(
    plan: Plan, done: Trainings, ranking: Sequence[int]
) -> tuple[dict[tuple[int, int], SampleScores], str]:
    """Returns the scores of validation samples of the race's trainings.

    Returns:
        By racer and place of the seed, from 0; and why there are none, in a sentence, or empty.
    """
    found = {}
    try:
        for number in ranking:
            for place in raced(plan, done, number):
                scores = scores_at(plan, done, number, place)
                if scores is not None:
                    found[number, place] = scores
    except StudyError as error:
        return {}, str(error)
    return found, ""
