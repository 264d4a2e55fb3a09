"""What the scores of validation samples cost a trial, with and without them in turn.

    python -m benchmarks.scores [--trials 40] [--data mnist.npz] [--json]

A dense model (784, 64, 10, dropout) on 10,000 samples, validated on 2,000, 5 epochs, batches of
128, by the compiled trainer with one thread. Trials with and without scores alternate, and have
the same specs, so each pair trains the same. What the recorder itself takes is measured too: on a
busy machine the trainings differ by more than it takes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import kerastudy as ks
from search_spaces import Hyperparameters
from tracking.records import Decision, EpochResult, Objective, TrialSpec, TrialTask

_TRAIN, _VALIDATION = 10_000, 2_000
_SPACE = ks.SearchSpace(ks.dropout())


def build(hp: Hyperparameters) -> Any:
    """Builds the model."""
    import keras

    model = keras.Sequential(
        [
            keras.layers.Input((784,)),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dropout(hp["dropout"]),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def samples(file: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Returns samples and labels: those of a file like Keras's ``mnist.npz``, or made ones."""
    count = _TRAIN + _VALIDATION
    if file is not None:
        with np.load(file) as arrays:
            x, y = arrays["x_train"][:count], arrays["y_train"][:count]
        return (x.reshape(count, -1) / 255).astype(np.float32), y
    random = np.random.default_rng(0)
    y = random.integers(0, 10, count)
    x = random.random((10, 784))[y] + random.normal(size=(count, 784))
    return x.astype(np.float32), y


def costs(trials: int, file: Path | None = None) -> dict[str, float]:
    """Returns medians of CPU time per trial, in milliseconds, and their ratios."""
    from studies.training.process.determinism import configure_tensorflow
    from studies.training.programs.compiled import CompiledTrainer
    from studies.training.run_trial import run_trial
    from studies.training.scoring.recording import ScoreRecorder

    configure_tensorflow(1)
    x, y = samples(file)
    data = ks.datasets.arrays(
        x[:_TRAIN], y[:_TRAIN], validation=(x[_TRAIN:], y[_TRAIN:]), test=None
    )
    study = ks.Study("scores", data=data, build=build, space=_SPACE, objective="val_accuracy")
    splits, trainer = data.load(), CompiledTrainer()
    recording: list[float] = []

    with tempfile.TemporaryDirectory() as folder:
        weights, scores = (Path(folder) / name for name in ("weights.h5", "scores.safetensors"))

        def run(number: int, kept: Path | None) -> float:
            values = {"dropout": 0.1 + 0.3 * number / trials}
            objective = Objective("val_accuracy", "max")
            spec = TrialSpec(number, 1, values, number, 5, 128, 1, "", objective)
            task = TrialTask(spec, _SPACE, weights.with_suffix(".weights.h5"), scores=kept)
            began = time.process_time()
            result = run_trial(study, splits, task, _go_on, trainer)
            spent = time.process_time() - began
            assert result.state == "complete", result.reason
            assert bool(result.scores_bytes) == (kept is not None), result.unscored
            return spent

        run(0, scores)
        with patch.object(ScoreRecorder, "record", _timed(ScoreRecorder.record, recording)):
            pairs = []
            for number in range(1, trials + 1):
                # Each comes first in every second pair.
                order = (None, scores) if number % 2 else (scores, None)
                found = {kept: run(number, kept) for kept in order}
                pairs.append((found[None], found[scores]))
    without, with_scores = (statistics.median(each) * 1000 for each in zip(*pairs, strict=True))
    of_recorder = statistics.median(spent for spent in recording if spent > 1e-4) * 1000
    return {
        "none_ms": without,
        "best_ms": with_scores,
        "recorder_ms": of_recorder,
        "ratio_of_pairs": statistics.median(best / none for none, best in pairs),
        "recorder_share": of_recorder / without,
    }


def _timed(function: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    def timed(*arguments: Any) -> Any:
        began = time.process_time()
        try:
            return function(*arguments)
        finally:
            spent.append(time.process_time() - began)

    return timed


def _go_on(epoch: EpochResult) -> Decision:
    return "continue"


def main() -> None:
    """Prints the costs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--data", type=Path, help="a file like Keras's mnist.npz")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = costs(options.trials, options.data)
    if options.json:
        json.dump(found, sys.stdout, indent=2)
        return
    for name, value in found.items():
        print(f"{name:16} {value:9.3f}")


if __name__ == "__main__":
    main()
