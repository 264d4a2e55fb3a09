"""The rounds of a race of the best trials under new seeds, and who stays in it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search_spaces.errors import StatisticsError
from tracking.records.studies import Direction


@dataclass(frozen=True)
class Round:
    """A round of a race.

    Attributes:
        racers: How many trials take part: the best so far.
        seeds: Under how many further seeds each is trained, the same for all.
    """

    racers: int
    seeds: int

    @property
    def trainings(self) -> int:
        """The trainings of the round."""
        return self.racers * self.seeds


def rounds(top: int, seeds: int, budget: int) -> tuple[Round, ...]:
    """Plans a race: each round halves the trials, until two are left for the rest of the budget.

    The best 8 of a study with a budget of 16 trainings: 8 trials under one new seed, the best 4
    under another, the best 2 under two more. This is successive halving, over seeds: K. Jamieson
    and A. Talwalkar, Non-stochastic best arm identification and hyperparameter optimization,
    AISTATS 2016. Seeds are shared by all racers, and none is a trial's own, under which it was
    chosen: X. Bouthillier et al., MLSys 2021.

    Args:
        top: How many trials start, at least 1; fewer do if the budget does not suffice for all.
        seeds: The most new seeds that a trial is trained under, at least 1.
        budget: The most trainings in all, at least 1.

    Returns:
        The rounds, in their order; the first one has all racers.

    Raises:
        StatisticsError: If a number is below 1.
    """
    for name, number in {"top": top, "seeds": seeds, "budget": budget}.items():
        if number < 1:
            raise StatisticsError(f"{name} must be 1 or more, not {number}")
    while top > 1 and sum(each.trainings for each in _halving(top, seeds)) > budget:
        top -= 1
    plan = _halving(top, seeds)
    finalists, last = plan[-1].racers, plan[-1].seeds
    spent = sum(each.trainings for each in plan)
    more = min((budget - spent) // finalists, seeds - sum(each.seeds for each in plan))
    return (*plan[:-1], Round(finalists, last + more))


def survivors(
    values: Mapping[int, Sequence[float | None]], keep: int, direction: Direction
) -> tuple[int, ...]:
    """Returns the trials that stay in a race, best first.

    The mean over new seeds decides; the original value, which was chosen for being high, does not
    count. Ties go to the earlier trial. A trial with an infeasible training is behind all without.

    Args:
        values: By trial number, its objective under each new seed so far, None where infeasible;
            as many for each trial.
        keep: How many stay, at least 1; all do if there are fewer.
        direction: Whether high or low values are better.

    Raises:
        StatisticsError: If nobody races, or trials have different numbers of values.
    """
    if not values or keep < 1:
        raise StatisticsError("a race needs at least one trial, and keeps at least one")
    if len({len(each) for each in values.values()}) > 1 or not all(values.values()):
        raise StatisticsError("trials of a race have a value for each seed, or None")
    sign = -1 if direction == "max" else 1

    def key(trial: int) -> tuple[int, float, int]:
        numbers = [x for x in values[trial] if x is not None and math.isfinite(x)]
        failed = len(values[trial]) - len(numbers)
        mean = sum(numbers) / len(numbers) if numbers else math.inf
        return failed, sign * mean, trial

    return tuple(sorted(values, key=key)[:keep])


def _halving(top: int, seeds: int) -> list[Round]:
    """Returns rounds of one seed each, down to two racers or the last seed."""
    plan = [Round(top, 1)]
    while plan[-1].racers > 2 and len(plan) < seeds:
        plan.append(Round((plan[-1].racers + 1) // 2, 1))
    return plan
