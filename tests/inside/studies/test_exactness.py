"""The corpus of models, trained by plain `fit` and by both trainers: every bit the same."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from exact_training import (
    GENERATORS,
    built,
    by_hand,
    by_trainer,
    leave_out_checks,
    samples,
    spec_of,
)
from suite import exhaustive_but
from training_corpus import CORPUS, ONE_HOT

import kerastudy as ks
from studies.data import memory_mapped_files as large
from studies.training import (
    Arrays,
    Batches,
    CompiledTrainer,
    PlainTrainer,
    batches_for_model_fit,
    configure_tensorflow,
)

layers = keras.layers


@pytest.fixture(scope="module")
def trainer() -> Iterator[CompiledTrainer]:
    """One trainer for all cases, as in a worker. It uses its programs in turn."""
    configure_tensorflow(None)
    yield CompiledTrainer()


@pytest.fixture(autouse=True)
def policy() -> Iterator[None]:
    configure_tensorflow(None)
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


# The parts of these cases are of all kinds.
KEPT = [
    "of many parts",
    "averaged at the end",
    "some losses and metrics",
    "two inputs, named, weighted",
]


@functools.cache
def fitted(name: str) -> tuple[Any, ...]:
    """Returns a case, its training by plain Keras, and the generators that the case keeps."""
    case, splits = CORPUS[name], CORPUS[name].data()
    builders = [functools.partial(case.build, values) for values in case.values]
    spec = spec_of(2, case.batch_size, class_weight=case.class_weight)
    epochs = [case.judge(builder, splits, spec) for builder in builders]
    return builders, splits, spec, epochs, [*GENERATORS]


@pytest.mark.parametrize("name", exhaustive_but(KEPT, CORPUS))
def test_every_way_to_train_comes_to_what_fit_comes_to(
    name: str, trainer: CompiledTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs train each set of values, then the first set again, also from the second epoch."""
    case, count = CORPUS[name], trainer.programs.made
    builders, splits, spec, expected, generators = fitted(name)
    with monkeypatch.context() as patch:
        leave_out_checks(patch)
        for builder, epochs in zip(builders, expected, strict=True):
            assert by_trainer(trainer, builder, splits, spec) == epochs
            assert trainer.used[0] == case.trainer, trainer.used
    if case.trainer == "plain":
        return
    # Its program is checked now, if it was used by other values.
    assert by_trainer(trainer, builders[0], splits, spec) == expected[0]
    assert trainer.programs.made - count == case.programs, "programs are used again"
    if case.resumes and case.judge is by_hand:
        rest = by_trainer(trainer, builders[0], splits, spec, expected[0][0].state, 1)
        assert rest == expected[0][1:]
    assert by_trainer(PlainTrainer(), builders[-1], splits, spec) == expected[-1]
    if generators:
        model = built(builders[0])
        assert ks.seed_states(model)[-len(generators) :] == GENERATORS


@pytest.mark.parametrize("units", [3, 1])
def test_a_metric_with_a_value_for_each_class_is_a_metric_for_each(
    units: int, trainer: CompiledTrainer
) -> None:
    """A metric of a single class keeps its own name."""

    def build() -> keras.Model:
        model = keras.Sequential([layers.Input((12,)), layers.Dense(units, activation="sigmoid")])
        model.compile("adam", "binary_crossentropy", metrics=[keras.metrics.F1Score(name="f1")])
        return model

    splits = samples(targets=ONE_HOT[:, :units])
    by_class = by_hand(build, splits, spec_of(1))[0].metrics["val_f1"]
    names = ["val_f1"] if units == 1 else [f"val_f1_{i}" for i in range(units)]
    for any_trainer in (trainer, PlainTrainer()):
        (epoch,) = by_trainer(any_trainer, build, splits, spec_of(1))
        scores = {name: v for name, v in epoch.metrics.items() if name.startswith("val_f1")}
        assert scores == dict(zip(names, map(float, by_class), strict=True))


def _rescaled() -> keras.Model:
    return CORPUS["rescaled"].build(CORPUS["rescaled"].values[0])


@pytest.mark.parametrize("name", ["a function's generator", "two inputs, named, weighted"])
def test_data_too_large_to_be_put_in_order_in_one_go_trains_as_by_hand(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is put in order batch by batch, with the same bits."""
    monkeypatch.setattr(batches_for_model_fit, "_LARGEST_WHOLE_EPOCH", 0)
    builders, splits, spec, expected, _ = fitted(name)
    assert by_trainer(PlainTrainer(), builders[0], splits, spec) == expected[0]


def test_images_stay_bytes_until_they_are_in_a_batch() -> None:
    """The corpus trains on such images, see `two_sided`."""
    splits = samples(inputs=np.zeros((64, 12), "uint8"))
    assert Arrays(splits).training[0].dtype == Arrays(splits).validation[0].dtype == tf.uint8
    assert Batches(splits, 8).training.element_spec[0].dtype == tf.uint8


def test_data_in_a_mapped_file_trains_as_by_hand(
    tmp_path: Path, trainer: CompiledTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data that is too large for the memory is in such a file."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(64, 12)).astype("float32"), np.arange(64) % 3
    path = tmp_path / "data.npz"
    np.savez(path, x_train=x, y_train=y, x_test=x[:9], y_test=y[:9])
    expected = by_hand(_rescaled, ks.datasets.npz(path, validation=24).load(), spec_of(2))
    monkeypatch.setattr(large, "_LARGE_BYTES", 1000)
    splits = ks.datasets.npz(path, validation=24).load()
    assert large.file_of(splits.train.x) is not None
    for any_trainer in (trainer, PlainTrainer()):
        assert by_trainer(any_trainer, _rescaled, splits, spec_of(2)) == expected
