"""Measures a worker's memory after 50 trials, and after 1,000 of 20 structures.

    python -m benchmarks.memory [--trials 1000] [--structures 20] [--kept N] [--trainer plain]
        [--json]

`run_trial` runs small trials, as in a worker. The structures (numbers of units) take turns. The
goal: at the end, at most 1.3 times the memory after 50 trials. If `--kept` is below the number of
structures, each trial traces a program and drops another. With the plain trainer, each trial traces
a program.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import kerastudy as ks
from search_spaces import Hyperparameters, SearchSpace
from tracking.records import Decision, EpochResult, Objective, TrialSpec, TrialTask

_FIRST = 50


def build(hp: Hyperparameters) -> Any:
    """Returns a small classifier with batch normalization and dropout."""
    import keras

    model = keras.Sequential(
        [
            keras.layers.Input((20,)),
            keras.layers.Dense(hp["units"], activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(hp["dropout"]),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.Adam(hp["learning_rate"])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def measure(
    trials: int, structures: int, most_programs: int | None, by_fit: bool
) -> dict[str, float]:
    """Returns the memory in MiB after 50 trials and at the end, their ratio, and traced programs.

    Args:
        trials: How many trials run; more than 50.
        structures: How many structures there are.
        most_programs: The most programs to keep; None takes the trainer's own limit.
        by_fit: Whether `model.fit` trains.
    """
    import numpy as np

    from studies.training import CompiledTrainer, configure_tensorflow, run_trial

    configure_tensorflow(1)
    gc.set_threshold(50_000)  # A worker sets it, too.
    random = np.random.default_rng(0)
    x, y = random.normal(size=(300, 20)).astype("float32"), np.arange(300) % 3
    space = SearchSpace(
        ks.Int("units", 8, 8 + structures - 1), ks.dropout(0.1, 0.5), ks.learning_rate()
    )
    data = ks.datasets.arrays(x, y, validation=100, test=None)
    study = ks.Study("memory", data=data, build=build, space=space)
    compiling = CompiledTrainer() if most_programs is None else CompiledTrainer(most_programs)
    trainer = compiling.plain if by_fit else compiling
    splits, objective = data.load(), Objective("val_loss", "min")
    resident = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(trials):
            values = {
                "units": 8 + number % structures,
                "dropout": float(random.uniform(0.1, 0.5)),
                "learning_rate": float(10 ** random.uniform(-4, -2)),
            }
            spec = TrialSpec(number, 1, values, number, 2, 32, 1, "", objective)
            task = TrialTask(spec, space, Path(folder) / "best.weights.h5")
            run_trial(study, splits, task, _go_on, trainer)
            if number + 1 in (_FIRST, trials):
                resident[number + 1] = resident_mebibytes()
    return {
        f"after_{_FIRST}_mebibytes": resident[_FIRST],
        f"after_{trials}_mebibytes": resident[trials],
        "ratio": resident[trials] / resident[_FIRST],
        "programs_traced": compiling.programs.made,
    }


def _go_on(epoch: EpochResult) -> Decision:
    return "continue"


def resident_mebibytes() -> float:
    """Returns the memory of this process that is resident, in MiB. Linux only."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--structures", type=int, default=20)
    parser.add_argument("--kept", type=int, default=None)
    parser.add_argument("--trainer", choices=("compiled", "plain"), default="compiled")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.trials <= _FIRST or options.structures < 1:
        parser.error(f"--trials must be more than {_FIRST}, and --structures at least 1")
    figures = measure(options.trials, options.structures, options.kept, options.trainer == "plain")
    if options.json:
        json.dump(figures, sys.stdout, indent=2)
        return
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):24} {value:8.2f}")


if __name__ == "__main__":
    main()
