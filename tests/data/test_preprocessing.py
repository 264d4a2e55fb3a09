"""Preprocessing: fitted on the training part alone, applied to all parts."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.feature_selection import VarianceThreshold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, OneHotEncoder, StandardScaler

import kerastudy as ks

DataError = ks.errors.DataError
X = np.random.default_rng(0).normal(3, 5, size=(60, 4))
Y = np.arange(60) % 3


def load(x: Any = X, **options: Any) -> Any:
    return ks.datasets.arrays(x, Y, **options).load()


@pytest.mark.parametrize(
    ("preprocess", "like"),
    [
        ("standardize", StandardScaler()),
        ("minmax", MinMaxScaler()),
        (StandardScaler(with_mean=False), StandardScaler(with_mean=False)),
        (PCA(2, random_state=0), PCA(2, random_state=0)),
        (OneHotEncoder(handle_unknown="ignore"), OneHotEncoder(handle_unknown="ignore")),
    ],
    ids=str,
)
@pytest.mark.parametrize("shape", [(4,), (2, 2)])
def test_it_is_what_scikit_learn_makes_of_the_training_part(
    preprocess: Any, like: Any, shape: tuple[int, ...]
) -> None:
    x = X.round() if isinstance(like, OneHotEncoder) else X
    ready = {"validation": (x.reshape(60, *shape) * 10, Y)}
    plain = load(x)
    made = load(x.reshape(60, *shape), preprocess=preprocess)
    far = load(x.reshape(60, *shape), preprocess=preprocess, test=None, **ready)
    like.fit(plain.train.x)
    for before, after in zip(
        (plain.train, plain.validation, plain.unseal_test()),
        (made.train, made.validation, made.unseal_test()),
        strict=True,
    ):
        expected = like.transform(before.x)
        expected = expected.toarray() if hasattr(expected, "toarray") else expected
        np.testing.assert_allclose(after.x.reshape(expected.shape), expected, atol=1e-5)
        assert after.x.dtype == np.float32 and np.array_equal(before.y, after.y)
        assert after.x.shape[1:] == (
            shape if expected.shape == before.x.shape else expected.shape[1:]
        )
    # Other parts have no influence.
    whole = like.fit(x).transform(x)
    whole = whole.toarray() if hasattr(whole, "toarray") else whole
    np.testing.assert_allclose(far.train.x.reshape(whole.shape), whole, atol=1e-5)
    assert made.preprocessing == (preprocess if isinstance(preprocess, str) else str(preprocess))


def test_single_features_keep_their_shape_and_other_inputs_their_values() -> None:
    assert load(X[:, 0], preprocess="minmax").train.x.shape == (36,)
    inputs = {"tabular": X, "image": X.astype(np.uint8)}
    plain, made = load(inputs), load(inputs, preprocess={"tabular": "standardize", "image": None})
    np.testing.assert_allclose(made.train.x["tabular"].mean(axis=0), 0, atol=1e-6)
    assert np.array_equal(made.train.x["image"], plain.train.x["image"])
    assert made.preprocessing == "tabular: standardize"


def test_the_users_objects_stay_as_they_are() -> None:
    x, transformer = X.copy(), StandardScaler(copy=False)
    load(x, validation=(x, Y), test=None, preprocess=transformer)
    assert np.array_equal(x, X) and not hasattr(transformer, "mean_")


def test_transformers_need_not_be_scikit_learns() -> None:
    class Halves:
        fitted = False

        def fit(self, x: np.ndarray) -> None:
            self.fitted = True

        def transform(self, x: np.ndarray) -> np.ndarray:
            assert self.fitted
            return x / 2

    mine = Halves()
    splits = load(preprocess=mine)
    assert not mine.fitted and splits.preprocessing.endswith("Halves")
    np.testing.assert_allclose(splits.train.x, load().train.x / 2, rtol=1e-6)


def test_transformers_that_draw_at_random_draw_with_the_seed() -> None:
    x = np.random.default_rng(0).normal(size=(60, 40))
    pipeline = make_pipeline(StandardScaler(), PCA(3, svd_solver="randomized", iterated_power=0))
    assert load(x, preprocess=pipeline).digest == load(x, preprocess=pipeline).digest
    assert pipeline[-1].random_state is None


@pytest.mark.parametrize(
    ("x", "preprocess", "words"),
    [
        (X, VarianceThreshold(1e9), "Fitting preprocess=VarianceThreshold.* failed with ValueErro"),
        (np.array([["one word"]] * 60), "standardize", "Fitting preprocess=standardize failed"),
        (X, FunctionTransformer(lambda x: x[:-1]), r"turned the 36 samples .* shape \(35, 4\)"),
        (X, FunctionTransformer(lambda x: x * 1e300), "for x of the train part holds 144 NaN"),
        (X, FunctionTransformer(lambda x: x.astype("U9") + "a"), "Converting the result .* failed"),
        (X, FunctionTransformer(lambda x: 1 / 0), "to x of the train part failed with ZeroDiv"),
        ({"a": X, "b": X}, "standardize", "for x, but x holds arrays named 'a', 'b'.*as dicts"),
        ((X, X), "minmax", "for x, but x holds 2 arrays in a tuple"),
        ({"a": X}, {"tab": "minmax"}, "for 'tab', but x holds arrays named 'a'"),
        (X, {"a": "minmax"}, "for 'a', but x holds one array"),
    ],
)
def test_other_preprocessing_is_refused(x: Any, preprocess: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load(x, preprocess=preprocess)


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
    for own, of, said in (
        (keras.layers.Dense(1), None, "layer must be one with adapt"),
        (keras.layers.Normalization(), None, r"of must be one of .*\['a', 'b'\]. Received: None"),
    ):
        with pytest.raises(DataError, match=said):
            ks.preprocessing.adapted(own, several, of=of)
