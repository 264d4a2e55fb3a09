"""Models of many kinds, trained by hand and by programs: every bit the same.

The programs are those of one trainer: each is used by several trials, with others in between.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from exact_training import built, by_hand, by_trainer, leave_out_checks, samples, spec_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter
from model_zoo import BATCH_SIZES, PROGRAMS, ZOO
from other_models import OTHERS
from suite import exhaustive_but

import kerastudy as ks
from studies.data.arrays import mapped as large
from studies.training import (
    Arrays,
    Batches,
    CompiledTrainer,
    PlainTrainer,
    Structure,
    configure_tensorflow,
)

layers = keras.layers
# `fit` writes its averages into the model at its end, so a `fit` per epoch is another training.
ALL = {**ZOO, **OTHERS}
_OF_ONE_FIT = {"averaged_at_the_end"}


@pytest.fixture(scope="module")
def trainer() -> Iterator[CompiledTrainer]:
    configure_tensorflow(None)
    yield CompiledTrainer("compiled")


# Their parts are of the kinds of all. By hand with images, below, is a convolution.
KEPT = ["of_many_parts", "averaged_at_the_end"]


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("name", exhaustive_but(KEPT, ALL))
def test_every_way_to_train_comes_to_what_is_trained_by_hand(
    name: str, every: bool, trainer: CompiledTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each program for some values, for others, and for the first ones again.

    What it comes to for the others is by hand; for the first ones, the same after the others as
    before, from their second epoch. All is by hand, and the plain trainer's too, where all is run.
    """
    if not every:
        leave_out_checks(monkeypatch)
    build, values = ALL[name]
    builders = [functools.partial(build, hp) for hp in values]
    splits = samples(2 if name == "binary" else 3)
    spec = spec_of(3 if every else 2, batch_size=BATCH_SIZES.get(name, 16))
    judge = functools.partial(by_trainer, PlainTrainer()) if name in _OF_ONE_FIT else by_hand
    programs = PROGRAMS.get(name, 1)
    if not every and programs == len(values):
        structures = {Structure(built(builder)).key for builder in builders}
        if len(structures) == programs:
            # As it should be, none can use the program of another.
            builders, programs = builders[:1], 1
    wanted, before = [], trainer.programs.made
    for number, builder in enumerate(builders):
        # With a new program, or that of the values before.
        wanted.append(by_trainer(trainer, builder, splits, spec))
        if number or every or len(builders) == 1:
            assert wanted[-1] == judge(builder, splits, spec)
    if every:
        assert by_trainer(PlainTrainer(), builders[0], splits, spec) == wanted[0]
    # With programs that all the values have used meanwhile, the last ones first.
    again = [*zip(builders, wanted, strict=True)][: None if every else 1]
    for builder, epochs in reversed(again):
        if every:
            assert by_trainer(trainer, builder, splits, spec) == epochs
        for done in range(1, spec.epochs):
            rest = by_trainer(trainer, builder, splits, spec, epochs[done - 1].state, done)
            assert rest == epochs[done:], f"after epoch {done}"
    assert trainer.programs.made - before == programs, "programs are used again"


@pytest.mark.parametrize("batch_size", [8, 10, 12, 16, 100])
def test_tensorflow_is_told_the_sizes_of_batches_that_fit_tells(batch_size: int) -> None:
    """By each trainer, in training and in validation."""
    splits = samples()
    told = Batches(splits, batch_size)
    signature = Arrays(splits).signature(batch_size)
    for part, plain, compiled in (
        (splits.train, told.training, signature.training_size),
        (splits.validation, told.validation, signature.validation_size),
    ):
        by_fit = ArrayDataAdapter(part.x, part.y, batch_size=batch_size).get_tf_dataset()
        wanted = [spec.shape[0] for spec in by_fit.element_spec]
        assert wanted == [spec.shape[0] for spec in plain.element_spec] == [compiled, compiled]


@pytest.mark.exhaustive
def test_images_stay_bytes_until_they_are_in_a_batch() -> None:
    random = np.random.default_rng(0)
    x = random.integers(0, 256, size=(64, 12), dtype="uint8")
    splits = ks.datasets.arrays(x, np.arange(64) % 3, validation=24, test=None).load()
    assert Arrays(splits).training[0].dtype == Arrays(splits).validation[0].dtype == tf.uint8
    assert Batches(splits, 8).training.element_spec[0].dtype == tf.uint8
    build = functools.partial(*_first("convolutional"))
    assert by_trainer(CompiledTrainer("compiled"), build, splits, spec_of(1)) == by_hand(
        build, splits, spec_of(1)
    )


def test_data_in_a_mapped_file_trains_as_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As data is that is too large to be held in memory."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(64, 12)).astype("float32"), np.arange(64) % 3
    path = tmp_path / "data.npz"
    np.savez(path, x_train=x, y_train=y, x_test=x[:9], y_test=y[:9])
    build, spec = functools.partial(*_first("rescaled")), spec_of(2)
    wanted = by_hand(build, ks.datasets.npz(path, validation=24).load(), spec)
    monkeypatch.setattr(large, "_LARGE_BYTES", 1000)
    splits = ks.datasets.npz(path, validation=24).load()
    assert large.file_of(splits.train.x) is not None
    for trainer in (CompiledTrainer("compiled"), PlainTrainer()):
        assert by_trainer(trainer, build, splits, spec) == wanted


def _first(name: str) -> tuple[Any, Any]:
    build, values = ZOO[name]
    return build, values[0]


RATES = st.floats(0.0, 0.9).map(lambda rate: round(rate, 3))
FACTORS = st.sampled_from([0.0, 1e-4, 3e-3, 0.1])


@st.composite
def layer(draw: st.DrawFn) -> object:
    """A function that makes a layer: a new one for each trial."""
    rate, l1, l2 = draw(RATES), draw(FACTORS), draw(FACTORS)
    activation = draw(st.sampled_from(["relu", "tanh", "gelu", "swish", None]))
    kinds = [
        lambda: layers.Dense(
            5, activation=activation, kernel_regularizer=keras.regularizers.L1L2(l1, l2)
        ),
        lambda: layers.Dropout(rate),
        lambda: layers.GaussianNoise(rate),
        lambda: layers.AlphaDropout(rate),
        layers.BatchNormalization,
        lambda: layers.Rescaling(0.3, 0.1),
        lambda: layers.ActivityRegularization(l1, l2),
        lambda: keras.Sequential(
            [layers.Reshape((-1, 1)), layers.Conv1D(2, 3, padding="same"), layers.Flatten()]
        ),
        lambda: keras.Sequential([layers.Reshape((-1, 1)), layers.GRU(4, activation=activation)]),
    ]
    return draw(st.sampled_from(kinds))


@pytest.mark.exhaustive
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    inner=st.lists(layer(), min_size=1, max_size=4),
    optimizer=st.sampled_from(["sgd", "adam", "rmsprop", "adamw"]),
    batch_size=st.sampled_from([7, 8, 10, 12, 40, 100]),
)
def test_models_put_together_at_random_train_as_by_hand(
    trainer: CompiledTrainer, inner: list, optimizer: str, batch_size: int
) -> None:
    def build() -> keras.Model:
        outputs = layers.Dense(3, activation="softmax")
        model = keras.Sequential([layers.Input((12,)), *(make() for make in inner), outputs])
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    splits, spec = samples(), spec_of(batch_size=batch_size)
    wanted = by_hand(build, splits, spec)
    assert by_trainer(trainer, build, splits, spec) == wanted
    assert by_trainer(trainer, build, splits, spec, wanted[0].state, 1) == wanted[1:]
