"""Training on all data, as a champion is refitted; by a command in `test_champion_commands`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest
import two_sided
from conformance.models import SPACE, dense
from exact_training import set_generators, spec_of, taken

import kerastudy as ks
from search_spaces import Hyperparameters
from studies.training import refit

HP = {"rate": 0.3, "l2": 1e-3, "lr": 0.01}


def refitted(data: Any, build: Any) -> tuple[Any, Any, Any]:
    study = ks.Study("several", data=data, build=build, space=SPACE, objective="val_loss")
    spec = replace(spec_of(), values={"rate": 0.3})
    return refit(study, data.load(), spec, Hyperparameters(SPACE, spec.values), epochs=2)


def test_several_inputs_and_outputs_with_weights_train_on_all_data() -> None:
    weights = np.random.default_rng(6).uniform(0.5, 2, two_sided.COUNT)
    data = two_sided.by_name(sample_weight=weights, validation=10, test=12)
    model, joined, how = refitted(data, lambda hp: two_sided.named(HP))
    assert (how.samples, how.steps, how.steps_before) == (50, 4, 3)

    splits, seed = data.load(), spec_of().seed
    parts = splits.train, splits.validation
    x, y = (
        {name: np.concatenate([of(part)[name] for part in parts]) for name in of(parts[0])}
        for of in (lambda part: part.x, lambda part: part.y)
    )
    weights = np.concatenate([part.sample_weight for part in parts])
    keras.utils.set_random_seed(seed)
    by_hand = two_sided.named(HP)
    for epoch in (1, 2):
        order = ks.permutation(seed, epoch, 50)
        set_generators(by_hand, seed, epoch)
        by_hand.fit(
            taken(x, order),
            taken(y, order),
            sample_weight={name: weights[order] for name in y},
            batch_size=16,
            shuffle=False,
            verbose=0,
        )
    for made, expected in zip(model.get_weights(), by_hand.get_weights(), strict=True):
        assert np.array_equal(made, expected)
    assert splits.digests["test"] == joined.digests["test"], "it stays sealed"


class Own(keras_tuner.HyperModel):  # type: ignore[misc]
    def build(self, hp: Any) -> keras.Model:
        return dense(hp)

    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        return model.fit(*args, **kwargs)


def batch() -> Any:
    return iter([(np.ones((4, 12)), np.ones(4))])


@pytest.mark.parametrize(
    ("data", "build", "told"),
    [
        (ks.datasets.batches(batch, batch), dense, "can't be joined"),
        (two_sided.by_name(test=10), Own(), "its fit"),
    ],
)
def test_what_can_not_be_trained_on_all_data(data: Any, build: Any, told: str) -> None:
    with pytest.raises(ks.errors.StudyError, match=told):
        refitted(data, build)
