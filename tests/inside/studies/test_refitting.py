"""Training on training and validation data together: several inputs, weights, what can't be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from exact_training import spec_of, taken

import kerastudy as ks
from search_spaces import Hyperparameters
from studies.training import refit

random = np.random.default_rng(6)
X = {"a": random.normal(size=(60, 3)).astype("float32"), "b": random.normal(size=(60, 2))}
Y = {"left": random.normal(size=60).astype("float32"), "right": random.normal(size=(60, 1))}
W = random.uniform(0.5, 2, 60)


def build(hp: Any) -> Any:
    import keras

    inputs = {name: keras.Input((array.shape[1],), name=name) for name, array in X.items()}
    joined = keras.layers.Concatenate()([inputs["a"], inputs["b"]])
    outputs = {name: keras.layers.Dense(1, name=name)(joined) for name in Y}
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(hp["rate"]), loss="mse")
    return model


def study_on(data: Any, build: Any = build) -> ks.Study:
    space = ks.SearchSpace(ks.Float("rate", 0.01, 0.1))
    return ks.Study("several", data=data, build=build, space=space, objective="val_loss")


def test_several_inputs_and_outputs_with_weights() -> None:
    import keras

    data = ks.datasets.arrays(X, Y, sample_weight=W, test=10)
    study, splits, spec = study_on(data), data.load(), replace(spec_of(), values={"rate": 0.05})
    assert study.space is not None
    hp = Hyperparameters(study.space, spec.values)
    model, joined, how = refit(study, splits, spec, hp, epochs=2)
    assert (how.samples, how.steps, how.steps_before) == (50, 4, 3)

    train, validation = splits.train, splits.validation
    x = {name: np.concatenate([train.x[name], validation.x[name]]) for name in X}
    y = {name: np.concatenate([train.y[name], validation.y[name]]) for name in Y}
    weights = np.concatenate([train.sample_weight, validation.sample_weight])
    keras.utils.set_random_seed(spec.seed)
    by_hand = build({"rate": 0.05})
    for epoch in (1, 2):
        order = ks.permutation(spec.seed, epoch, 50)
        by_hand.fit(
            taken(x, order),
            taken(y, order),
            sample_weight={name: weights[order] for name in Y},
            batch_size=16,
            shuffle=False,
            verbose=0,
        )
    for made, expected in zip(model.get_weights(), by_hand.get_weights(), strict=True):
        assert np.array_equal(made, expected)
    assert splits.digests["test"] == joined.digests["test"], "it stays sealed"


def test_what_can_not_be_trained_on_all_data() -> None:
    import keras_tuner

    class Own(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            return build(hp)

        def fit(self, hp: Any, model: Any, *arguments: Any, **options: Any) -> Any:
            return model.fit(*arguments, **options)

    batches = ks.datasets.batches(
        lambda: iter([(np.ones((4, 2)), np.ones(4))]), lambda: iter([(np.ones((4, 2)), np.ones(4))])
    )
    arrays = ks.datasets.arrays(X, Y, test=10)
    for study, told in (
        (study_on(batches), "can't be joined"),
        (study_on(arrays, Own()), "its fit"),
    ):
        assert study.space is not None
        hp = Hyperparameters(study.space, {"rate": 0.05})
        with pytest.raises(ks.errors.StudyError, match=told):
            refit(study, study.data.load(), spec_of(), hp, 2)
