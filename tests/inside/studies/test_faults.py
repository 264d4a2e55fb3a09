"""A fault at every step of what a driver writes: launched again, the study is as if none had been.

The steps are not listed here: `faults` notes them while the code runs. Processes are really killed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faults
import pytest
from user_commands import environment

Faults = Callable[..., Any]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    """Gives orders to the program: started once, as it forks for each case."""
    folder, support = tmp_path_factory.mktemp("faults"), Path(faults.__file__).parent
    with (folder / "errors").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, faults.__file__, str(folder / "store")],
            env=environment(PYTHONPATH=f"{support}:{support.parents[1]}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )

    def answer(**order: Any) -> Any:
        assert process.stdin and process.stdout
        print(json.dumps(order), file=process.stdin, flush=True)
        line = process.stdout.readline()
        assert line, (folder / "errors").read_text()
        found = json.loads(line)
        told = "\n".join(f"{at}: {what}" for at, what in found["failures"].items())
        assert not found["failures"], told
        return found

    yield answer
    process.communicate()


# Much happens in study 6.
@pytest.mark.parametrize(
    "seeds", [[6], pytest.param([*range(18), 1010, 1012], marks=pytest.mark.exhaustive)]
)
def test_all_kinds_of_faults_on_simulated_workers(
    run: Faults, tmp_path: Path, seeds: list[int]
) -> None:
    """Seeded ones, in simulated time; more of them by `python -m tests.chaos --simulated`."""
    happened = run(folder=str(tmp_path), seeds=seeds)["happened"]
    assert happened["interrupted trainings"] > len(seeds)
    assert {"kill", "read-only"} <= set(happened)


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize(
    ("fault", "least"), [("kill", 9), ("power", 9), ("full", 6), ("read-only", 2)]
)
def test_a_fault_at_any_step(
    run: Faults, tmp_path: Path, fault: str, least: int, every: bool
) -> None:
    """After lost power, the record lacks its end, and files are ahead; refused writes are told."""
    found = run(folder=str(tmp_path), fault=fault, every=every, new_store=False)
    assert {*found["states"]} == {"complete", "pruned", "infeasible"}
    assert found["champions"] == 1
    # Far fewer would mean that the steps are not seen any more.
    assert len(found["tried"]) >= (2 * least if every else least)


def test_killed_while_the_store_is_made(run: Faults, tmp_path: Path) -> None:
    found = run(folder=str(tmp_path), fault="kill", every=True, new_store=True)
    assert any(step.endswith(" faults/journal.db") for step in found["tried"])
