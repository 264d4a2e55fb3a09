"""Preprocessing: fitted on the training part alone, applied to all parts."""

from typing import Any

import keras
import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import kerastudy as ks

DataError = ks.errors.DataError
X = np.random.default_rng(0).normal(3, 5, size=(60, 4))
Y = np.arange(60) % 3


def load(x: Any = X, **options: Any) -> Any:
    return ks.datasets.arrays(x, Y, **options).load()


@pytest.mark.parametrize(
    ("preprocess", "like"), [("standardize", StandardScaler()), ("minmax", MinMaxScaler())], ids=str
)
@pytest.mark.parametrize("shape", [(4,), (2, 2)])
def test_scaling_is_that_of_scikit_learn_on_the_training_part(
    preprocess: Any, like: Any, shape: tuple[int, ...]
) -> None:
    ready = {"validation": (X.reshape(60, *shape) * 10, Y)}
    plain = load()
    scaled = load(X.reshape(60, *shape), preprocess=preprocess)
    far = load(X.reshape(60, *shape), preprocess=preprocess, test=None, **ready)
    like.fit(plain.train.x)
    for before, after in zip(
        (plain.train, plain.validation, plain.unseal_test()),
        (scaled.train, scaled.validation, scaled.unseal_test()),
        strict=True,
    ):
        expected = like.transform(before.x).reshape(-1, *shape)
        np.testing.assert_allclose(after.x, expected, atol=1e-5)
        assert after.x.dtype == np.float32 and np.array_equal(before.y, after.y)
    # The other parts have no influence.
    whole = like.fit(X).transform(X).reshape(60, *shape)
    np.testing.assert_allclose(far.train.x, whole, atol=1e-5)
    assert scaled.preprocessing == preprocess


def test_single_features_keep_their_shape_and_other_inputs_their_values() -> None:
    assert load(X[:, 0], preprocess="minmax").train.x.shape == (36,)
    inputs = {"tabular": X, "image": X.astype(np.uint8)}
    plain, scaled = load(inputs), load(inputs, preprocess={"tabular": "standardize", "image": None})
    np.testing.assert_allclose(scaled.train.x["tabular"].mean(axis=0), 0, atol=1e-6)
    assert np.array_equal(scaled.train.x["image"], plain.train.x["image"])
    assert scaled.preprocessing == "tabular: standardize"


def test_the_users_arrays_stay_as_they_are() -> None:
    x = X.copy()
    load(x, validation=(x, Y), test=None, preprocess="standardize")
    assert np.array_equal(x, X)


def test_a_layer_is_adapted_to_the_training_part_of_the_data() -> None:
    words = np.array([f"word{number} again" for number in range(60)])
    data = ks.datasets.arrays(words, Y, test=None)
    layer = ks.preprocessing.adapted(keras.layers.TextVectorization(), data)
    train = {text.partition(" ")[0] for text in data.load().train.x.tolist()}
    assert set(layer.get_vocabulary()) == {"", "[UNK]", "again", *train}
    several = ks.datasets.arrays({"a": X[:, 0], "b": words}, Y)
    normalized = ks.preprocessing.adapted(keras.layers.Normalization(axis=None), several, of="a")
    mean = several.load().train.x["a"].mean()  # type: ignore[call-overload]
    assert np.asarray(normalized.mean).item() == pytest.approx(mean)
