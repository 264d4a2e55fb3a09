"""Data in arrays: parts, digests, several inputs, sample weights."""

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import kerastudy as ks

datasets = ks.datasets
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 3))
Y = np.arange(60) % 2
# Each weight shows whose it is.
WEIGHTS = X[:, 0] ** 2
# Each sample's number is in all of its arrays.
IMAGES = np.arange(60, dtype=np.uint8).reshape(60, 1, 1, 1) * np.ones((1, 4, 4, 1), np.uint8)
KIND, NUMBERS = np.repeat([0, 1, 2], [10, 20, 30]), np.arange(60.0)
INPUTS, TARGETS = {"tabular": X, "image": IMAGES}, {"kind": KIND, "number": NUMBERS}


def load(x: Any = X, y: Any = Y, **options: Any) -> Any:
    return datasets.arrays(x, y, **options).load()


def parts(splits: Any) -> list[Any]:
    return [splits.train, splits.validation, splits.unseal_test()]


class Untouchable:
    """Fails the test when it is read."""

    def __array__(self, *arguments: object, **options: object) -> np.ndarray:
        raise AssertionError("the data was read")


def test_describing_reads_nothing_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from studies.data import datasets, Dataset, Splits, Part;"
        "datasets.digits(); datasets.npz('none.npz', preprocess='minmax');"
        "datasets.arrays([[1.0], [2.0]], [0, 1], preprocess='standardize');"
        "heavy = {'sklearn', 'tensorflow', 'keras', 'pandas', 'scipy'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    command, root = [sys.executable, "-c", code], Path(ks.__file__).parent
    process = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    assert process.stdout.strip() == "[]"
    data = datasets.arrays(Untouchable(), Untouchable())
    assert repr(data) == "<data 'arrays' of arrays in memory>"
    with pytest.raises(AssertionError, match="was read"):
        data.load()


def test_data_is_read_once_and_is_sent_without_what_was_read() -> None:
    data = datasets.arrays(X, Y, preprocess="standardize")
    assert data.load() is data.load()
    assert len(pickle.dumps(data)) < 10_000
    assert pickle.loads(pickle.dumps(data)).load().digest == data.load().digest
    with pytest.raises(AttributeError):
        data.name = "mine"


def test_samples_and_digests_are_the_same_on_every_machine() -> None:
    x = np.arange(400, dtype=np.float32).reshape(100, 4)
    y = np.repeat([0, 1, 2, 3], [10, 20, 30, 40])
    assert load(x, y).digest == "e0c4e6d18e5f59afa95fef395dc67b828e9149b4b3105bab4dfcf210eaeeeb40"
    quantities = load(x, y * 0.5 + 0.25).digest
    assert quantities == "d7e5a4530b1892c2ad83fded29e636454308a1a732debbfe6483587aa48d5266"
    digits = datasets.digits().load()
    assert digits.digest == "e92c14e1251f9513e87e789fecb4720e6cde6e1cdaf5a9e33e6ff24a5955b1bc"


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float16, np.float32, np.float64, bool])
def test_dtypes_stay_as_they_are(dtype: type) -> None:
    x: np.ndarray = (np.arange(60 * 4 * 4).reshape(60, 4, 4) % 7).astype(dtype)
    splits = load(x, Y.astype(np.uint8))
    assert (splits.train.x.dtype, splits.train.x.shape) == (dtype, (36, 4, 4))
    assert splits.train.y.dtype == np.uint8


def test_lists_frames_and_foreign_byte_orders_are_the_same_data() -> None:
    digest = load().digest
    frame, series = pd.DataFrame(X, columns=list("abc")), pd.Series(Y, index=range(7, 67))
    swapped = load(X.astype(">f8"), Y.astype(">i8"))
    assert swapped.train.x.dtype.isnative
    same = [load(X.tolist(), Y.tolist()), load(frame, series), swapped, load(np.asfortranarray(X))]
    assert {data.digest for data in same} == {digest}
    assert load(X.astype("float32")).digest != digest


def test_numbers_and_booleans_of_a_frame_become_one_type() -> None:
    table = pd.DataFrame({"age": np.arange(60), "new": Y == 0, "size": X[:, 0]})
    splits = load(table)
    assert splits.train.x.dtype == np.float64
    nullable = table.astype({"age": "Int64", "new": "boolean", "size": "Float64"})
    assert load(nullable).digest == splits.digest


def test_texts_are_classes_and_samples_of_one_digest_whatever_their_dtype() -> None:
    words = np.array(["good", "bad", "süß"])[np.arange(60) % 3]
    named = load(words, words)
    assert named.preparation.class_names == ("bad", "good", "süß")
    as_objects = load(words.astype(object), [word.encode() for word in words.tolist()])
    assert as_objects.digest == named.digest


# Parts


def test_parts_are_read_only_copies_that_keep_their_digests() -> None:
    x, y, weights = X.copy(), Y.copy(), WEIGHTS.copy()
    splits = load(x, y, sample_weight=weights, validation=(x, y, weights), test=None)
    x[:], weights[:] = -1, 1
    for name, part in (("train", splits.train), ("validation", splits.validation)):
        assert part.digest == splits.digests[name]
        for array in (part.x, part.y, part.sample_weight):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1
    with pytest.raises(TypeError):
        splits.digests["train"] = "0"


