"""Processes killed at random instants leave no trace in a study's record."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from killing import REPEATABLE, SECONDS_TO_END, Campaign, Kill, drawn, undisturbed
from study_record import differences_of_trainings

WORKERS_OF_TWO = [("worker", 1, 0.3), ("driver", 2, 0.5), ("all", 3, 0.2), ("worker", 5, 0.1)]


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("trials", "workers", "options", "kills"),
    [
        (30, 1, (), drawn(20, 30, seed=0)),
        # Which trial ends first, and what dies when, is a matter of timing.
        (6, 2, REPEATABLE, [Kill(*place) for place in WORKERS_OF_TWO]),  # type: ignore[arg-type]
    ],
)
def test_a_study_whose_processes_are_killed_comes_to_the_same_record(
    tmp_path: Path, trials: int, workers: int, options: tuple[str, ...], kills: list[Kill]
) -> None:
    """Trial by trial: values, every epoch's metrics, states, and the bytes of the weights."""
    expected = undisturbed(tmp_path / "undisturbed", trials, workers, options)
    states = [trial["result"]["state"] for trial in expected["trials"].values()]
    assert len(states) == trials
    assert trials < 30 or set(states) == {"complete", "pruned", "infeasible"}
    campaign = Campaign(tmp_path / "killed", trials, workers, options)
    campaign.run(list(kills))
    victims = Counter(kill.victim for kill in kills if kill.victim != "pause")
    assert campaign.done == victims
    assert 0 < campaign.slowest < SECONDS_TO_END
    found = differences_of_trainings(expected, campaign.record(), workers)
    found += campaign.left_behind()
    assert not found, "\n".join(found)
