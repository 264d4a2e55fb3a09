"""Sample weights and class weights: as `model.fit` takes them, by hand and by every trainer."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import pytest
from exact_training import (
    COUNT,
    VALIDATION,
    by_hand,
    by_trainer,
    leave_out_checks,
    samples,
    spec_of,
)
from model_zoo import SPARSE, dropouts
from suite import exhaustive_but

import kerastudy as ks
from studies.training import CompiledTrainer, PlainTrainer, configure_tensorflow

layers = keras.layers
RANDOM = np.random.default_rng(7)
WEIGHTS = RANDOM.uniform(0.0, 3.0, COUNT)
WEIGHTS[::5] = 0.0
READY = (RANDOM.normal(size=(VALIDATION, 12)), np.arange(VALIDATION) % 3)
# Those whose validation is ready-made train on all samples, which batches of 16 divide.
DATA = {
    "both parts": lambda: samples(sample_weight=WEIGHTS),
    "whole numbers": lambda: samples(sample_weight=np.arange(COUNT) % 4),
    "training only": lambda: samples(sample_weight=WEIGHTS, validation=READY),
    "validation only": lambda: samples(validation=(*READY, WEIGHTS[:VALIDATION])),
}


def weighed(rate: float) -> keras.Model:
    """Metrics that heed weights beside those that don't."""
    model = dropouts({"rate": rate, "l1": 1e-3, "l2": 1e-4, "lr": 1e-2})
    model.compile(
        keras.optimizers.Adam(0.01),
        SPARSE,
        metrics=["accuracy"],
        weighted_metrics=["accuracy", keras.metrics.SparseCategoricalCrossentropy()],
    )
    return model


def one_hot(rate: float) -> keras.Model:
    model = dropouts({"rate": rate, "l1": 1e-3, "l2": 1e-4, "lr": 1e-2})
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def trainer() -> Iterator[CompiledTrainer]:
    configure_tensorflow(None)
    yield CompiledTrainer("compiled")


@pytest.mark.parametrize("data", exhaustive_but(["both parts"], DATA))
def test_sample_weights_train_and_validate_as_by_hand(
    data: str, trainer: CompiledTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_out_checks(monkeypatch)
    splits, spec, made = DATA[data](), spec_of(), trainer.programs.made
    before = by_trainer(trainer, lambda: weighed(0.3), splits, spec)
    wanted = by_hand(lambda: weighed(0.1), splits, spec)
    assert by_trainer(trainer, lambda: weighed(0.1), splits, spec) == wanted
    assert by_trainer(PlainTrainer(), lambda: weighed(0.1), splits, spec) == wanted
    assert trainer.programs.made - made == 1, "the second used the program of the first"
    assert by_trainer(trainer, lambda: weighed(0.3), splits, spec) == before


@pytest.mark.exhaustive
def test_each_step_of_a_sequence_has_a_weight_as_by_hand(trainer: CompiledTrainer) -> None:
    def sequences() -> keras.Model:
        model = keras.Sequential([layers.Input((4, 2)), layers.Dense(3, activation="softmax")])
        model.compile("sgd", SPARSE, weighted_metrics=["accuracy"])
        return model

    steps = np.arange(COUNT * 4).reshape(COUNT, 4)
    splits = ks.datasets.arrays(
        RANDOM.normal(size=(COUNT, 4, 2)),
        steps % 3,
        sample_weight=(steps % 5).astype(float),
        validation=VALIDATION,
        test=None,
    ).load()
    wanted = by_hand(sequences, splits, spec_of())
    assert by_trainer(trainer, sequences, splits, spec_of()) == wanted


@pytest.mark.parametrize("columns", exhaustive_but([], [0, 1, 3]))
def test_class_weights_train_as_by_hand(
    columns: int, trainer: CompiledTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class without a weight counts 1; the validation is not weighted."""
    leave_out_checks(monkeypatch)
    y = np.arange(COUNT) % 3
    y = {0: y, 1: y[:, None], 3: np.eye(3, dtype="float32")[y]}[columns]
    x = RANDOM.normal(size=(COUNT, 12)).astype("float32")
    splits = ks.datasets.arrays(x, y, validation=VALIDATION, test=None).load()
    spec, made = spec_of(class_weight={0: 0.3, 2: 5.0}), trainer.programs.made
    build = one_hot if columns == 3 else weighed
    if columns:
        by_trainer(trainer, lambda: build(0.3), splits, spec)
    wanted = by_hand(lambda: build(0.1), splits, spec)
    assert by_trainer(trainer, lambda: build(0.1), splits, spec) == wanted
    if columns:
        # They are weights of samples to it, as above.
        assert by_trainer(PlainTrainer(), lambda: build(0.1), splits, spec) == wanted
    assert trainer.programs.made - made <= 1


@pytest.mark.exhaustive
def test_weighted_and_unweighted_data_use_programs_of_their_own() -> None:
    configure_tensorflow(None)
    trainer, spec = CompiledTrainer("compiled"), spec_of()
    kinds = [samples(), *(make() for make in DATA.values())]
    wanted = [by_trainer(PlainTrainer(), lambda: weighed(0.2), splits, spec) for splits in kinds]
    for _ in range(2):
        assert wanted == [by_trainer(trainer, lambda: weighed(0.2), s, spec) for s in kinds]
    # Whole numbers are not converted to floats by `fit`.
    assert trainer.programs.made == len(kinds)
