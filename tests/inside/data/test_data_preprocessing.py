"""Preprocessing: fitted on the training part alone, applied to all parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.feature_selection import VarianceThreshold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from search_spaces import DataError
from studies.data import datasets

X = np.random.default_rng(0).normal(3, 5, size=(60, 4))
Y = np.arange(60) % 3


@pytest.mark.parametrize("preprocess", ["standardize", "minmax", StandardScaler(), PCA(2)])
def test_other_parts_have_no_say_in_what_is_fitted(preprocess: object) -> None:
    def train(factor: float) -> np.ndarray:
        # Which samples go where depends on y and the seed, not on x.
        x = X.copy()
        plain = datasets.arrays(X, Y).load()
        outside = ~np.isin(X[:, 0], plain.train.x[:, 0])
        assert outside.sum() == 24
        x[outside] *= factor
        return datasets.arrays(x, Y, preprocess=preprocess).load().train.x

    assert np.array_equal(train(1), train(1000))


def test_other_parts_are_transformed_by_what_the_training_part_taught() -> None:
    plain = datasets.arrays(X, Y).load()
    scaled = datasets.arrays(X, Y, preprocess="standardize").load()
    mean, deviation = plain.train.x.mean(axis=0), plain.train.x.std(axis=0)
    for before, after in (
        (plain.train, scaled.train),
        (plain.validation, scaled.validation),
        (plain.unseal_test(), scaled.unseal_test()),
    ):
        np.testing.assert_allclose(after.x, (before.x - mean) / deviation, atol=1e-6)
        assert after.x.dtype == np.float32
        assert np.array_equal(before.y, after.y)


def test_ready_made_parts_are_transformed_and_not_learned_from() -> None:
    splits = datasets.arrays(
        X, Y, validation=(X * 10, Y), test=(X * 100, Y), preprocess="minmax"
    ).load()
    assert splits.train.x.min() == 0
    assert splits.train.x.max() == pytest.approx(1)
    assert splits.validation.x.max() > 2
    assert splits.unseal_test().x.max() > 20


def test_images_are_scaled_pixel_by_pixel_and_keep_their_shape() -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 5, 4, 3)).astype(np.uint8)
    splits = datasets.arrays(images, Y, preprocess="standardize").load()
    assert splits.train.x.shape == (36, 5, 4, 3)
    np.testing.assert_allclose(splits.train.x.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(splits.train.x.std(axis=0), 1, atol=1e-5)


def test_single_features_keep_their_shape() -> None:
    splits = datasets.arrays(X[:, 0], Y, preprocess="minmax").load()
    assert splits.train.x.shape == (36,)


def test_a_transformer_may_change_the_number_of_features() -> None:
    assert datasets.arrays(X, Y, preprocess=PCA(2)).load().train.x.shape == (36, 2)
    images = X.reshape(60, 2, 2)
    assert datasets.arrays(images, Y, preprocess=PCA(3)).load().train.x.shape == (36, 3)


def test_sparse_results_are_made_dense() -> None:
    coded = np.arange(60)[:, None] % 5
    splits = datasets.arrays(coded, Y, preprocess=OneHotEncoder(handle_unknown="ignore")).load()
    assert splits.validation.x.shape == (12, 5)
    assert splits.validation.x.sum() == 12


def test_the_users_transformer_stays_unfitted() -> None:
    transformer = StandardScaler()
    datasets.arrays(X, Y, preprocess=transformer).load()
    assert not hasattr(transformer, "mean_")


def test_the_users_arrays_stay_as_they_are() -> None:
    x = X.copy()
    ready = X.copy()
    transformer = StandardScaler(copy=False)
    datasets.arrays(x, Y, validation=(ready, Y), test=None, preprocess=transformer).load()
    assert np.array_equal(x, X)
    assert np.array_equal(ready, X)


def test_transformers_need_not_be_scikit_learns() -> None:
    class Halves:
        fitted = False

        def fit(self, x: np.ndarray) -> None:
            self.fitted = True

        def transform(self, x: np.ndarray) -> np.ndarray:
            assert self.fitted
            return x / 2

    mine = Halves()
    splits = datasets.arrays(X, Y, preprocess=mine).load()
    assert not mine.fitted
    assert splits.preprocessing is not None
    assert splits.preprocessing.endswith("Halves")


def test_transformers_that_draw_at_random_draw_with_the_seed() -> None:
    x = np.random.default_rng(0).normal(size=(200, 40))
    y = np.arange(200) % 2
    pipeline = make_pipeline(StandardScaler(), PCA(3, svd_solver="randomized", iterated_power=0))
    one, two = (datasets.arrays(x, y, preprocess=pipeline).load().digest for _ in range(2))
    assert one == two
    assert pipeline[-1].random_state is None


@pytest.mark.parametrize(
    ("preprocess", "name"),
    [
        (None, None),
        ("minmax", "minmax"),
        (StandardScaler(with_mean=False), "StandardScaler(with_mean=False)"),
    ],
    ids=["none", "minmax", "transformer"],
)
def test_the_preprocessing_is_named(preprocess: Any, name: str | None) -> None:
    dataset = datasets.arrays(X, Y, preprocess=preprocess)
    assert dataset.load().preprocessing == name
    assert name is None or name in repr(dataset)


@pytest.mark.parametrize(
    ("preprocess", "said"),
    [
        (VarianceThreshold(1e9), r"Fitting preprocess=VarianceThreshold.* failed with ValueError"),
        (FunctionTransformer(lambda x: x[:-1]), r"made an array of shape \(35, 4\) of the 36"),
        (FunctionTransformer(lambda x: x * 1e300), "holds 144 infinite value"),
        (FunctionTransformer(lambda x: x.astype("U9") + "a"), "Converting what .* failed"),
        (
            FunctionTransformer(lambda x: 1 / 0),
            "Applying .* to x of the train part failed with ZeroDiv",
        ),
    ],
    ids=["fit", "rows", "overflow", "text", "transform"],
)
def test_failing_transformers_are_named(preprocess: object, said: str) -> None:
    dataset = datasets.arrays(X, Y, preprocess=preprocess)
    with pytest.raises(DataError, match=said):
        dataset.load()
