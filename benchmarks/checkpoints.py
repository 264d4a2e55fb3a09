"""Measures the share of checkpoints in the time of trials of 5 epochs.

    python -m benchmarks.checkpoints [--data mnist.npz] [--json] [--quick]

It trains a dense network of some 50,000 weights on MNIST (or on made-up images of its shape), on
one thread, with the traced program of an earlier trial. The study keeps 10 checkpoints: a trial
that can't be among the best 10 so far writes none. Three things count, because the training waits
for them: taking the best weights, writing the state after an epoch, and writing the best weights.
The goals, in a study of 100 trials: writing weights takes less than 3 % of the time, and all three
together take less than 7 %.
"""

from __future__ import annotations

import argparse
import bisect
import collections
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import kerastudy as ks
from benchmarks.limit import noting, spec_of
from benchmarks.peers.works import WORKS
from benchmarks.peers.works_data import QUICK_SIZES, SIZES, load, prepare
from search_spaces import SearchSpace
from tracking.records import Rank, TrialTask

_EPOCHS = 5
_KEPT = 10
_VALUES = {"learning_rate": 1e-3, "dropout": 0.3, "batch_normalization": True}
_SPACE = SearchSpace(ks.learning_rate())


def measure(images: Path | None, sizes: tuple[int, int], trials: int) -> dict[str, Any]:
    """Returns the median of a trial's seconds, and the share of checkpoints in all trials.

    Args:
        images: MNIST as an npz file; None: images are made up.
        sizes: Images for training and for validation.
        trials: How many trials are measured, after a first one that traces the program.
    """
    from studies.training import (
        BestWeights,
        Checkpoints,
        CompiledTrainer,
        checkpoints,
        configure_tensorflow,
        run_trial,
    )

    configure_tensorflow(1)
    states = list[float]()
    noting(checkpoints, "write_state", states)
    work, spent = WORKS["dense"], collections.defaultdict[str, list[float]](list)
    for owner, method in (
        (BestWeights, "take"),
        (BestWeights, "write"),
        (Checkpoints, "after_epoch"),
    ):
        noting(owner, method, spent[f"{owner.__name__}.{method}"])
    whole, parameters = list[float](), 0
    seconds = collections.defaultdict[str, list[float]](list)
    ranks, checkpoint_count = list[Rank](), 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(work.name, folder / "data.npz", images, sizes)
        (x, y), (x_validation, y_validation) = load(folder / "data.npz")
        data = ks.datasets.arrays(x, y, validation=(x_validation, y_validation), test=None)
        study = ks.Study("checkpoints", data=data, build=lambda hp: work.build(_VALUES))
        splits, trainer = data.load(), CompiledTrainer()
        for seed in range(trials + 1):
            for times in spent.values():
                times.clear()
            paths = folder / f"{seed}.weights.h5", folder / f"{seed}.state.safetensors"
            last_kept = ranks[_KEPT - 1] if len(ranks) >= _KEPT else None
            spec = spec_of(seed, _EPOCHS)
            task = TrialTask(spec, _SPACE, paths[0], state=paths[1], last_kept=last_kept)
            began = time.perf_counter()
            result = run_trial(study, splits, task, lambda _: "continue", trainer)
            whole.append(time.perf_counter() - began)
            assert result.state == "complete" and result.best is not None
            assert task.may_stay(result.best) == paths[0].exists() and paths[1].exists()
            bisect.insort(ranks, result.best.rank(spec.objective, seed))
            checkpoint_count += paths[0].exists()
            for name, times in spent.items():
                seconds[name].append(sum(times))
            parameters = result.model_parameters
    # The first trial does not count: it traces the program.
    shares = {name: sum(durations[1:]) / sum(whole[1:]) for name, durations in seconds.items()}
    return {
        "weights": parameters,
        "trial_seconds": statistics.median(whole[1:]),
        "share": sum(shares.values()),
        "written": checkpoint_count,
        "states": len(states) / len(whole),
        "shares": shares,
    }


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, metavar="MNIST.npz")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="a tenth of the images, few trials")
    options = parser.parse_args()
    sizes, trials = (QUICK_SIZES, 3) if options.quick else (SIZES, 99)
    try:
        figures = measure(options.data, sizes, trials)
    except ValueError as error:
        parser.error(str(error))
    if options.json:
        json.dump(figures, sys.stdout, indent=2)
        return
    print(
        f"{figures['weights']} weights, {_EPOCHS} epochs in {figures['trial_seconds']:.3f} s: "
        f"checkpoints take {figures['share']:.1%} of it, {figures['written']} trials wrote one"
    )
    print(f"  {figures['states']:.1f} states a trial")
    for name, share in figures["shares"].items():
        print(f"  {name:24} {share:6.1%}")


if __name__ == "__main__":
    main()
