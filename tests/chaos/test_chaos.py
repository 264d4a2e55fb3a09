"""Processes killed at random instants leave no trace in a study's record."""

from __future__ import annotations

from pathlib import Path

from killing import SECONDS_TO_END, Campaign, drawn, undisturbed
from study_record import differences

KILLS, TRIALS = 20, 30


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
