"""The job that a peer's process gets, and the record that it writes."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.works import WORKS, Trial, Work

_RECORD = "trials.json"


@dataclass(frozen=True)
class Job:
    """One command: some trials of one work.

    Attributes:
        work: The work.
        data: The file that `works_data.prepare` has written.
        folder: An empty folder for whatever the system writes; also its current folder.
        trials: Trials to run.
        epochs: Epochs of each trial.
        seed: The search's seed.
    """

    work: Work
    data: Path
    folder: Path
    trials: int
    epochs: int
    seed: int

    def arguments(self) -> list[str]:
        """Returns the job as a command line's arguments."""
        return [
            *("--work", self.work.name, "--data", str(self.data), "--folder", str(self.folder)),
            *("--trials", str(self.trials), "--epochs", str(self.epochs)),
            *("--seed", str(self.seed)),
        ]

    @classmethod
    def from_command_line(cls) -> Job:
        """Returns the job that the command line's arguments describe."""
        parser = argparse.ArgumentParser()
        parser.add_argument("--work", choices=WORKS, required=True)
        parser.add_argument("--data", type=Path, required=True)
        parser.add_argument("--folder", type=Path, required=True)
        for name in ("--trials", "--epochs", "--seed"):
            parser.add_argument(name, type=int, required=True)
        options = parser.parse_args()
        return cls(**{**vars(options), "work": WORKS[options.work]})

    @property
    def tracking_uri(self) -> str:
        """MLflow's database in the folder."""
        return f"sqlite:///{self.folder / 'mlflow.db'}"


class Recorder:
    """Notes when each trial ended, and writes the record at the end."""

    def __init__(self) -> None:
        self._trials: list[Trial] = []

    def trial_ended(self, values: Mapping[str, Any], epochs: int, best: float) -> None:
        """Notes a trial whose record and checkpoint are written."""
        self._trials.append(Trial(time.time(), dict(values), epochs, float(best)))

    def write(self, folder: Path) -> None:
        """Writes the record."""
        trials = [dataclasses.asdict(trial) for trial in self._trials]
        (folder / _RECORD).write_text(json.dumps(trials), encoding="utf-8")


def read_record(folder: Path) -> Sequence[Trial]:
    """Reads the record of `Recorder.write`."""
    trials = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    return [Trial(**trial) for trial in trials]
