"""Splits: the sealed test part, digests, and how samples are divided."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from search_spaces import DataError
from studies.data import Part, Splits, combined_digest, datasets, seal

X = np.arange(400, dtype=np.float32).reshape(100, 4)
Y = np.repeat([0, 1, 2, 3], [10, 20, 30, 40])


def part(start: int, stop: int) -> Part:
    return Part(X[start:stop], Y[start:stop])


def all_parts(splits: Splits) -> dict[str, Part]:
    return {
        "train": splits.train,
        "validation": splits.validation,
        "test": splits.unseal_test(),
    }


# The sealed test part


def test_no_public_attribute_holds_the_test_part() -> None:
    splits = datasets.arrays(X, Y).load()
    test = splits.unseal_test()
    for name in dir(splits):
        if name.startswith(("_", "unseal_")):
            continue
        value = getattr(splits, name)
        value = value() if name == "describe" else value
        assert value is not test
        for array in (test.x, test.y):
            assert not (isinstance(value, np.ndarray) and np.shares_memory(value, array))
    for seen in (splits.train, splits.validation):
        assert not np.isin(test.x[:, 0], seen.x[:, 0]).any()


def test_the_repr_shows_sizes_and_no_values() -> None:
    splits = seal(part(0, 50), part(50, 80), part(80, 100))
    assert repr(splits).startswith("Splits(train=50, validation=30, test=20, ")
    assert "array" not in repr(splits)
    assert repr(splits.train) == "Part(x=float32(50, 4), y=int64(50,))"


def test_unsealing_returns_what_was_sealed() -> None:
    splits = seal(part(0, 50), part(50, 80), part(80, 100))
    assert np.array_equal(splits.unseal_test().x, X[80:])


@pytest.mark.parametrize("none", [None, 0, 0.0])
def test_without_a_test_part_there_is_nothing_to_unseal(none: float | None) -> None:
    splits = datasets.arrays(X, Y, test=none).load()
    assert set(splits.digests) == {"train", "validation"} == set(splits.sizes)
    with pytest.raises(DataError, match=r"no test part.*test=0\.2"):
        splits.unseal_test()


# Parts and digests


def test_parts_can_not_be_written_to_but_the_users_array_can() -> None:
    x = X.copy()
    made = Part(x, Y)
    with pytest.raises(ValueError, match="read-only"):
        made.x[0] = 1
    x[0] = 1
    assert len(made) == 100


def test_digests_are_those_of_the_parts_and_one_over_all() -> None:
    splits = seal(part(0, 50), part(50, 80), part(80, 100))
    assert splits.digests == {n: p.digest for n, p in all_parts(splits).items()}
    assert splits.digest == combined_digest(splits.digests)
    assert splits.train.digest == (
        "cd0910279d6b0f86cbcb286f7f36fbf69186850252141e29672272f323377d9e"
    )


def test_a_change_in_the_test_part_alone_changes_its_digest_and_the_whole() -> None:
    before = seal(part(0, 50), part(50, 80), part(80, 100))
    after = seal(part(0, 50), part(50, 80), Part(X[80:] + 1, Y[80:]))
    assert before.digests["train"] == after.digests["train"]
    assert before.digests["validation"] == after.digests["validation"]
    assert before.digests["test"] != after.digests["test"]
    assert before.digest != after.digest


def test_the_digests_of_splits_can_not_be_changed() -> None:
    splits = seal(part(0, 50), part(50, 80), None)
    digests: Any = splits.digests
    with pytest.raises(TypeError):
        digests["train"] = "0"


def test_describe_is_json_and_complete() -> None:
    described: dict[str, Any] = datasets.arrays(X, Y, preprocess="minmax").load().describe()
    assert json.loads(json.dumps(described)) == described
    assert described["sizes"] == {"train": 60, "validation": 20, "test": 20}
    assert described["classes"] == 4
    assert described["preprocessing"] == "minmax"
    assert described["shapes"]["test"] == {"x": [20, 4], "y": [20]}
    assert described["dtypes"]["train"] == {"x": "float32", "y": "int64"}


# Splitting


def test_every_sample_is_in_exactly_one_part_with_its_own_target() -> None:
    parts = all_parts(datasets.arrays(X, Y, validation=0.3, test=15).load())
    assert {name: len(p) for name, p in parts.items()} == {
        "train": 55,
        "validation": 30,
        "test": 15,
    }
    rows = np.concatenate([p.x[:, 0] for p in parts.values()])
    assert np.array_equal(np.sort(rows), X[:, 0])
    for p in parts.values():
        assert np.array_equal(Y[(p.x[:, 0] // 4).astype(int)], p.y)


@pytest.mark.parametrize(
    "y",
    [Y, Y.astype(np.uint8), Y[:, None], np.eye(4)[Y], np.eye(4, dtype=np.int8)[Y]],
    ids=["int64", "uint8", "column", "one-hot floats", "one-hot integers"],
)
def test_classes_are_split_in_equal_proportions(y: np.ndarray) -> None:
    splits = datasets.arrays(X, y, validation=0.2, test=0.1).load()
    assert splits.classes == 4
    expected = {"train": [7, 14, 21, 28], "validation": [2, 4, 6, 8], "test": [1, 2, 3, 4]}
    for name, p in all_parts(splits).items():
        labels = Y[(p.x[:, 0] // 4).astype(int)]
        assert np.bincount(labels).tolist() == expected[name]
        assert p.y.dtype == y.dtype


@pytest.mark.parametrize(
    "y",
    [Y > 1, (Y > 1).astype(np.float32), (Y > 1).astype(np.float64)[:, None]],
    ids=["bool", "float", "column"],
)
def test_two_classes_are_stratified_whatever_their_dtype(y: np.ndarray) -> None:
    splits = datasets.arrays(X, y).load()
    assert splits.classes == 2
    assert splits.validation.y.sum() == 14


@pytest.mark.parametrize(
    "y",
    [
        np.linspace(0, 1, 100),
        np.linspace(0, 1, 200).reshape(100, 2),
        np.where(Y > 1, 1, -1),
        np.stack([Y, Y], axis=1),
        np.zeros((100, 3, 2)) + np.arange(100)[:, None, None],
    ],
    ids=["floats", "several", "negative integers", "integer rows", "rank 3"],
)
def test_quantities_are_a_regression(y: np.ndarray) -> None:
    splits = datasets.arrays(X, y).load()
    assert splits.classes is None
    assert splits.train.y.shape == (60, *y.shape[1:])


def test_stratify_false_draws_at_random_and_knows_the_classes_still() -> None:
    rare = np.r_[np.zeros(99, int), 1]
    found = set()
    for seed in range(10):
        try:
            splits = datasets.arrays(X, rare, stratify=False, test=None, seed=seed).load()
        except DataError as error:
            found.add("refused")
            assert "training part of y holds one class only: 0" in str(error)
        else:
            found.add("drawn")
            assert splits.classes == 2
            assert splits.train.y.sum() == 1
    assert "drawn" in found


@pytest.mark.parametrize(("validation", "test"), [(3, None), (3, 3), (0.05, 0.1), (94, None)])
def test_each_part_has_each_class_however_rare(
    validation: float | int, test: float | int | None
) -> None:
    """Of 90, 4 and 3 samples: a share of 3 of them, rounded, is 3, 0 and 0."""
    y = np.repeat([0, 1, 2], [90, 4, 3])
    x = np.arange(97.0)[:, None]
    for seed in range(5):
        data = datasets.arrays(x, y, validation=validation, test=test, seed=seed)
        splits = data.load()
        parts = {"train": splits.train, "validation": splits.validation}
        parts |= {} if test is None else {"test": splits.unseal_test()}
        for part in parts.values():
            assert set(part.y) == {0, 1, 2}
        held = np.concatenate([part.x[:, 0] for part in parts.values()])
        assert sorted(held) == list(range(97))
        assert all((y[part.x[:, 0].astype(int)] == part.y).all() for part in parts.values())
        assert (data.load().train.x == splits.train.x).all()


def test_stratify_true_takes_quantities_as_strata() -> None:
    splits = datasets.arrays(X, Y - 2, stratify=True, validation=0.2, test=0.1).load()
    assert splits.classes is None
    assert np.unique(splits.validation.y, return_counts=True)[1].tolist() == [2, 4, 6, 8]


def test_stratify_true_refuses_several_targets() -> None:
    with pytest.raises(DataError, match=r"stratify=True needs one class.*\(100, 2\)"):
        datasets.arrays(X, np.stack([Y, Y], axis=1), stratify=True).load()


def test_splits_depend_on_the_seed_alone() -> None:
    first = datasets.arrays(X, Y, seed=3).load()
    assert first.digests == datasets.arrays(X.copy(), Y.copy(), seed=3).load().digests
    assert first.digest != datasets.arrays(X, Y, seed=4).load().digest


def test_splits_are_the_same_on_every_machine() -> None:
    assert datasets.arrays(X, Y).load().digest == (
        "e0c4e6d18e5f59afa95fef395dc67b828e9149b4b3105bab4dfcf210eaeeeb40"
    )
    assert datasets.arrays(X, Y * 0.5 + 0.25).load().digest == (
        "d7e5a4530b1892c2ad83fded29e636454308a1a732debbfe6483587aa48d5266"
    )


def test_ready_made_parts_stay_as_they_are() -> None:
    x_test, y_test = X[::-1][:10] + 0.5, Y[::-1][:10]
    splits = datasets.arrays(X, Y, validation=(X[:5], Y[:5]), test=(x_test, y_test)).load()
    assert np.array_equal(splits.train.x, X)
    assert np.array_equal(splits.validation.x, X[:5])
    assert np.array_equal(splits.unseal_test().x, x_test)


def test_a_share_beside_a_ready_made_part_is_of_the_samples_given() -> None:
    splits = datasets.arrays(X, Y, validation=0.2, test=(X[:7], Y[:7])).load()
    assert splits.sizes == {"train": 80, "validation": 20, "test": 7}


def test_classes_are_counted_in_all_parts() -> None:
    splits = datasets.arrays(X[:60], Y[:60], test=(X[60:], Y[60:])).load()
    assert splits.classes == 4


def test_changing_the_users_arrays_after_loading_changes_no_part() -> None:
    x, y = X.copy(), Y.copy()
    splits = datasets.arrays(x, y, validation=(x, y), test=None).load()
    x[:] = -1
    assert splits.train.digest == splits.digests["train"]
    assert splits.validation.digest == splits.digests["validation"]


def grouping(groups: np.ndarray | None, count: int) -> set[frozenset[int]]:
    """The places of samples by group; of independent samples each alone."""
    codes = range(count) if groups is None else groups.tolist()
    places: dict[int, set[int]] = {}
    for place, code in enumerate(codes):
        places.setdefault(code, set()).add(place)
    return {frozenset(each) for each in places.values()}


@pytest.mark.parametrize("kind", ["numbers", "texts", "several inputs"])
def test_copies_of_a_sample_are_a_group(kind: str) -> None:
    rng = np.random.default_rng(0)
    once: Any = rng.normal(size=(30, 4)).astype("float32")
    if kind == "texts":
        once = np.array([f"the text of number {row}" for row in range(30)], dtype=object)
    y = rng.integers(0, 2, 30)
    y[:2] = 0, 1
    order = rng.permutation(90)
    x, y = np.tile(once, (3,) + (1,) * (once.ndim - 1))[order], np.tile(y, 3)[order]
    given: Any = {"one": x, "other": np.arange(30.0)[order % 30]} if kind[0] == "s" else x
    splits = datasets.arrays(given, y, validation=(given, y), test=None).load()
    expected = {frozenset(np.flatnonzero(order % 30 == row).tolist()) for row in range(30)}
    assert grouping(splits.validation.groups, 90) == expected
    # With another target it is another sample.
    other = y.copy()
    first = int(np.flatnonzero(order % 30 == 0)[0])
    other[first] = 1 - other[first]
    splits = datasets.arrays(given, other, validation=(given, other), test=None).load()
    assert frozenset([first]) in grouping(splits.validation.groups, 90)


@pytest.mark.parametrize("columns", [1, 2])
def test_continuous_rows_are_copies_however_few_their_columns(columns: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1000, columns)), rng.normal(size=1000)
    order = rng.permutation(2000) % 1000
    weights = rng.random(2000)
    splits = datasets.arrays(
        x[order], y[order], sample_weight=weights, validation=(x, y, weights[:1000]), test=None
    ).load()
    assert splits.validation.groups is None
    found = grouping(splits.train.grouped.groups, 2000)
    assert found == {frozenset(np.flatnonzero(order == row).tolist()) for row in range(1000)}


@pytest.mark.parametrize("kind", ["numbers", "texts", "one-hot"])
def test_categories_that_repeat_by_chance_are_no_copies(kind: str) -> None:
    rng = np.random.default_rng(2)
    x: Any = rng.integers(0, 2, (600, 8))
    if kind == "texts":
        x = np.array(["no", "yes"], dtype=object)[x]
    elif kind == "one-hot":
        x = np.concatenate([x, 1 - x], axis=1)
    y = rng.integers(0, 2, 600)
    assert datasets.arrays(x, y, validation=(x, y), test=None).load().validation.groups is None


def test_rows_that_repeat_by_chance_are_no_copies() -> None:
    rng = np.random.default_rng(1)
    # Age in years and sex: 200 people have few other combinations.
    x = np.stack([rng.integers(20, 60, 200), rng.integers(0, 2, 200)], axis=1).astype("float32")
    y = rng.integers(0, 2, 200)
    assert len(np.unique(np.column_stack([x, y]), axis=0)) < 150
    splits = datasets.arrays(x, y, validation=(x, y), test=(x, y)).load()
    assert splits.validation.groups is None
    assert splits.unseal_test().groups is None
