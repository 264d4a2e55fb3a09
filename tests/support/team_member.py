"""A team's member, whose study trains nothing: `team_member.py STORE NAME ADDRESS TRIALS`.

What is sent to the address is sent by this process.
"""

from __future__ import annotations

import sys
from pathlib import Path

from scripted import ScriptedExecutor, describe, run_study, save_made_up_model

from search_spaces import KerastudyError, SearchSpace
from studies.progress import NoProgress
from tracking.mlflow import bring_up_to_date
from tracking.records import TrialSpec


class Executor(ScriptedExecutor):
    def save_champion(
        self, spec: TrialSpec, checkpoint: Path, space: SearchSpace, folder: Path
    ) -> dict[str, float]:
        return save_made_up_model(folder, checkpoint)


class Said(NoProgress):
    def say(self, text: str) -> None:
        print(text, flush=True)


def main() -> int:
    store, name, address, trials = sys.argv[1:]
    executor = Executor(describe(name=name, pruner="median", trials=int(trials)), infeasible={2})
    try:
        history = run_study(
            executor, store=store, progress=Said(), tracking_uri=address, report=False
        )
        bring_up_to_date(history.store, history.folder, print)
    except KerastudyError as error:
        print(f"refused: {error}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
