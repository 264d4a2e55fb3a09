"""Compares the time of an epoch with the time of its matrix products alone.

    python -m benchmarks.limit [--data mnist.npz] [--json] [--quick]

It trains a dense network with batch normalization and dropout on MNIST (or on made-up images of its
shape), on one thread. In one process it measures two things in turn: an epoch of a trial that the
compiled trainer runs with the traced program of an earlier trial, and a loop over the same batches
that only computes the matrix products of the epoch's training and validation, forward and backward.
The goal: an epoch takes at most 2 times as long as the products. It also measures the parts of the
epoch (training, validation, and the Python between them), and gathering the batches by itself.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import kerastudy as ks
from benchmarks.peers.works import WORKS
from benchmarks.peers.works_data import QUICK_SIZES, SIZES, load, prepare
from search_spaces import Hyperparameters, SearchSpace
from tracking.records import Objective, TrialSpec

_WORK = WORKS["dense"]
_VALUES = {"learning_rate": 1e-3, "dropout": 0.3, "batch_normalization": True}
_UNITS = (784, 64, 10)
# A trial needs a space, though the builder gets its values directly.
_SPACE = SearchSpace(ks.learning_rate())


def measure(images: Path | None, sizes: tuple[int, int], rounds: int) -> dict[str, Any]:
    """Returns seconds of an epoch, its parts and the products, and the ratio to the products.

    Args:
        images: MNIST as an npz file; None: images are made up.
        sizes: Images for training and for validation.
        rounds: How many epochs are measured; their medians are returned.
    """
    from studies.training import CompiledTrainer, configure_tensorflow

    configure_tensorflow(1)
    with tempfile.TemporaryDirectory() as folder:
        prepare(_WORK.name, Path(folder) / "data.npz", images, sizes)
        (x, y), (x_validation, y_validation) = load(Path(folder) / "data.npz")
    splits = ks.datasets.arrays(x, y, validation=(x_validation, y_validation), test=None).load()
    trainer, seconds = CompiledTrainer(), collections.defaultdict[str, list[float]](list)
    products, gathering = products_of(x, x_validation), gathering_of(x, y)
    began = 0.0

    def between_epochs(epoch: int, _: Mapping[str, float]) -> bool:
        nonlocal began
        seconds["epoch"].append(time.perf_counter() - began)
        seconds["products"].append(timed(products))
        seconds["gathering"].append(timed(gathering))
        began = time.perf_counter()
        return True

    trainer.train(trial(splits, 0, 1), lambda *_: True)
    (program,) = trainer.programs
    noting(program, "train_epoch", seconds["training"])
    noting(program, "validate", seconds["validation"])
    trainer.train(trial(splits, 1, rounds + 1), between_epochs)
    # The first epoch does not count: it includes the trial's start.
    medians = {name: statistics.median(durations[1:]) for name, durations in seconds.items()}
    between = medians["epoch"] - medians["training"] - medians["validation"]
    return {
        **{f"{name}_seconds": value for name, value in medians.items()},
        "between_seconds": between,
        "ratio": medians["epoch"] / medians["products"],
    }


def noting(owner: object, method: str, seconds: list[float]) -> None:
    """Makes a method note how long each of its calls takes."""
    function = getattr(owner, method)

    def wrapper(*arguments: object, **options: object) -> object:
        began = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            seconds.append(time.perf_counter() - began)

    setattr(owner, method, wrapper)


def spec_of(seed: int, epochs: int) -> TrialSpec:
    """Returns the spec of a trial of the dense network."""
    return TrialSpec(
        0,
        1,
        {"learning_rate": 1e-3},
        seed,
        epochs,
        _WORK.batch_size,
        1,
        "",
        Objective("val_loss", "min"),
    )


def trial(splits: Any, seed: int, epochs: int) -> Any:
    """Returns a training as a trial starts it, with a new model."""
    from studies.training import Training, begin_trial

    begin_trial(seed)
    spec = spec_of(seed, epochs)
    return Training(_WORK.build(_VALUES), splits, spec, (), Hyperparameters(_SPACE, spec.values))


def products_of(x: Any, x_validation: Any) -> Callable[[], object]:
    """Returns a function that computes an epoch's matrix products: training, then validation."""
    import tensorflow as tf

    inputs, hidden, outputs = _UNITS
    size = _WORK.batch_size
    arrays = [tf.constant(images.reshape(len(images), inputs)) for images in (x, x_validation)]
    weights = [
        tf.random.stateless_normal(shape, (0, 1)) for shape in ((inputs, hidden), (hidden, outputs))
    ]

    def run(x: Any, x_validation: Any, first: Any, second: Any) -> Any:
        def train(start: Any, *_: Any) -> Any:
            batch = x[start : start + size]
            activations = batch @ first
            errors = activations @ second
            slope = tf.matmul(activations, errors, transpose_a=True)
            errors = tf.matmul(errors, second, transpose_b=True)
            return start + size, tf.matmul(batch, errors, transpose_a=True), slope

        def validate(start: Any, _: Any) -> Any:
            return start + size, tf.reduce_sum(x_validation[start : start + size] @ first @ second)

        def loop(body: Any, samples: Any, *state: Any) -> Any:
            return tf.while_loop(
                lambda start, *_: start < samples, body, (0, *state), parallel_iterations=1
            )

        trained = loop(train, tf.shape(x)[0], tf.zeros_like(first), tf.zeros_like(second))
        # The sum is returned, or TensorFlow would leave the products out.
        return trained, loop(validate, tf.shape(x_validation)[0], 0.0)

    compiled = tf.function(run, autograph=False)
    return lambda: compiled(*arrays, *weights)


