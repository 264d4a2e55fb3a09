"""Measures the time until a search finds a good model, by kerastudy and its peers.

    python -m benchmarks.time_to_target --data mnist.npz
    python -m benchmarks.time_to_target --data mnist.npz --work dense --seeds 3 --limit 200

The target is the median best validation accuracy of 100 random full trials, drawn from --random
trials that kerastudy trains. Each search begins with its command, so that start-up counts, and ends
when a trial has reached the target. A search that takes longer than --limit seconds is ended, and
counts as --limit seconds. Figures are medians over the seeds.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.table import Table

import kerastudy as ks
from benchmarks.peers.job import Job, read_record
from benchmarks.peers.measuring import Measured, measure
from benchmarks.peers.systems import DATA_VARIABLE, OURS, STUDIES
from benchmarks.peers.works import OBJECTIVE, WORKS, Work
from benchmarks.peers.works_data import SIZES, prepare
from benchmarks.time_to_target.peers import SEARCHES

_OF_RANDOM = 100
_MOST_TRIALS = 2_000
_ENDED_BY_LIMIT = -signal.SIGKILL


def _launch(job: Job, *options: str) -> list[str]:
    return [
        *(sys.executable, "-m", "kerastudy", "launch", f"{STUDIES}:{job.work.name}"),
        *("--trials", str(job.trials), "--seed", str(job.seed), "--store", "store", *options),
    ]


def _ends(job: Job) -> list[tuple[float, float]]:
    """Returns when each trial of kerastudy's ended, and its best value."""
    history = ks.read_study(job.work.name, store=job.folder / "store")
    return sorted(
        (trial.ended / 1000, trial.best.metrics[OBJECTIVE])
        for trial in history.trials
        if trial.best is not None and trial.ended is not None
    )


class Measurements:
    """Runs the searches of one work."""

    def __init__(self, options: argparse.Namespace, work: Work, folder: Path) -> None:
        self._work, self._folder, self._limit = work, folder, options.limit
        self._data = folder / "data.npz"
        prepare(work.name, self._data, options.data, SIZES)
        self._environment = {**os.environ, DATA_VARIABLE: str(self._data)}
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        self._environment["PYTHONPATH"] = path

    def _job(self, name: str, trials: int, seed: int) -> Job:
        folder = self._folder / f"{name}-{seed}"
        folder.mkdir()
        return Job(self._work, self._data, folder, trials, self._work.epochs, seed)

    def target(self, trials: int) -> float:
        """Returns the median best value of random full trials."""
        job = self._job("random", trials, 0)
        self._run(job, _launch(job, "--engine", "random", "--pruner", "none"), limit=None)
        values = [value for _, value in _ends(job)]
        draws = np.random.default_rng(0).choice(values, (2_000, _OF_RANDOM))
        return float(np.median(draws.max(axis=1)))

    def reached(self, system: str, target: float, seed: int) -> tuple[float, float]:
        """Returns the seconds until a search reached the target, and the CPU seconds."""
        job = self._job(system, _MOST_TRIALS, seed)
        if system == OURS:
            command = _launch(job, "--engine", "tpe", "--stop-at", str(target))
        else:
            command = [sys.executable, "-m", "benchmarks.time_to_target.peers"]
            command += [system, str(target), *job.arguments()]
        measured = self._run(job, command, limit=self._limit)
        try:
            ends = (
                _ends(job)
                if system == OURS
                else [(t.ended, t.best) for t in read_record(job.folder)]
            )
        except FileNotFoundError:
            ends = []
        reached = [end for end, value in ends if value >= target]
        if not reached:
            return self._limit, measured.cpu_seconds
        return reached[0] - measured.samples[0][0], measured.cpu_until(reached[0])

    def _run(self, job: Job, command: list[str], limit: float | None) -> Measured:
        if limit is not None:
            command = ["timeout", "--signal=KILL", str(limit), *command]
        log = job.folder.with_suffix(".log")
        measured = measure(command, folder=job.folder, environment=self._environment, log=log)
        if measured.code not in (0, _ENDED_BY_LIMIT):
            sys.exit(f"{' '.join(command)} ended with {measured.code}:\n{log.read_text()[-2000:]}")
        return measured


def main() -> None:
    """Measures, and prints a table for each work."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="MNIST as an npz file.")
    parser.add_argument("--work", nargs="+", choices=WORKS, default=["dense", "structures"])
    names = [OURS, *SEARCHES]
    parser.add_argument("--systems", nargs="+", choices=names, default=names)
    parser.add_argument("--seeds", type=int, default=9)
    parser.add_argument("--first-seed", type=int, default=1, help="To add seeds to earlier ones.")
    parser.add_argument("--random", type=int, default=400, help="Random trials for the target.")
    parser.add_argument("--target", type=float, help="The target, if it is known.")
    parser.add_argument("--limit", type=float, default=600, help="Seconds of a search at most.")
    options = parser.parse_args()
    options.data = options.data.resolve()
    for work in options.work:
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            measurements = Measurements(options, WORKS[work], Path(folder))
            target = options.target or measurements.target(options.random)
            table = Table(title=f"{work}: {OBJECTIVE} of {target:.4f}, {options.seeds} seeds")
            for column in ("search", "seconds", "from", "to", "CPU s", "not reached"):
                table.add_column(column, justify="left" if column == "search" else "right")
            times: dict[str, list[tuple[float, float]]] = {name: [] for name in options.systems}
            for seed in range(options.first_seed, options.first_seed + options.seeds):
                for system in options.systems:
                    times[system].append(measurements.reached(system, target, seed))
                    print(work, system, seed, *times[system][-1], file=sys.stderr, flush=True)
            for system, pairs in times.items():
                seconds, cpu = np.array(pairs).T
                table.add_row(
                    system if system == OURS else SEARCHES[system][0],
                    *(
                        f"{figure:.1f}"
                        for figure in (np.median(seconds), min(seconds), max(seconds))
                    ),
                    f"{np.median(cpu):.1f}",
                    str(int(np.sum(seconds >= options.limit))),
                )
            Console().print(table)


if __name__ == "__main__":
    main()