def test_only_unsealing_returns_the_test_part() -> None:
    splits = load()
    test = splits.unseal_test()
    for name in dir(splits):
        if not name.startswith(("_", "unseal_")):
            value = getattr(splits, name)
            assert value is not test
            for array in (test.x, test.y):
                assert not (isinstance(value, np.ndarray) and np.shares_memory(value, array))
    assert not np.isin(test.x, np.concatenate([splits.train.x, splits.validation.x])).any()
    changed = X.copy()
    changed[np.isin(X[:, 0], test.x[:, 0])] += 1
    digests, others = splits.digests, load(changed).digests
    assert [name for name in digests if digests[name] != others[name]] == ["test"]


@pytest.mark.parametrize("none", [None, 0, 0.0])
def test_without_a_test_part_there_is_nothing_to_unseal(none: float | None) -> None:
    splits = load(test=none)
    assert set(splits.digests) == {"train", "validation"} == set(splits.sizes)
    with pytest.raises(ks.errors.NoTestPartError, match=r"no test part.*test=0\.2"):
        splits.unseal_test()


def test_the_description_is_json_without_values() -> None:
    splits = load(INPUTS, (KIND, NUMBERS), preprocess={"tabular": "minmax"})
    described: Any = splits.describe()
    assert json.loads(json.dumps(described))["sizes"] == {"train": 36, "validation": 12, "test": 12}
    assert described["shapes"]["train"]["x"] == {"image": [36, 4, 4, 1], "tabular": [36, 3]}
    assert described["dtypes"]["train"]["y"] == ("int64", "float64")
    assert described["preprocessing"] == "tabular: minmax"
    assert repr(splits).startswith("Splits(train=36, validation=12, test=12, digest=")
    assert "x['image']=uint8(36, 4, 4, 1)" in repr(splits.train)


def test_ready_made_parts_stay_as_they_are() -> None:
    other = X[::-1][:10] + 0.5
    splits = load(validation=(X[:5], Y[:5]), test=(other, Y[:10]))
    train, validation, test = parts(splits)
    assert np.array_equal(train.x, X) and np.array_equal(validation.x, X[:5])
    assert np.array_equal(test.x, other)
    # Beside a ready-made part, a share counts the other samples.
    beside = load(validation=0.2, test=(X[:7], Y[:7] + 2))
    assert beside.sizes == {"train": 48, "validation": 12, "test": 7}


# Several inputs and outputs


def test_several_arrays_are_split_together() -> None:
    splits = load(INPUTS, TARGETS, sample_weight=NUMBERS + 1)
    rows = []
    for part in parts(splits):
        numbers = part.y["number"].astype(int)
        assert np.array_equal(part.x["image"][:, 0, 0, 0], numbers)
        assert np.array_equal(part.x["tabular"], X[numbers])
        assert np.array_equal(part.y["kind"], KIND[numbers])
        assert np.array_equal(part.sample_weight, numbers + 1)
        rows += list(numbers)
    assert sorted(rows) == list(range(60))


def test_a_tuple_of_arrays_is_several_and_a_list_is_data() -> None:
    splits = load((X, IMAGES), (KIND, NUMBERS))
    assert np.array_equal(splits.train.x[1][:, 0, 0, 0], splits.train.y[1])
    two = [[1.0, 2.0], [3.0, 4.0]]
    nested = load(two, [0, 1], validation=(two, [0, 1]), test=None)
    as_tuples = load(tuple(map(tuple, two)), (0, 1), validation=(two, [0, 1]), test=None)
    assert as_tuples.digest == nested.digest and isinstance(nested.train.x, np.ndarray)
    one_output = load(INPUTS, KIND)
    assert np.bincount(one_output.validation.y).tolist() == [2, 4, 6], "stratified"


def test_names_of_arrays_count_in_the_digest_and_their_order_does_not() -> None:
    digest = load(INPUTS, TARGETS).digest
    turned = {"image": IMAGES, "tabular": pd.DataFrame(X)}, dict(reversed(TARGETS.items()))
    assert load(*turned).digest == digest
    others = [{"pixels": IMAGES, "tabular": X}, {"image": X, "tabular": IMAGES}, (X, IMAGES)]
    assert len({digest, *(load(inputs, TARGETS).digest for inputs in others)}) == 4


# Sample weights


def test_weights_are_part_of_the_digest_and_of_a_ready_made_part() -> None:
    # Weights of 1 change no training, but the data is described as other data.
    digests = [load(sample_weight=weights).digest for weights in (None, WEIGHTS, np.ones(60))]
    assert len(set(digests)) == 3
    ready = load(sample_weight=WEIGHTS, validation=(X, Y, WEIGHTS), test=(X[:5], Y[:5]))
    assert np.array_equal(ready.validation.sample_weight, WEIGHTS)
    assert ready.unseal_test().sample_weight is None
