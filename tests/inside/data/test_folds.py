"""Folds of data: those of scikit-learn, of all samples but the test part; what can't be split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import model_selection
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import kerastudy as ks
from search_spaces import DataError
from studies.data import (
    CrossValidation,
    Dataset,
    FoldedSplits,
    Splits,
    check_cross_validation,
    read_spelled,
)
from tracking.records import ALL_FOLDS

COUNT = 60
X = np.arange(COUNT * 2, dtype="float32").reshape(COUNT, 2)
Y = np.random.default_rng(1).permutation(np.repeat([0, 1, 2], [30, 20, 10]))
GROUPS = np.repeat(np.arange(12), 5)
NO_TEST = ks.datasets.arrays(X, Y, test=None)


def folded(how: Any, data: Dataset = NO_TEST) -> FoldedSplits:
    found = check_cross_validation(how)
    assert found is not None
    return data.load_folds(found)


def rows(splits: Splits) -> tuple[list[int], list[int]]:
    """Which samples are in the two parts: each has its number in it."""
    parts = (splits.train.x, splits.validation.x)
    return tuple((np.asarray(x)[:, 0] / 2).astype(int).tolist() for x in parts)  # type: ignore[return-value]


K = model_selection


@pytest.mark.parametrize(
    ("how", "splitter", "y"),
    [
        (4, K.StratifiedKFold(4, shuffle=True, random_state=0), Y),
        (4, K.KFold(4, shuffle=True, random_state=0), Y / 7),
        (ks.splits.stratified(3, seed=5), K.StratifiedKFold(3, shuffle=True, random_state=5), Y),
        (ks.splits.k_fold(5, seed=2), K.KFold(5, shuffle=True, random_state=2), Y),
        (ks.splits.grouped(GROUPS, 3), K.StratifiedGroupKFold(3, shuffle=True, random_state=0), Y),
        (ks.splits.grouped(GROUPS, 3), K.GroupKFold(3), Y / 7),
        (
            ks.splits.repeated(3, times=2, seed=1),
            K.RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=1),
            Y,
        ),
        (ks.splits.repeated(3), K.RepeatedKFold(n_splits=3, n_repeats=2, random_state=0), Y / 7),
        (ks.splits.forward(4), K.TimeSeriesSplit(4), Y / 7),
        (
            ks.splits.forward(3, gap=2, test_size=5, max_train_size=20),
            K.TimeSeriesSplit(3, gap=2, test_size=5, max_train_size=20),
            Y / 7,
        ),
    ],
)
def test_folds_are_those_of_scikit_learn(how: Any, splitter: Any, y: np.ndarray) -> None:
    data = ks.datasets.arrays(X, y, test=None)
    made = folded(how, data)
    wanted = [(a.tolist(), b.tolist()) for a, b in splitter.split(X, y, GROUPS)]
    assert [rows(made.of(fold)) for fold in range(made.folds)] == wanted
    for fold, (train, validation) in enumerate(wanted):
        # The identity of a fold is that of these arrays.
        plain = ks.datasets.arrays(
            X[train], y[train], validation=(X[validation], y[validation]), test=None
        )
        assert made.of(fold).digest == plain.load().digest
        assert made.details["folds"][fold]["digest"] == plain.load().digest
    validated = {row for _, validation in wanted for row in validation}
    assert made.sizes == {"train": COUNT, "validation": len(validated)}
    if not isinstance(how, int) and "groups" not in repr(how) and "samples" not in repr(how):
        again = read_spelled(repr(how))
        assert again is not None and repr(again) == repr(how)


def test_all_but_the_test_part_is_split_and_that_stays_sealed() -> None:
    data = ks.datasets.arrays(X, Y, validation=0.4, test=12)
    rest, test = train_test_split(
        np.arange(COUNT), train_size=48, test_size=12, random_state=0, stratify=Y
    )
    made = folded(3, data)
    assert np.array_equal(made.whole.unseal_test().x, X[test])
    assert np.array_equal(made.whole.train.x, X[rest])
    assert made.digests["test"] == data.load().digests["test"], "whatever the folds"
    for fold in range(3):
        assert "test" not in made.of(fold).digests
        with pytest.raises(ks.errors.NoTestPartError):
            made.of(fold).unseal_test()


def test_a_ready_made_validation_part_follows_the_other_samples() -> None:
    weights = np.linspace(1, 2, 40)
    data = ks.datasets.arrays(
        X[:40], Y[:40], sample_weight=weights, validation=(X[40:], Y[40:]), test=None
    )
    whole = folded(3, data).whole.train
    assert np.array_equal(whole.x, X) and np.array_equal(whole.y, Y)
    assert whole.sample_weight is not None
    assert np.array_equal(whole.sample_weight, [*weights, *np.ones(20)])


def test_preprocessing_is_fitted_on_the_training_part_of_each_fold() -> None:
    made = folded(3, ks.datasets.arrays(X, Y, test=9, preprocess="standardize"))
    plain = folded(3, ks.datasets.arrays(X, Y, test=9))
    for fold in (0, 1, 2, ALL_FOLDS):
        raw = plain.of(fold)
        scaler = StandardScaler().fit(raw.train.x)
        np.testing.assert_allclose(made.of(fold).train.x, scaler.transform(raw.train.x), atol=1e-6)
        validation = scaler.transform(raw.validation.x)
        np.testing.assert_allclose(made.of(fold).validation.x, validation, atol=1e-6)
    test = scaler.transform(plain.whole.unseal_test().x)
    np.testing.assert_allclose(made.whole.unseal_test().x, test, atol=1e-6)


def test_processes_share_the_files_of_folds(tmp_path: Path) -> None:
    how = ks.splits.stratified(3)
    alone = NO_TEST.load_folds(how)
    first, second = (NO_TEST.load_folds(how, tmp_path) for _ in range(2))
    described = [(each.digest, each.sizes, each.describe()) for each in (first, second, alone)]
    assert described[0] == described[1] == described[2]
    for fold in (0, 1, 2, ALL_FOLDS):
        array = second.of(fold).train.x
        assert isinstance(array, np.memmap) and Path(str(array.filename)).is_relative_to(tmp_path)
        assert second.of(fold).digest == alone.of(fold).digest


@pytest.mark.parametrize(
    ("how", "data", "told"),
    [
        (11, NO_TEST, "Class 2 of y has 10 sample.s., fewer than 11 folds"),
        (ks.splits.stratified(2), ks.datasets.arrays(X, Y / 7), "needs classes"),
        (ks.splits.stratified(2), ks.datasets.arrays(X, Y, stratify=False), "stratify=False"),
        (ks.splits.grouped(GROUPS[1:], 3), NO_TEST, "holds 59 group.s. for 60 samples"),
        (ks.splits.grouped(GROUPS, 13), NO_TEST, "12 group.s. can't be split into 13 folds"),
        (ks.splits.grouped(GROUPS, 3), ks.datasets.arrays(X, Y), "some groups would be in both"),
        (ks.splits.forward(3), ks.datasets.arrays(X, Y), "would be earlier"),
        (ks.splits.forward(70), ks.datasets.arrays(X, Y / 7, test=None), "can't be split into 70"),
        (ks.splits.forward(3, test_size=30), NO_TEST, "can't be split by splits.forward"),
    ],
)
def test_what_can_not_be_split(how: Any, data: Dataset, told: str) -> None:
    with pytest.raises(DataError, match=told) as raised:
        folded(how, data)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ks.splits.stratified(1),
        lambda: ks.splits.k_fold(2.0),  # type: ignore[arg-type]
        lambda: ks.splits.k_fold(2, seed=-1),
        lambda: ks.splits.repeated(3, times=0),
        lambda: ks.splits.forward(3, gap=-1),
        lambda: ks.splits.forward(3, test_size=0),
        lambda: ks.splits.grouped([[1, 2]], 2),
    ],
)
def test_wrong_numbers(make: Any) -> None:
    with pytest.raises(DataError, match="Received"):
        make()


def test_how_to_split_is_said_as_it_is_called() -> None:
    shown: list[CrossValidation] = [
        ks.splits.stratified(5),
        ks.splits.repeated(5, times=3, seed=2),
        ks.splits.forward(4, gap=7),
    ]
    assert [repr(each) for each in shown] == [
        "splits.stratified(5)",
        "splits.repeated(5, times=3, seed=2)",
        "splits.forward(4, gap=7)",
    ]
    assert repr(check_cross_validation(5)) == "5"


def test_samples_of_folds_keep_their_groups() -> None:
    found = folded(ks.splits.grouped(GROUPS, 3))
    for fold in range(3):
        splits = found.of(fold)
        held = GROUPS[rows(splits)[1]]
        pairs = set(zip(held.tolist(), np.asarray(splits.validation.groups).tolist(), strict=True))
        assert len(pairs) == len(set(held.tolist())) == len({code for _, code in pairs})


def test_copies_in_several_folds_are_one_group() -> None:
    x, y = np.random.default_rng(2).normal(size=(20, 3)).astype("float32"), np.arange(20) % 2
    data = ks.datasets.arrays(np.tile(x, (4, 1)), np.tile(y, 4), test=None)
    found = folded(ks.splits.k_fold(4), data)
    codes: dict[bytes, set[int]] = {}
    for fold in range(4):
        part = found.of(fold).validation
        for row, code in zip(np.asarray(part.x), np.asarray(part.groups), strict=True):
            codes.setdefault(row.tobytes(), set()).add(int(code))
    assert len(codes) == 20
    assert all(len(each) == 1 for each in codes.values())
