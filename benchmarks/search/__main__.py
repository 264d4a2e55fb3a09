"""Compares searches: real engines and pruners, replayed on tables of trained trials.

    python -m benchmarks.search train --store tables --data mnist.npz   # once, an hour of CPU
    python -m benchmarks.search replay --store tables

`train` trains 600 configurations of each task, spread evenly, for 27 epochs each; the tasks named
"folds" cross-validate each with three folds.

`replay` lets engines search these tables in simulated time. A time of 1 is that of a full trial.
The target is the median of the best losses of 40 random full trials. A regret is the distance from
the table's best loss, as a share of the distance between the table's best and median losses; it is
a mean over seeds. "within" has the regret when a budget of time is spent. "after" has the regret
after a number of trials, pruned ones included, and "time" the time that they took.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table as Printed

from benchmarks.search.replay import Progress, Search, replay
from benchmarks.search.table import Table

TASKS = (
    "mnist",
    "convolutional",
    "regression",
    "imbalanced",
    "convolutional_folds",
    "regression_folds",
)
SEARCHES = {
    "random": Search("random"),
    "TPE": Search("tpe"),
    "TPE, each alone": Search("tpe,multivariate=false"),
    "TPE, each alone, median after 2": Search("tpe,multivariate=false", "median,n_warmup_steps=2"),
    "TPE, each alone, median after 5": Search("tpe,multivariate=false", "median,n_warmup_steps=5"),
    "TPE, each alone, median after 8": Search("tpe,multivariate=false", "median,n_warmup_steps=8"),
    "TPE, each alone, best 75 % after 2": Search(
        "tpe,multivariate=false", "percentile,percentile=75.0,n_warmup_steps=2"
    ),
    "TPE, each alone, best 65 % after 5": Search(
        "tpe,multivariate=false", "percentile,percentile=65.0,n_warmup_steps=5"
    ),
    "TPE, best 75 % after 5": Search("tpe", "percentile,percentile=75.0,n_warmup_steps=5"),
    "TPE, best 75 % after 8": Search("tpe", "percentile,percentile=75.0,n_warmup_steps=8"),
    "TPE, best 85 % after 5": Search("tpe", "percentile,percentile=85.0,n_warmup_steps=5"),
    "TPE, best 75 % after 2": Search("tpe", "percentile,percentile=75.0,n_warmup_steps=2"),
    "TPE, each alone, halving from 3": Search(
        "tpe,multivariate=false", "successive-halving,min_resource=3"
    ),
    "TPE, median": Search("tpe", "median"),
    "TPE, median after 2": Search("tpe", "median,n_warmup_steps=2"),
    "TPE, median after 5": Search("tpe", "median,n_warmup_steps=5"),
    "TPE, median after 8": Search("tpe", "median,n_warmup_steps=8"),
    "TPE, median after a fold": Search("tpe", "median,n_warmup_steps=27"),
    "TPE, best 85 % after a fold": Search("tpe", "percentile,percentile=85.0,n_warmup_steps=27"),
    "TPE, best 25 %": Search("tpe", "percentile"),
    "TPE, halving from 1": Search("tpe", "successive-halving"),
    "TPE, halving from 3": Search("tpe", "successive-halving,min_resource=3"),
    "TPE, halving from 3 by 2": Search(
        "tpe", "successive-halving,min_resource=3,reduction_factor=2"
    ),
    "TPE, Hyperband": Search("tpe", "hyperband"),
    "random, halving from 3": Search("random", "successive-halving,min_resource=3"),
    "Keras Tuner Hyperband": Search("keras-tuner:hyperband"),
    "Keras Tuner Bayesian": Search("keras-tuner:bayesian"),
}
_OF_RANDOM = 40


def _progresses(
    options: argparse.Namespace, task: str, name: str, seeds: Sequence[int]
) -> list[Progress]:
    table, fixed = Table(options.store, task), options.fixed
    budget = max(options.budgets) * (table.steps.shape[1] + fixed)
    return [
        replay(table, SEARCHES[name], seed, budget, fixed, options.workers, options.most)
        for seed in seeds
    ]


def _rows(options: argparse.Namespace, task: str) -> Iterator[list[str]]:
    table = Table(options.store, task)
    target = table.target(_OF_RANDOM)
    best, trial = table.curves.min(), table.steps.shape[1] + options.fixed
    seeds = range(1, options.seeds + 1)
    with ProcessPoolExecutor(options.processes) as processes:
        futures = {
            name: processes.submit(_progresses, options, task, name, seeds)
            for name in options.searches
        }
        for name, future in futures.items():
            progresses = future.result()
            reached = [p.reaches(target) * options.workers / trial for p in progresses]
            row = [name, f"{np.median(reached):.1f}"]
            for budget in options.budgets:
                time = budget * trial / options.workers
                row.append(f"{np.mean([p.at(time) - best for p in progresses]) / table.span:.3f}")
            for trials in options.budgets:
                ends = np.array([p.ends[min(trials, len(p.ends)) - 1] for p in progresses])
                losses = [p.at(end) - best for p, end in zip(progresses, ends, strict=True)]
                row.append(f"{np.mean(losses) / table.span:.3f}")
                row.append(f"{np.median(ends) * options.workers / trial:.0f}")
            yield row


def _replay(options: argparse.Namespace) -> None:
    console = Console()
    for task in options.tasks:
        table = Table(options.store, task)
        quality = table.quality
        printed = Printed(
            title=f"{task}: {len(table.points)} configurations, {table.curves.shape[1]} epochs; "
            f"{options.workers} workers, a trial costs {options.fixed:g} epochs more; surrogate: "
            f"{quality.explained:.0%} of the variance, rank correlation {quality.rank:.2f}"
        )
        columns = ["search", "to target", *(f"within {budget}" for budget in options.budgets)]
        for trials in options.budgets:
            columns += [f"after {trials}", "time"]
        for column in columns:
            printed.add_column(column, justify="left" if column == "search" else "right")
        for row in _rows(options, task):
            printed.add_row(*row)
        console.print(printed)


def _train(options: argparse.Namespace) -> None:
    studies = Path(__file__).with_name("tasks.py")
    environment = dict(os.environ)
    if options.data is not None:
        environment["KERASTUDY_BENCHMARK_DATA"] = str(options.data)
    for task in options.tasks:
        command = [sys.executable, "-m", "kerastudy", "launch", f"{studies}:{task}"]
        command += ["--trials", str(options.trials), "--store", str(options.store)]
        subprocess.run(command, check=True, env=environment)


def main() -> None:
    """Trains the tables, or replays searches on them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=["train", "replay"])
    parser.add_argument("--store", type=Path, required=True, help="The tables' store.")
    parser.add_argument("--data", type=Path, help="MNIST as an npz file, for `train`.")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--trials", type=int, default=600, help="Configurations of a table.")
    parser.add_argument("--searches", nargs="+", choices=SEARCHES, default=list(SEARCHES))
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--workers", type=int, default=1, help="Trials that train at once.")
    parser.add_argument(
        "--fixed", type=float, default=3.0, help="A trial's cost besides its epochs, in epochs."
    )
    parser.add_argument(
        "--budgets", nargs="+", type=int, default=(20, 40, 100), help="In full trials."
    )
    parser.add_argument("--most", type=int, help="A search's trials at most, pruned or not.")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    (_train if options.step == "train" else _replay)(options)


if __name__ == "__main__":
    main()
