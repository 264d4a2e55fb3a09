"""The best of the trials, and the rounds of a race."""

import dataclasses
import itertools
import math

import pytest
from handmade import LOSS, trial_record
from hypothesis import given
from hypothesis import strategies as st

from studies.champion import Round, rounds, survivors
from tracking.records import Objective, best_trial, ranked

ACCURACY = Objective("val_accuracy", "max")


def numbers(trials: list) -> list[int]:
    return [trial.number for trial in trials]


@pytest.mark.parametrize("objective", [LOSS, ACCURACY])
def test_ties_go_to_the_lower_loss_the_earlier_epoch_the_first_trial(objective: Objective) -> None:
    trials = []
    for number, (loss, epoch) in enumerate(
        [(0.4, 1), (0.2, 8), (math.nan, 7), (0.2, 6), (None, 5), (0.3, 2), (0.2, 6)]
    ):
        trial = trial_record(number, 0.5, epoch=epoch)
        metrics = {} if loss is None else {"val_loss": loss}
        best = dataclasses.replace(trial.best, metrics=metrics)
        trials.append(trial.with_result(dataclasses.replace(trial.result, best=best)))
    for order in (trials, trials[::-1], trials[3:] + trials[:3]):
        # If the loss is missing or NaN, the earlier epoch counts.
        assert numbers(ranked(order, objective)) == [3, 6, 1, 5, 0, 4, 2]


def test_a_trial_that_did_not_end_by_itself_does_not_count() -> None:
    trials = [
        trial_record(0, 0.5),
        trial_record(1, None, state="infeasible"),
        trial_record(2, 0.125, state="interrupted"),
        trial_record(3, None, state="running"),
    ]
    assert numbers(ranked(trials, LOSS)) == [0]
    assert best_trial(trials[1:], LOSS) is None
    assert best_trial([None, trials[0], None], LOSS) == trials[0]


def test_the_race_of_sixteen() -> None:
    assert rounds(8, 5, 16) == (Round(8, 1), Round(4, 1), Round(2, 2))


@given(top=st.integers(1, 20), seeds=st.integers(1, 9), budget=st.integers(1, 100))
def test_any_race_keeps_to_its_limits(top: int, seeds: int, budget: int) -> None:
    plan = rounds(top, seeds, budget)
    assert sum(stage.trainings for stage in plan) <= budget
    assert sum(stage.seeds for stage in plan) <= seeds
    assert plan[0].racers <= top
    racers = [stage.racers for stage in plan]
    assert all(after < before for before, after in itertools.pairwise(racers))
    assert all(stage.racers >= 1 and stage.seeds >= 1 for stage in plan)


def test_the_mean_over_new_seeds_decides_and_infeasible_trials_are_behind() -> None:
    values = {4: (0.8, 0.9), 2: (0.8, 0.9), 7: (0.9, 0.9), 1: (0.99, None), 3: (None, float("nan"))}
    assert survivors(values, 5, "max") == (7, 2, 4, 1, 3)
    assert survivors(values, 2, "min") == (2, 4)
