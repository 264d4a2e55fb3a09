"""What is refused of several outputs, losses and targets before training."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from suite import exhaustive_but

from search_spaces import BuilderError
from studies.data import Part
from studies.training import check_targets, check_weighted

X = np.linspace(-1, 1, 24, dtype="float32").reshape(12, 2)
LABELS = np.arange(12) % 3
NUMBERS = np.linspace(-20, 30, 12)
KIND, SIZE = "sparse_categorical_crossentropy", "mse"
BY_NAME = {"kind": LABELS, "size": NUMBERS}


def by_name(outputs: list[Any]) -> dict[str, Any]:
    """Declared in another order than that of the names."""
    return dict(zip(["size", "kind"], outputs[::-1], strict=True))


def two_outputs(structure: Any, loss: Any, kinds: int = 3, sizes: int = 1) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,))
    kind = layers.Dense(kinds, "softmax", name="kind")(inputs)
    model = keras.Model(inputs, structure([kind, layers.Dense(sizes, name="size")(inputs)]))
    model.compile("sgd", loss)
    return model


TARGETS: dict[str, Any] = {"dict": BY_NAME, "tuple": tuple(BY_NAME.values())}
LOSSES: dict[str, Any] = {"dict": {"kind": KIND, "size": SIZE}, "list": [KIND, SIZE]}
STRUCTURES: dict[str, Any] = {"list": list, "tuple": tuple, "by_name": by_name}
WAYS = {
    f"{y}-{loss}-{structure}": (STRUCTURES[structure], LOSSES[loss], TARGETS[y])
    for y, loss, structure in itertools.product(TARGETS, LOSSES, STRUCTURES)
}
# Each way of each once.
PAIRS = ["dict-dict-list", "tuple-list-tuple", "dict-list-by_name"]


@pytest.mark.parametrize("way", exhaustive_but(PAIRS, WAYS))
def test_each_of_several_outputs_is_checked_with_its_own_targets(way: str) -> None:
    structure, loss, y = WAYS[way]
    model = two_outputs(structure, loss)
    check_targets(model, X, y)
    # As Keras puts them together, too.
    model.fit(X, y, verbose=0)
    with pytest.raises(
        BuilderError, match=r"of the output 'kind' of shape .*labels go from 0 to 2"
    ):
        check_targets(two_outputs(structure, loss, kinds=2), X, y)
    with pytest.raises(BuilderError, match=r"of the output 'size' of shape .*number by number"):
        check_targets(two_outputs(structure, loss, sizes=5), X, y)


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        (KIND, LABELS),
        ({"kind": KIND}, BY_NAME),
        (KIND, (LABELS,)),
        ([KIND], BY_NAME),
        (None, BY_NAME),
        ({"kind": KIND, "size": SIZE}, {"kind": LABELS, "other": NUMBERS}),
    ],
    ids=["one target", "one loss", "one in a tuple", "one in a list", "no loss", "other names"],
)
def test_outputs_whose_targets_or_losses_are_not_plain_are_left_alone(loss: Any, y: Any) -> None:
    check_targets(two_outputs(list, loss), X, y)


def test_weights_that_keras_can_not_find_are_refused() -> None:
    weights = np.ones(12)
    losses_by_name = {"kind": KIND, "size": SIZE}
    model = two_outputs(list, losses_by_name)
    check_weighted(model, Part(X, BY_NAME))
    check_weighted(model, Part(X, tuple(BY_NAME.values()), weights))
    check_weighted(two_outputs(by_name, losses_by_name), Part(X, BY_NAME, weights))
    with pytest.raises(BuilderError, match="outputs are a list, and the targets a dict"):
        check_weighted(model, Part(X, BY_NAME, weights))
    with pytest.raises(KeyError):
        model.fit(X, BY_NAME, sample_weight=weights, verbose=0)
