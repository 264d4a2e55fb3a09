"""The race of `kerastudy confirm`, in which the best trials train under new seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tracking.records.study_and_data_records import Direction


@dataclass(frozen=True)
class Round:
    """A round of a race. `racers` trials take part, and each trains under `seeds` further seeds."""

    racers: int
    seeds: int

    @property
    def trainings(self) -> int:
        """The number of trainings in the round."""
        return self.racers * self.seeds


def rounds(top: int, seeds: int, budget: int) -> tuple[Round, ...]:
    """Plans a race: each round halves the trials. The last two trials get the rest of the budget.

    For example, with 8 trials and a budget of 16 trainings, 8 trials train under one new seed, the
    best 4 under another, and the best 2 under two more. This is successive halving over seeds: K.
    Jamieson and A. Talwalkar, Non-stochastic best arm identification and hyperparameter
    optimization, AISTATS 2016. All racers train under the same seeds, which differ from the seeds
    of the study's trials: X. Bouthillier et al., MLSys 2021.

    If `budget` is too small for `top` trials, fewer trials start. No trial is trained under more
    than `seeds` new seeds.
    """
    while top > 1 and sum(r.trainings for r in _halving(top, seeds)) > budget:
        top -= 1
    plan = _halving(top, seeds)
    finalists, last = plan[-1].racers, plan[-1].seeds
    spent = sum(r.trainings for r in plan)
    more = min((budget - spent) // finalists, seeds - sum(r.seeds for r in plan))
    return (*plan[:-1], Round(finalists, last + more))


def survivors(
    values: Mapping[int, Sequence[float | None]], keep: int, direction: Direction
) -> tuple[int, ...]:
    """Returns the trials that stay in a race, best first.

    The mean over new seeds decides. A trial's value in the study does not count, because the trial
    was chosen for this value. Of trials that tie, the one with the lower number is better. Trials
    with infeasible trainings come last.

    `values` has, by trial number, the objective under each new seed so far, or None for an
    infeasible training.
    """
    sign = -1 if direction == "max" else 1

    def key(trial: int) -> tuple[int, float, int]:
        numbers = [x for x in values[trial] if x is not None and math.isfinite(x)]
        failures = len(values[trial]) - len(numbers)
        mean = sum(numbers) / len(numbers) if numbers else math.inf
        return failures, sign * mean, trial

    return tuple(sorted(values, key=key)[:keep])


def _halving(top: int, seeds: int) -> list[Round]:
    """Returns rounds of one seed each, until two racers are left or all seeds are used."""
    plan = [Round(top, 1)]
    while plan[-1].racers > 2 and len(plan) < seeds:
        plan.append(Round((plan[-1].racers + 1) // 2, 1))
    return plan
