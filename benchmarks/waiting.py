"""Measures how long workers wait for their driver: at each epoch, and between two trials.

    python -m benchmarks.waiting [--workers 2] [--trials 60] [--data mnist.npz] [--json] [--quick]

It launches a study of a dense network on MNIST (or on made-up images of its shape), under TPE with
the median pruner, so that each epoch is judged before the next begins. Each worker notes how long
it waits for each message. While it waits, the driver writes the journal, and asks the engine for
the next trial. A share is a part of the time from a worker's first trial to the end of its last.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.peers.works_data import QUICK_SIZES, SIZES, prepare

_STUDY = """
import os
import time
from multiprocessing.connection import Connection

from benchmarks.peers.kerastudy_studies import dense as study

_receive = Connection.recv


def _receive_and_note(connection):
    began = time.perf_counter()
    message = _receive(connection)
    ended = time.perf_counter()
    with open(f"waits-{os.getpid()}", "a") as file:
        print(type(message).__name__, began, ended, file=file)
    return message


Connection.recv = _receive_and_note
"""
_ANSWER, _TRIAL = "str", "RunFits"


def measure(
    images: Path | None, sizes: tuple[int, int], workers: int, trials: int
) -> dict[str, float]:
    """Returns how long workers waited, in milliseconds and as shares of their time.

    Args:
        images: MNIST as an npz file; None: images are made up.
        sizes: Images for training and for validation.
        workers: How many workers there are.
        trials: How many trials they train.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare("dense", folder / "data.npz", images, sizes)
        (folder / "study.py").write_text(_STUDY, encoding="utf-8")
        command = [sys.executable, "-m", "kerastudy", "launch", "study.py", "--pruner", "median"]
        command += ["--verify", "off"]
        subprocess.run(
            [*command, "--trials", str(trials), "--workers", str(workers)],
            check=True,
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": str(Path(__file__).parents[1]),
                "KERASTUDY_BENCHMARK_DATA": str(folder / "data.npz"),
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        waits = [list(_read(path)) for path in folder.glob("waits-*")]
    answers = [end - begin for rows in waits for what, begin, end in rows if what == _ANSWER]
    # A worker's first trial does not count: it is asked for while the worker loads.
    between = [end - begin for rows in waits for what, begin, end in rows[1:] if what == _TRIAL]
    assert len(between) == trials - len(waits), "every trial is noted"
    spans = sum(max(end for what, _, end in rows if what == _ANSWER) - rows[0][2] for rows in waits)
    return {
        "trials": trials,
        "answer_ms": statistics.median(answers) * 1000,
        "longest_answer_ms": max(answers) * 1000,
        "between_trials_ms": statistics.median(between) * 1000,
        "answers_share": sum(answers) / spans,
        "between_trials_share": sum(between) / spans,
    }


def _read(path: Path) -> Iterator[tuple[str, float, float]]:
    """Yields each message that a worker waited for, with the begin and the end of the wait."""
    for line in path.read_text().splitlines():
        what, begin, end = line.split()
        yield what, float(begin), float(end)


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--data", type=Path, metavar="MNIST.npz")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="a tenth of the images")
    options = parser.parse_args()
    if not 0 < options.workers < options.trials:
        parser.error("--trials must be more than --workers, and --workers at least 1")
    sizes = QUICK_SIZES if options.quick else SIZES
    try:
        figures = measure(options.data, sizes, options.workers, options.trials)
    except ValueError as error:
        parser.error(str(error))
    if options.json:
        json.dump(figures, sys.stdout, indent=2)
        print()
        return
    print(
        f"an answer takes {figures['answer_ms']:.1f} ms (at most "
        f"{figures['longest_answer_ms']:.1f}), {figures['answers_share']:.1%} of the time; the "
        f"next trial {figures['between_trials_ms']:.1f} ms, {figures['between_trials_share']:.1%}"
    )


if __name__ == "__main__":
    main()
