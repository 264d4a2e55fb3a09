"""A fault at every step of what a driver writes: launched again, the study is as if none had been.

The steps are not listed here: `faults` notes them while the code runs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import faults
import pytest
from user_commands import environment

# Every way for a trial to end, and a best one that takes the first one's place.
STATES = ["complete", "infeasible", "pruned", "complete"]
STUDY = {
    "trials": 4,
    "epochs": 3,
    "pruner": "successive-halving",
    "infeasible": [1],
    "seed": 2,
}
# Trials of several trainings, and a hyperparameter that only training shows.
REPEATS = {"trials": 1, "epochs": 1, "repeats": 2, "discovered": True, "joins": [0]}
# Trials that begin and end together, which are written in one transaction.
TOGETHER = {
    "trials": 6,
    "epochs": 2,
    "workers": 3,
    "deterministic": True,
    "infeasible": [1],
    "seed": 2,
}


class Faults:
    """The program that tries them: started once, as it forks for each case."""

    def __init__(self, folder: Path) -> None:
        support = Path(faults.__file__).parent
        self._errors = folder / "errors"
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, faults.__file__, str(folder / "store")],
                env=environment(PYTHONPATH=f"{support}:{support.parents[1]}"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def __call__(
        self, folder: Path, fault: str, part: str, settings: dict[str, Any], every: bool = False
    ) -> Any:
        plan = {"folder": str(folder), "fault": fault, "part": part, "settings": settings}
        plan["every"] = every
        return self._answer(plan)

    def simulated(self, folder: Path, seeds: Sequence[int]) -> Any:
        """Runs the simulated study of each seed."""
        return self._answer({"folder": str(folder), "seeds": list(seeds)})

    def _answer(self, plan: dict[str, Any]) -> Any:
        assert self._process.stdin and self._process.stdout
        print(json.dumps(plan), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, self._errors.read_text()
        return json.loads(answer)

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    started = Faults(tmp_path_factory.mktemp("faults"))
    yield started
    started.close()


def told(found: Any) -> str:
    return "\n".join(f"{at}: {what}" for at, what in found["failures"].items())


# One in which much happens.
SEEDS = [6]


@pytest.mark.parametrize(
    "seeds", [SEEDS, pytest.param([*range(18), 1010, 1012], marks=pytest.mark.exhaustive)]
)
def test_all_kinds_of_faults_on_simulated_workers(
    run: Faults, tmp_path: Path, seeds: Sequence[int]
) -> None:
    """Seeded ones, in simulated time; more of them by `python -m tests.chaos --simulated`."""
    found = run.simulated(tmp_path, seeds)
    assert found["happened"]["interrupted trainings"] > len(seeds)
    assert {"kill", "read-only"} <= set(found["happened"])
    assert not found["failures"], told(found)


# At every step, or at the last one for each table and folder.
EVERY = [False, pytest.param(True, marks=pytest.mark.exhaustive)]


@pytest.mark.parametrize("every", EVERY)
def test_killed_at_any_step(run: Faults, tmp_path: Path, every: bool) -> None:
    found = run(tmp_path, "kill", "all", STUDY, every)
    assert [t["result"]["state"] for t in found["record"]["trials"].values()] == STATES
    assert len(found["record"]["champion"]) == 1
    # Far fewer would mean that the steps are not seen any more.
    assert len(found["tried"]) > (25 if every else 9)
    assert not found["failures"], told(found)


@pytest.mark.parametrize("every", EVERY)
def test_killed_again_while_it_goes_on(run: Faults, tmp_path: Path, every: bool) -> None:
    found = run(tmp_path, "kill twice", "all", STUDY, every)
    assert len(found["tried"]) > (3 if every else 1)
    assert not found["failures"], told(found)


@pytest.mark.exhaustive
def test_killed_at_any_step_of_repeated_trials(run: Faults, tmp_path: Path) -> None:
    found = run(tmp_path, "kill", "trials", REPEATS)
    assert [len(t["fits"]) for t in found["record"]["trials"].values()] == [2]
    assert len(found["tried"]) >= 15
    assert not found["failures"], told(found)


@pytest.mark.exhaustive
def test_killed_at_any_step_of_trials_that_end_together(run: Faults, tmp_path: Path) -> None:
    found = run(tmp_path, "kill", "trials", TOGETHER)
    assert len(found["record"]["trials"]) == TOGETHER["trials"]
    ends = [
        step for step in found["tried"] if "commit journal.db" in step and "UPDATE trials" in step
    ]
    assert 0 < len(ends) < TOGETHER["trials"], found["tried"]
    assert not found["failures"], told(found)


@pytest.mark.parametrize("every", EVERY)
def test_power_that_fails_takes_the_last_commits_along(
    run: Faults, tmp_path: Path, every: bool
) -> None:
    """Files are then ahead of the record; trials that it lacks run again, to the same bits."""
    found = run(tmp_path, "power", "all", STUDY, every)
    assert len(found["tried"]) > (4 if every else 2)
    assert not found["failures"], told(found)


def test_killed_while_the_store_is_made(run: Faults, tmp_path: Path) -> None:
    found = run(tmp_path, "kill", "store", {"trials": 1, "epochs": 1})
    assert any(step.endswith(" faults/journal.db") for step in found["tried"])
    assert not found["failures"], told(found)


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_writes_that_are_refused_are_told_in_a_line(
    run: Faults, tmp_path: Path, fault: str, every: bool
) -> None:
    """And when they are taken again, the study goes on as if nothing had happened."""
    found = run(tmp_path, fault, "all", STUDY, every)
    assert len(found["tried"]) > ((12 if every else 3) if fault == "full" else 1)
    assert not found["failures"], told(found)
