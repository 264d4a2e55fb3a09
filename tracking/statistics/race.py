"""The rounds of a race of the best trials under new seeds, and who stays in it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tracking.records.studies import Direction


@dataclass(frozen=True)
class Round:
    """A round of a race: the best trials so far, each under some further seeds."""

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
    Fewer than `top` trials start if `budget` trainings do not suffice for all; none is trained
    under more than `seeds` new seeds.
    """
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
    `values` has by trial number the objective under each new seed so far, None where infeasible.
    """
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
