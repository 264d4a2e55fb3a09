"""The rounds of a race, and who stays in it."""

from __future__ import annotations

import itertools

import pytest

from tracking.statistics import Round, rounds, survivors


def test_the_race_of_sixteen() -> None:
    assert rounds(8, 5, 16) == (Round(8, 1), Round(4, 1), Round(2, 2))


@pytest.mark.parametrize(
    ("top", "seeds", "budget"),
    list(itertools.product([1, 2, 3, 5, 8, 20], [1, 2, 5], [1, 5, 16, 100])),
)
def test_any_race_keeps_to_its_limits(top: int, seeds: int, budget: int) -> None:
    plan = rounds(top, seeds, budget)
    assert sum(each.trainings for each in plan) <= budget
    assert sum(each.seeds for each in plan) <= seeds
    assert plan[0].racers <= top
    racers = [each.racers for each in plan]
    assert all(after < before for before, after in itertools.pairwise(racers))
    assert all(each.racers >= 1 and each.seeds >= 1 for each in plan)


def test_the_mean_over_new_seeds_decides_and_infeasible_trials_are_behind() -> None:
    values = {4: (0.8, 0.9), 2: (0.8, 0.9), 7: (0.9, 0.9), 1: (0.99, None), 3: (None, float("nan"))}
    assert survivors(values, 5, "max") == (7, 2, 4, 1, 3)
    assert survivors(values, 2, "min") == (2, 4)
