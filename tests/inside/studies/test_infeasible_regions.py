"""Engines keep away from where trials turn out infeasible.

Without such trials, TPE is Optuna's own: see `test_first_values`.
"""

import dataclasses
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import scripted
from conformance.engine import Played, ask, make
from scripted import run_study

import kerastudy as ks
from search_spaces import SearchSpace
from tracking.records import Objective, TrialResult, TrialSpec

Values = Mapping[str, Any]

COMMON = (
    ks.Float("learning_rate", 1e-5, 1e-1, scale="log"),
    ks.Int("units", 16, 512),
    ks.Int("layers", 1, 8),
    ks.Choice("optimizer", ["adam", "sgd", "rmsprop", "lion"]),
)
FLAT = SearchSpace(*COMMON, ks.dropout())
CONDITIONAL = SearchSpace(*COMMON, ks.Float("momentum", 0.0, 0.99, when={"optimizer": "sgd"}))
# Each of these functions fails on half of the space.
HALVES: dict[str, Callable[[Values], bool]] = {
    "a float in log scale": lambda v: v["learning_rate"] > 1e-3,
    "a product": lambda v: v["units"] * v["layers"] > 930,
}


def towards(values: Values) -> float:
    """Returns an objective that gets better towards the failing half, and in it."""
    rate = math.log10(values["learning_rate"])
    kind = 0.2 * (values["optimizer"] != "lion")
    return kind - rate / 4 - values["units"] / 500 - values["layers"] / 8


class Study(Played):
    """A study played without training, some of whose trials fail."""

    def __init__(self, space: SearchSpace, fails: Callable[[Values], bool], seed: int = 0) -> None:
        engine = make("optuna:tpe", space=space, seed=seed)
        super().__init__(engine, value_of=lambda values, epoch: towards(values))
        self.fails = fails

    def proposed(self, trials: int, workers: int = 1) -> list[Values]:
        """Plays trials, some of them side by side. Returns the proposed values."""
        proposals = []
        for number in range(trials + workers - 1):
            if number < trials:
                proposals.append(ask(self.engine))
            if number >= workers - 1:
                ended = proposals[number - workers + 1]
                self.finish(ended, self.fails(ended.values))
        return [proposal.values for proposal in proposals]


@pytest.mark.parametrize(("half", "workers"), [("a float in log scale", 1), ("a product", 4)])
def test_later_trials_of_tpe_fail_less_often(half: str, workers: int) -> None:
    """Optuna's own TPE still fails 88 % and 82 % as often in later trials as in earlier ones."""
    first = later = 0
    for seed in range(4):
        study = Study(CONDITIONAL, HALVES[half], seed)
        failed = list(map(HALVES[half], study.proposed(60, workers)))
        first += sum(failed[:30])
        later += sum(failed[30:])
    assert later < first / 2


@pytest.mark.parametrize("space", [FLAT, CONDITIONAL], ids=["flat", "conditional"])
def test_where_all_has_failed_tpe_looks_elsewhere(space: SearchSpace) -> None:
    """TPE does not stay where it has been while no trial was feasible."""
    proposed = Study(space, lambda values: True).proposed(40)[20:]
    units = [space["learning_rate"].to_unit(values["learning_rate"]) for values in proposed]
    for quarter in range(4):
        assert any(quarter / 4 <= unit <= (quarter + 1) / 4 for unit in units)
    assert len({values["optimizer"] for values in proposed}) >= 3


def test_pruners_pass_infeasible_trials_over() -> None:
    """Five trials are enough for a median, but not if they came to nothing."""
    engine = make("optuna:random", "median", FLAT)
    for number in range(6):
        assert engine.ask() is not None
        assert not engine.report(number, 1, 0.1)
        engine.tell(number, TrialResult(number, "infeasible", reason="made up"))
    assert engine.ask() is not None
    assert not engine.report(6, 1, 9.0)


@pytest.mark.parametrize("engine", ["optuna:tpe", "optuna:cma-es"])
def test_objectives_near_the_end_of_all_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """Engines go on with them; the record has the true values."""
    ordinary = scripted.loss

    def loss(spec: TrialSpec, epoch: int) -> float:
        extremes = {1: 1e300, 2: -1e300, 3: sys.float_info.max, 4: -sys.float_info.max}
        return extremes.get(spec.number % 6, ordinary(spec, epoch))

    monkeypatch.setattr(scripted, "loss", loss)
    objective = Objective("val_loss", "max")
    space = SearchSpace(ks.Float("rate", 1e-4, 1e-1, scale="log"), ks.Int("units", 4, 64))
    description = scripted.describe(engine=engine, objective=objective, space=space)
    for trials in (10, 16):
        executor = scripted.ScriptedExecutor(dataclasses.replace(description, trials=trials))
        history = run_study(executor, store=tmp_path / "store")
    assert history.counts()["complete"] == 16
    values = {trial.best.value for trial in history.trials if trial.best}
    assert {1e300, -1e300, sys.float_info.max, -sys.float_info.max} <= values
