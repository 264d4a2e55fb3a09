"""Keras Tuner's Hyperband behind the Engine seam: brackets, promotions, infeasible trials."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
from conformance.engine import OBJECTIVE, Played, ask, curve, proposed, tell
from conformance.engine import make as make_engine

import kerastudy as ks
from search_spaces import SearchSpace
from studies.definition import HYPERBAND, hyperband_trials
from studies.engines import Engine
from tracking.records import Objective, Proposal


def make(epochs: int = 9, objective: Objective = OBJECTIVE, **settings: Any) -> Engine:
    return make_engine(HYPERBAND, epochs=epochs, objective=objective, **settings)


def epochs_of(played: Played) -> list[int]:
    return [record.spec.epochs for record in played.records]


def test_a_round_is_as_long_as_said() -> None:
    for epochs in (2, 3, 4, 9, 10, 30):
        played = Played(make(epochs=epochs))
        trials = hyperband_trials(epochs)
        played.play(trials + 1)
        brackets = [json.loads(r.engine_state["tuner/bracket"]) for r in played.records]
        # The last bracket only trains to the end; then the first begins anew.
        assert brackets[-2] == 0
        assert brackets[-1] == brackets[0] == max(brackets)
        assert max(epochs_of(played)) == epochs


@pytest.mark.parametrize(
    "infeasible, rungs",
    [
        # Keras Tuner makes 9, 2, 0 of 9, 3, 1 for one that fails.
        ([3], [1] * 9 + [3] * 3 + [9]),
        ([0, 1, 2, 3, 4, 5, 6], [1] * 9 + [3] * 2 + [9]),
        ([*range(8)], [1] * 9 + [3] + [9]),
        ([*range(9)], [1] * 9),
        # All that were promoted: none is left to go on.
        ([9, 10, 11], [1] * 9 + [3] * 3),
        ([9, 11], [1] * 9 + [3] * 3 + [9]),
        ([*range(7), 9], [1] * 9 + [3] * 2 + [9]),
    ],
)
def test_an_infeasible_trial_costs_its_bracket_nothing(
    infeasible: Sequence[int], rungs: list[int]
) -> None:
    played = Played(make())
    played.play(len(rungs) + 1, infeasible)
    assert epochs_of(played)[:-1] == rungs
    # Then the next bracket, which begins with three epochs.
    assert played.records[-1].spec.epochs == 3
    assert played.records[-1].spec.goes_on_from is None


def test_the_best_go_on_in_the_objectives_own_direction() -> None:
    """Keras Tuner infers that val_f1_score is to be minimized."""
    engine = make(objective=Objective("val_f1_score", "max"))
    for score in (0.3, 0.9, 0.1, 0.8, 0.2, 0.7, 0.4, 0.6, 0.5):
        tell(engine, ask(engine).number, score)
    assert [ask(engine).goes_on_from for _ in range(3)] == [1, 3, 5]


def test_given_takes_the_next_place_of_a_first_rung() -> None:
    through, with_given = (Played(make()) for _ in range(2))
    wanted = through.play(9)
    for number in range(9):
        proposal = with_given.ask({"rate": 1e-4, "units": 64} if number == 4 else None)
        assert proposal is not None and proposal.epochs == 1
        if number != 4:
            assert proposed(proposal) == wanted[number]
        with_given.finish(proposal)
    # Before what is about to be promoted, in the next bracket.
    early = with_given.ask({"rate": 1e-4, "units": 63})
    assert early is not None
    assert (early.epochs, early.goes_on_from, early.values["units"]) == (3, None, 63)
    with_given.finish(early)
    promoted = with_given.ask()
    assert promoted is not None and promoted.goes_on_from is not None


def test_an_exhausted_space_still_has_its_best_go_on() -> None:
    space = SearchSpace(ks.Int("units", 1, 4), ks.Fixed("rate", 0.01))
    played = Played(make(space=space))
    while (proposal := played.ask()) is not None:
        played.finish(proposal)
    assert epochs_of(played) == [1] * 4 + [3] * 3 + [9]


@pytest.mark.parametrize("seed", range(4))
def test_hyperband_is_restored_at_any_point(seed: int) -> None:
    """Whatever is infeasible, and in whatever order trials that run side by side end."""
    drawn = random.Random(seed)
    infeasible = {number for number in range(30) if drawn.random() < 0.4}
    played = Played(make())
    running: list[Proposal] = []
    for number in range(30):
        if len(running) == 3:
            ended = running.pop(drawn.randrange(3))
            played.finish(ended, ended.number in infeasible)
        known = {r.number: r for r in played.records}
        known.update({p.number: played.unfinished(p) for p in running})
        resumed = make()
        resumed.restore([known[n] for n in sorted(known)], curve)
        for record in played.records:
            assert resumed.may_continue(record.number) == played.engine.may_continue(record.number)
        proposal = played.ask()
        assert proposal is not None and proposal.number == number
        assert resumed.ask() == proposal
        running.append(proposal)
