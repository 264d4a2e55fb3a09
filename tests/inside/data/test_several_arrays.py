"""Several inputs and outputs: dicts by name, tuples in order; split, checked and told together."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from search_spaces import DataError
from studies.data import Part, Splits, datasets

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(60, 3))
# Each sample's number is in all of its arrays.
IMAGES = np.arange(60, dtype=np.uint8).reshape(60, 1, 1, 1) * np.ones((1, 4, 4, 1), np.uint8)
NUMBERS = np.arange(60.0)
KIND = np.repeat([0, 1, 2], [10, 20, 30])
X = {"tabular": ROWS, "image": IMAGES}
Y = {"kind": KIND, "number": NUMBERS}


def parts(splits: Splits) -> list[Part]:
    return [splits.train, splits.validation, splits.unseal_test()]


def load(x: Any = X, y: Any = Y, **options: Any) -> Splits:
    return datasets.arrays(x, y, **options).load()


def test_arrays_by_name_are_split_together() -> None:
    splits = load(sample_weight=NUMBERS + 1)
    assert splits.sizes == {"train": 36, "validation": 12, "test": 12}
    assert splits.classes is None, "several targets are of several kinds"
    seen = []
    for part in parts(splits):
        assert isinstance(part.x, dict) and isinstance(part.y, dict)
        numbers = part.y["number"].astype(int)
        assert np.array_equal(part.x["image"][:, 0, 0, 0], numbers)
        assert np.array_equal(part.x["tabular"], ROWS[numbers])
        assert np.array_equal(part.y["kind"], KIND[numbers])
        assert np.array_equal(part.sample_weight, numbers + 1)  # type: ignore[arg-type]
        assert part.x["image"].dtype == np.uint8
        seen += list(numbers)
    assert sorted(seen) == list(range(60))


def test_a_tuple_of_arrays_is_several_and_a_list_is_data() -> None:
    splits = load((ROWS, IMAGES), (KIND, NUMBERS))
    assert isinstance(splits.train.x, tuple) and isinstance(splits.train.y, tuple)
    assert np.array_equal(splits.train.x[1][:, 0, 0, 0], splits.train.y[1])
    two = [[1.0, 2.0], [3.0, 4.0]]
    nested = load(two, [0, 1], validation=(two, [0, 1]), test=None)
    assert isinstance(nested.train.x, np.ndarray)
    as_tuples = load(tuple(map(tuple, two)), (0, 1), validation=(two, [0, 1]), test=None)
    assert as_tuples.digest == nested.digest


def test_one_input_and_several_outputs_and_the_other_way_round() -> None:
    splits = load(ROWS, Y)
    assert isinstance(splits.train.x, np.ndarray) and isinstance(splits.train.y, dict)
    splits = load(X, KIND)
    assert splits.classes == 3
    assert isinstance(splits.train.y, np.ndarray)
    assert np.bincount(splits.validation.y).tolist() == [2, 4, 6], "stratified"


def test_frames_and_lists_are_taken_by_name() -> None:
    frame = {"tabular": pd.DataFrame(ROWS), "image": IMAGES.tolist()}
    expected = load({"tabular": ROWS, "image": IMAGES.astype(np.int64)})
    assert load(frame).digest == expected.digest


# Digests


def test_names_count_and_their_order_does_not() -> None:
    digest = load().digest
    turned = {"image": IMAGES, "tabular": ROWS}, {"number": NUMBERS, "kind": KIND}
    assert load(*turned).digest == digest
    renamed = {"pixels": IMAGES, "tabular": ROWS}
    swapped = {"image": ROWS, "tabular": IMAGES}
    others = {load(renamed).digest, load(swapped).digest, load(tuple(X.values())).digest}
    assert len({digest, *others}) == 4
    assert list(load(*turned).train.x) == ["image", "tabular"]  # type: ignore[arg-type]


def test_they_are_read_only() -> None:
    splits = load()
    with pytest.raises(ValueError, match="read-only"):
        splits.train.x["image"][0] = 1


# What is said


def test_they_are_told_by_name() -> None:
    dataset = datasets.arrays(X, (KIND, NUMBERS), preprocess={"tabular": "minmax"})
    assert repr(dataset) == (
        "datasets.arrays({'tabular': <ndarray float64 (60, 3)>, 'image': <ndarray uint8 "
        "(60, 4, 4, 1)>}, (<ndarray int64 (60,)>, <ndarray float64 (60,)>), "
        "preprocess={'tabular': 'minmax'})"
    )
    splits = dataset.load()
    assert "x['image']=uint8(36, 4, 4, 1)" in repr(splits.train)
    described: Any = json.loads(json.dumps(splits.describe()))
    assert described["shapes"]["train"]["x"] == {"image": [36, 4, 4, 1], "tabular": [36, 3]}
    assert described["dtypes"]["train"]["y"] == ["int64", "float64"]
    assert described["preprocessing"] == "tabular: minmax"


# Preprocessing


def test_preprocessing_by_name_leaves_the_others_alone() -> None:
    splits = load(preprocess={"tabular": "standardize", "image": None})
    raw, made = load().train.x, splits.train.x
    assert isinstance(raw, dict) and isinstance(made, dict)
    np.testing.assert_allclose(made["tabular"].mean(axis=0), 0, atol=1e-6)
    assert np.array_equal(made["image"], raw["image"])
    assert splits.preprocessing == "tabular: standardize"


@pytest.mark.parametrize(
    ("x", "preprocess", "said"),
    [
        (X, "standardize", "is for one array, and x holds arrays named 'image', 'tabular'.*dict"),
        ((ROWS, IMAGES), "minmax", "is for one array, and x holds 2 arrays in a tuple"),
        (X, {"tab": "minmax"}, "preprocess names 'tab', and x holds arrays named 'image'"),
        (ROWS, {"tabular": "minmax"}, "preprocess names 'tabular', and x holds one array"),
    ],
    ids=["dict", "tuple", "unknown", "single"],
)
def test_preprocessing_that_does_not_say_of_what_is_refused(
    x: Any, preprocess: Any, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        load(x, preprocess=preprocess)


def test_each_preprocessing_is_checked_when_described() -> None:
    with pytest.raises(DataError, match="Did you mean 'minmax'"):
        datasets.arrays(X, Y, preprocess={"tabular": "min-max"})


def test_what_a_preprocessing_makes_goes_by_its_inputs_name() -> None:
    huge = {**X, "tabular": ROWS * 1e300}
    with pytest.raises(DataError, match=r"made of x\['tabular'\] of the train part holds"):
        load(huge, preprocess={"tabular": Huge()})


class Huge:
    def fit(self, x: np.ndarray) -> Huge:
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        return x


# Stratifying


def test_several_targets_are_split_by_the_one_that_is_named() -> None:
    for part, count in zip(parts(load(stratify="kind")), (6, 2, 2), strict=True):
        assert np.bincount(part.y["kind"]).tolist() == [count, 2 * count, 3 * count]  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("y", "stratify", "said"),
    [
        (Y, True, "stratify=True does not say which.*arrays named 'kind', 'number'.*name of an"),
        (Y, "size", "stratify='size' does not say which.*arrays named 'kind', 'number'"),
        ((KIND, NUMBERS), True, "y holds 2 arrays in a tuple"),
        (KIND, "kind", "stratify='kind' does not say which.*one array. Pass stratify=True or"),
        ({"kind": NUMBERS.astype(int)}, "kind", r"Class 0 of y\['kind'\] has 1 sample"),
        ({"rows": ROWS, "kind": KIND}, "rows", r"one class for each sample, but y\['rows'\] has"),
    ],
    ids=["True", "unknown", "tuple", "single", "rare", "rows"],
)
def test_what_can_not_be_stratified_by_is_refused(y: Any, stratify: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        load(X, y, stratify=stratify)


# Ready-made parts


def test_ready_made_parts_hold_the_same_arrays() -> None:
    part = ({"image": IMAGES[:7], "tabular": ROWS[:7]}, {"kind": KIND[:7], "number": NUMBERS[:7]})
    splits = load(validation=part, test=None)
    assert splits.sizes == {"train": 60, "validation": 7}


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (
            IMAGES,
            Y,
            "x of the ready-made validation part holds one array, but x holds arrays named",
        ),
        ({"image": IMAGES}, Y, "holds arrays named 'image', but x holds"),
        (X, (KIND, NUMBERS), "y of the .* holds 2 arrays in a tuple, but y holds"),
        ({**X, "tabular": ROWS[:, :2]}, Y, r"x\['tabular'\] of the ready-made .* has shape \(2,\)"),
    ],
    ids=["one", "fewer", "tuple", "shape"],
)
def test_ready_made_parts_of_other_arrays_are_refused(x: Any, y: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        load(validation=(x, y))


# Refused


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        ({**X, "image": IMAGES[:5]}, Y, r"x\['image'\] and x\['tabular'\] differ in length: 5 and"),
        (X, {**Y, "kind": KIND[:5]}, r"x\['image'\] and y\['kind'\] differ in length: 60 and 5"),
        ({**X, "tabular": ROWS * np.inf}, Y, r"x\['tabular'\] holds .* infinite"),
        ((ROWS, IMAGES * np.nan), Y, r"x\[1\] holds 960 NaN"),
        (
            {**X, "name": ["a", None] * 30},
            Y,
            r"x\['name'\] holds texts, and values that are none",
        ),
        ({**X, 3: ROWS}, Y, "x has an array under the name 3. Name arrays by texts"),
        ({}, Y, "x is an empty dict"),
        ({"inner": X}, Y, r"x\['inner'\] has dtype object.*an array of Python objects"),
    ],
    ids=["inputs", "targets", "infinite", "NaN", "text", "name", "empty", "nested"],
)
def test_wrong_arrays_are_named(x: Any, y: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        load(x, y)
