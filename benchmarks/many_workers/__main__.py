"""Measures the driver of a study on a thousand simulated workers; see ``--help``.

Workers train nothing. The clock is simulated, and the driver's real CPU seconds are added to it:
while the driver works, workers that have ended a training wait.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.many_workers.asking import ask
from benchmarks.many_workers.cluster import Faults
from benchmarks.many_workers.measuring import Measured, describe, measure


def main() -> None:
    """Prints the figures."""
    # The exporter is a process of its own, and would only take the driver's processor.
    os.environ.setdefault("KERASTUDY_MLFLOW", "off")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.many_workers", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=30.0, help="of a trial, on average")
    parser.add_argument("--epochs", type=int, default=5, help="of a trial")
    parser.add_argument("--engine", default="optuna:random")
    parser.add_argument("--pruner", default="none")
    parser.add_argument("--no-faults", action="store_true", help="nothing dies, or comes late")
    parser.add_argument(
        "--ask",
        action="store_true",
        help="only measure proposals, of an engine that knows --trials trials",
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if min(options.workers, options.trials, options.epochs) < 1 or options.seconds <= 0:
        parser.error("--workers, --trials, --epochs and --seconds must be above 0")
    if options.ask:
        asked = ask(options.engine, options.trials, options.workers)
        print(json.dumps(dataclasses.asdict(asked)))
        return
    description = describe(options.engine, options.pruner, options.trials, options.epochs)
    faults = Faults() if options.no_faults else Faults(0.01, 0.005, 0.01, 2.0)
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(
            description, options.workers, options.seconds, faults, Path(folder) / "store"
        )
    if options.json:
        json.dump(dataclasses.asdict(measured), sys.stdout, indent=2)
        print()
    else:
        print("\n".join(lines(measured)))


def lines(measured: Measured) -> list[str]:
    """Returns the figures as a table."""
    rows = ["  trials  driver ms/trial  driver busy  a worker waits  used  memory"]
    rows += [
        f"{window.trials:8}  {window.cpu_ms:15.1f}  {window.busy:11.0%}  {window.wait_s:12.2f} s  "
        f"{window.used:4.0%}  {window.memory_mb:3.0f} MB"
        for window in measured.windows
    ]
    return [
        *rows,
        f"{measured.trials} trials in {measured.hours:.2f} simulated hours, "
        f"{measured.cpu_s:.0f} s of CPU; before the first {measured.start_s:.1f} s, after the last "
        f"{measured.end_s:.1f} s",
        f"{measured.lost} attempts lost, {measured.dropped} messages dropped; the store takes "
        f"{measured.store_mb:.0f} MB",
    ]


if __name__ == "__main__":
    main()
