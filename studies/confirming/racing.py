"""The race of the best trials under new seeds, and the scores of its trainings."""

from __future__ import annotations

from collections.abc import Sequence

from search_spaces.errors import StudyError
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
        values = {
            n: [done.value(each) for each in plan.race_trainings(n, 0, seeds)] for n in staying
        }
        staying = list(survivors(values, len(staying), description.objective.direction))
    if all(value is None for value in values[staying[0]]):
        first = plan.race_trainings(staying[0], 0, 1)[0]
        raise StudyError(
            f"The trainings of {description.name!r} under new seeds are all infeasible: "
            f"{done.result(first).reason.rstrip('.')}. Mend that, and confirm again."
        )
    return [*staying, *out]


def scores_of_race(
    plan: Plan, done: Trainings, ranking: Sequence[int]
) -> tuple[dict[str, SampleScores], str]:
    """Returns the scores of validation samples of the race's trainings.

    Returns:
        By identity; and why there are none, in a sentence, or empty.
    """
    found = {}
    try:
        for number in ranking:
            for training in raced(plan, done, number):
                scores = done.validation_scores(training)
                if scores is not None:
                    found[training.identity] = scores
    except StudyError as error:
        return {}, str(error)
    return found, ""
