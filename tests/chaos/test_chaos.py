"""Processes killed at random instants leave no trace in a study's record."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from killing import REPEATABLE, SECONDS_TO_END, Campaign, Kill, drawn, undisturbed
from study_record import differences

KILLS, TRIALS = 20, 30


@pytest.mark.exhaustive
def test_a_study_whose_processes_are_killed_comes_to_the_same_record(tmp_path: Path) -> None:
    """Trial by trial: values, every epoch's metrics, states, and the bytes of the weights."""
    expected = undisturbed(tmp_path / "undisturbed", TRIALS)
    states = [trial["result"]["state"] for trial in expected["trials"].values()]
    assert len(states) == TRIALS
    assert set(states) == {"complete", "pruned", "infeasible"}
    campaign = Campaign(tmp_path / "killed", TRIALS)
    campaign.run(drawn(KILLS, TRIALS, seed=0))
    assert campaign.done.total() == KILLS
    assert 0 < campaign.slowest < SECONDS_TO_END
    found = [*differences(expected, campaign.record()), *campaign.left_behind()]
    assert not found, "\n".join(found)


@pytest.mark.exhaustive
def test_two_workers_come_to_the_same_record(tmp_path: Path) -> None:
    """Though which trial ends first, and what dies when, is a matter of timing."""
    places = [("worker", 1, 0.3), ("driver", 2, 0.5), ("all", 3, 0.2), ("worker", 5, 0.1)]
    kills = [Kill(*place) for place in places]  # type: ignore[arg-type]
    trials, options = 6, REPEATABLE
    expected = undisturbed(tmp_path / "undisturbed", trials, 2, options)
    campaign = Campaign(tmp_path / "killed", trials, 2, options)
    campaign.run(kills)
    assert campaign.done == Counter(kill.victim for kill in kills)
    assert 0 < campaign.slowest < SECONDS_TO_END
    found = [*differences(expected, campaign.record()), *campaign.left_behind()]
    assert not found, "\n".join(found)
