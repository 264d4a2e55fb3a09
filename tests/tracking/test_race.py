"""The rounds of a race, who stays in it, and the smallest trial that is as good."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from search_spaces.errors import StatisticsError
from tracking.statistics.one_standard_error import Contender, recommended
from tracking.statistics.race import Round, rounds, survivors


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


def test_a_race_needs_numbers_above_nothing() -> None:
    for wrong in ((0, 5, 16), (8, 0, 16), (8, 5, 0)):
        with pytest.raises(StatisticsError, match="must be 1 or more, not 0"):
            rounds(*wrong)


def test_the_mean_over_new_seeds_decides_and_infeasible_trials_are_behind() -> None:
    values = {4: (0.8, 0.9), 2: (0.8, 0.9), 7: (0.9, 0.9), 1: (0.99, None), 3: (None, float("nan"))}
    assert survivors(values, 5, "max") == (7, 2, 4, 1, 3)
    assert survivors(values, 2, "min") == (2, 4)
    with pytest.raises(StatisticsError, match="a value for each seed"):
        survivors({1: (0.5,), 2: (0.5, 0.5)}, 1, "max")
    with pytest.raises(StatisticsError, match="at least one trial"):
        survivors({}, 1, "max")


def wrong_on(*counts: int) -> np.ndarray:
    """Scores under seeds, each wrong on so many samples."""
    return np.array([np.where(np.arange(100) < count, 0, 1) for count in counts])


def test_the_smallest_within_one_standard_error_is_recommended() -> None:
    winner = Contender(1, wrong_on(4, 5), 1000, 10)
    # Wrong once more under one seed: 0.5 % behind, as is one standard error of the samples alone.
    as_good = Contender(2, wrong_on(4, 6), 500, 10)
    shorter = Contender(3, wrong_on(4, 6), 500, 5)
    worse = Contender(4, wrong_on(9, 10), 100, 1)
    larger = Contender(5, wrong_on(4, 5), 2000, 10)
    unknown = Contender(6, wrong_on(4, 5))
    assert recommended(winner, [], "max") == 1
    assert recommended(winner, [worse, larger, unknown], "max") == 1
    assert recommended(winner, [as_good, worse], "max") == 2
    assert recommended(winner, [as_good, shorter, worse], "max") == 3
    assert recommended(Contender(1, wrong_on(4, 5)), [as_good], "max") == 1


def test_losses_are_better_if_lower() -> None:
    losses = np.random.default_rng(0).random((2, 50))
    winner = Contender(1, losses, 1000)
    assert recommended(winner, [Contender(2, losses + 0.1, 10)], "min") == 1
    assert recommended(winner, [Contender(2, losses + 0.1, 10)], "max") == 2


def test_a_trial_that_left_early_borrows_the_variance_of_seeds() -> None:
    # Behind by 3 samples under the one seed: two standard errors of the samples are 1.7 each.
    winner = Contender(1, wrong_on(4, 4, 4), 1000)
    left = Contender(2, wrong_on(7), 10)
    assert recommended(winner, [left], "max") == 1
    # Another's differences vary by 5 samples from seed to seed.
    varied = Contender(3, wrong_on(4, 14, 9), 2000)
    assert recommended(winner, [left, varied], "max") == 2


def test_contenders_need_the_same_samples() -> None:
    winner = Contender(1, wrong_on(4, 5), 1000)
    with pytest.raises(StatisticsError, match="same samples"):
        recommended(winner, [Contender(2, np.ones((2, 50)), 10)], "max")
    with pytest.raises(StatisticsError, match="not NaN"):
        recommended(winner, [Contender(2, np.full((2, 100), np.nan), 10)], "max")
