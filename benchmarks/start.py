"""Measures a launch up to its first trial, and compares it with only importing TensorFlow.

    python -m benchmarks.start [--workers 2] [--times 5] [--json]

It launches the catalog's digits in a new store. In turn, it starts as many processes as the launch
has workers, all at once, which only import TensorFlow. The first trial begins when a worker gets
it; its first epoch ends after its program was traced. The goal: the first trial begins within 1.3
times the time of the processes that only import.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def bare(processes: int) -> float:
    """Returns the wall-clock seconds until all processes have imported TensorFlow."""
    began = time.time()
    command = [sys.executable, "-c", "import tensorflow"]
    running = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(processes)
    ]
    for process in running:
        if process.wait() != 0:
            raise RuntimeError("TensorFlow can't be imported")
    return time.time() - began


def launched(workers: int) -> tuple[float, float]:
    """Returns the wall-clock seconds until a first trial began, and until a first epoch ended."""
    import kerastudy as ks

    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        began = time.time()
        command = [sys.executable, "-m", "kerastudy", "launch", "digits"]
        subprocess.run(
            [*command, "--trials", f"{workers}", "--workers", f"{workers}", "--store", f"{store}"],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        history = ks.read_study("digits", store=store)
        starts, epochs = [], []
        points, _ = history.journal.points(0)
        for trial in history.trials:
            starts.append(trial.started / 1000)
            epochs.append(min(p.time for p in points[trial.uuid] if p.epoch == 1) / 1000)
        return min(starts) - began, min(epochs) - began


def main() -> None:
    """Measures, and prints medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [(bare(options.workers), *launched(options.workers)) for _ in range(options.times)]
    imported, begun, epoch = (statistics.median(column) for column in zip(*rows, strict=True))
    ratios = [statistics.median(row[place] / row[0] for row in rows) for place in (1, 2)]
    figures = {
        "workers": options.workers,
        "import_seconds": round(imported, 2),
        "first_trial_seconds": round(begun, 2),
        "first_epoch_seconds": round(epoch, 2),
        "first_trial_ratio": round(ratios[0], 2),
        "first_epoch_ratio": round(ratios[1], 2),
    }
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):20} {value}")


if __name__ == "__main__":
    main()