def timed(function: Callable[[], object]) -> float:
    """Returns the seconds that a call takes."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def gathering_of(x: Any, y: Any) -> Callable[[], object]:
    """Returns a function that gathers an epoch's batches, and does nothing with them."""
    import tensorflow as tf

    arrays = [tf.constant(x), tf.constant(y)]
    order = tf.random.experimental.stateless_shuffle(tf.range(len(x), dtype=tf.int64), (0, 1))

    def run(x: Any, y: Any, order: Any) -> Any:
        def batch(start: Any, *_: Any) -> Any:
            rows = order[start : start + _WORK.batch_size]
            return start + _WORK.batch_size, tf.gather(x, rows), tf.gather(y, rows)

        nothing = (tf.zeros_like(x[:0]), tf.zeros_like(y[:0]))
        shapes = [
            tf.TensorShape([]),
            *(tf.TensorShape([None, *array.shape[1:]]) for array in nothing),
        ]
        return tf.while_loop(
            lambda start, *_: start < tf.shape(x)[0],
            batch,
            (0, *nothing),
            shape_invariants=tuple(shapes),
            parallel_iterations=1,
        )

    compiled = tf.function(run, autograph=False)
    return lambda: compiled(*arrays, order)


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, metavar="MNIST.npz")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="a tenth of the images, few epochs")
    options = parser.parse_args()
    sizes, rounds = (QUICK_SIZES, 5) if options.quick else (SIZES, 30)
    try:
        figures = measure(options.data, sizes, rounds)
    except ValueError as error:
        parser.error(str(error))
    if options.json:
        json.dump(figures, sys.stdout, indent=2)
        return
    names = {
        "products": "matrix products alone",
        "epoch": "epoch of a trial",
        "training": "  training",
        "validation": "  validation",
        "between": "  Python between them",
        "gathering": "gathering batches alone",
    }
    for name, title in names.items():
        seconds = figures[f"{name}_seconds"]
        times = seconds / figures["products_seconds"]
        print(f"{title:24} {seconds * 1000:7.2f} ms {times:6.2f} x")


if __name__ == "__main__":
    main()
