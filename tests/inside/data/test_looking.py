"""Looking at data: planted faults are found, sound data is left alone, the test part stays sealed.

Judged by counts made with Python's sets, numpy and pandas, and by classifiers of scikit-learn.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

import kerastudy as ks
from studies.data import glance_at, look_at, marks, told_apart
from tracking.records import ConstantGuess, DataFindings, from_json, to_json

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(300, 4)).astype("float32")
Y = np.arange(300) % 3
TRAIN, VALIDATION, TEST = slice(0, 180), slice(180, 240), slice(240, 300)


def splits_of(x: Any = X, y: Any = Y, **options: Any) -> Any:
    return ks.datasets.arrays(
        x[TRAIN],
        y[TRAIN],
        validation=(x[VALIDATION], y[VALIDATION]),
        test=(x[TEST], y[TEST]),
        **options,
    ).load()


def look(x: Any = X, y: Any = Y, **options: Any) -> DataFindings:
    return look_at(splits_of(x, y, **options), "made")


def found(findings: DataFindings, check: str) -> list[str]:
    return [each.severity for each in findings.findings if each.check == check]


def repeated(findings: DataFindings) -> dict[tuple[str, str], int]:
    """The samples of a part that are in another one, by both."""
    leaks = [f.figures for f in findings.findings if f.check == "leaks" and f.figures]
    return {(each["part"], each["also_in"]): each["samples"] for each in leaks}


def test_nothing_is_wrong_with_sound_data() -> None:
    looked = look()
    assert {each.severity for each in looked.findings} == {"ok"}
    assert looked.sizes == {"train": 180, "validation": 60, "test": 60}
    assert looked.problems == ()
    assert from_json(DataFindings, to_json(looked)) == looked


def test_samples_in_two_parts_are_counted_as_python_counts_them() -> None:
    x = X.copy()
    x[180:187], x[240:243] = x[:7], x[100:103]
    x[20] = x[21]
    looked = look(x)
    rows = [row.tobytes() for row in x]
    train = set(rows[TRAIN])
    expected = {
        ("validation", "train"): sum(row in train for row in rows[VALIDATION]),
        ("test", "train"): sum(row in train for row in rows[TEST]),
    }
    assert expected[("validation", "train")] == 7
    assert not set(rows[TEST]) & set(rows[VALIDATION])
    assert repeated(looked) == expected
    (twins,) = [each for each in looked.findings if each.check == "twins"]
    assert twins.figures == {"samples": 180 - len(train), "of": 180} and len(train) == 179
    assert found(looked, "leaks") == ["problem", "problem"]
    assert looked.problems[0].startswith("7 of 60 (11.7 %) validation samples are training")
    glanced = glance_at(splits_of(x), "made")
    assert glanced is not None and repeated(glanced) == expected


def test_a_glance_at_folds_sees_that_the_test_part_is_among_them() -> None:
    y = np.where(np.arange(300) < 33, 1, 0)
    data = ks.datasets.arrays(X[:240], y[:240], test=(X[:60], y[:60]))
    glanced = glance_at(data.load_folds(ks.splits.k_fold(4)), "made")
    assert glanced is not None
    (problem,) = glanced.problems
    assert problem.startswith("All 60 test samples are training samples too")
    assert glanced.guess == ConstantGuess("0", 207 / 240)


def test_rows_that_are_alike_anyway_are_no_problem() -> None:
    """As those of a table of two small categories."""
    looked = look(RANDOM.integers(0, 3, (300, 2)).astype("float32"))
    assert set(found(looked, "leaks")) == {"hint"}
    assert looked.problems == ()


@pytest.mark.parametrize("dtype", ["uint8", "bool", "float64", "U3", "object"])
def test_marks_are_alike_for_alike_samples_alone(dtype: str) -> None:
    array = RANDOM.integers(0, 2, (2_000, 11)).astype("U3" if dtype == "object" else dtype)
    array = array.astype(dtype)
    by_mark = marks({"x": array})
    rows = [tuple(row) for row in array.tolist()]
    assert len(set(by_mark.tolist())) == len(set(rows)) == len(set(zip(rows, by_mark, strict=True)))


def test_classes_that_a_part_lacks_and_rare_ones() -> None:
    y = Y.copy()
    y[VALIDATION] = np.arange(60) % 2
    y[:160] = 0
    y[160:164], y[164:180] = 2, 1
    looked = look(X, y, class_names=["ant", "bee", "cow"])
    assert found(looked, "classes") == ["problem"] and found(looked, "balance") == ["hint"]
    assert looked.problems == (
        "The validation part has no sample of cow: nothing shows how well they are learnt.",
    )
    assert looked.classes == {
        "y": {
            "train": {"ant": 160, "bee": 16, "cow": 4},
            "validation": {"ant": 30, "bee": 30, "cow": 0},
        }
    }
    (balance,) = [each.verdict for each in looked.findings if each.check == "balance"]
    assert "always says ant is right in 88.9 %" in balance


def test_columns_that_have_one_value() -> None:
    import pandas as pd

    table = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    table["same"] = 7.0
    texts = {each.check: each.verdict for each in look(table).findings}
    assert "same has one value" in texts["constant"]
    assert found(look(X, np.full(300, 0.5)), "target") == ["problem"]


@pytest.mark.exhaustive
def test_p_values_are_uniform_if_nothing_differs() -> None:
    found = [
        told_apart(RANDOM.normal(size=(50, 5)), RANDOM.normal(size=(50, 5)), seed).p
        for seed in range(60)
    ]
    # At most 9 of 60 below 0.05 in 999 of 1,000 cases, and at least 15 above 0.5.
    assert sum(p <= 0.05 for p in found) <= 9
    assert sum(p > 0.5 for p in found) >= 15


@pytest.mark.parametrize("shift", ["mean", "variance", "relation"])
def test_a_classifier_finds_what_differs(shift: str) -> None:
    first, second = RANDOM.normal(size=(2, 200, 5))
    if shift == "mean":
        second[:, 2] += 2
    elif shift == "variance":
        second[:, 2] *= 4
    else:
        second[:, 2] = 0.97 * second[:, 1] + 0.24 * second[:, 2]
    told = told_apart(first, second)
    assert told.p < 0.001 and told.share > 0.6
    if shift == "mean":
        # One normal distribution of two, by the shift between them.
        assert told.share == pytest.approx(norm.cdf(2 / 2**0.5), abs=0.06)


def test_parts_that_differ_and_the_column_that_does() -> None:
    x = X.copy()
    x[VALIDATION, 1] += 3
    looked = look(x)
    texts = [each.verdict for each in looked.findings if each.check == "same distribution"]
    assert [each.severity for each in looked.findings if each.severity == "problem"] == ["problem"]
    assert texts[0].endswith("They differ most in column 1.")
    figures = [each.figures for each in looked.findings if each.check == "same distribution"]
    assert [(each["part"], each.get("columns")) for each in figures] == [
        ("validation", ["column 1"]),
        ("test", None),
    ]


def test_targets_that_differ() -> None:
    y = X.sum(axis=1)
    y[VALIDATION] += 9
    (told,) = [each for each in look(X, y).findings if each.title.startswith("The targets differ")]
    assert (told.severity, told.figures["targets"]) == ("hint", ["y"])


def test_texts_that_differ() -> None:
    words = np.array([f"a {'pink' if n < 180 else 'blue'} {n + 100}" for n in range(300)])
    texts = [each.verdict for each in look(words).findings if each.severity == "problem"]
    assert len(texts) == 2 and all(each.endswith("most in words of x.") for each in texts)


def test_targets_of_the_test_part_stay_sealed() -> None:
    other = Y.copy()
    other[TEST] = 0
    one, two = look(X, Y), look(X, other)
    assert one.digest != two.digest
    assert replace(one, digest="") == replace(two, digest="")
    assert set(one.classes["y"]) == {"train", "validation"}


def test_a_picture_has_a_row_for_each_class() -> None:
    import tensorflow as tf

    images = np.repeat(np.arange(300), 64).reshape(300, 8, 8).clip(0, 255).astype("uint8")
    looked = look(images)
    assert looked.inputs == {"x": "images of 8 × 8, uint8"} and looked.picture_rows == "0, 1, 2"
    grid = tf.io.decode_png(looked.picture).numpy()
    # Rows of 10 images and a gap of 2 pixels; samples 0, 3, 6 and so on are of class 0.
    assert grid.shape == (30, 100, 3)
    assert [grid[10 * c + 3, 10 * i + 3, 0] for c in range(3) for i in range(3)] == [
        *(0, 3, 6), *(1, 4, 7), *(2, 5, 8)
    ]  # fmt: skip


def test_folds_and_batches_are_looked_at_too() -> None:
    x = X.copy()
    x[10:20] = x[20:30]
    data = ks.datasets.arrays(x, Y, test=0.2)
    folded = look_at(data.load_folds(ks.splits.check_cross_validation(5)), "folds")
    assert found(folded, "twins") == ["problem"] and set(folded.sizes) == {"train", "test"}
    assert "5 folds" in folded.notes

    def train() -> Any:
        yield from [(x[i : i + 20], Y[i : i + 20]) for i in range(0, 180, 20)]

    def validation() -> Any:
        yield x[10:40], Y[10:40]

    streamed = ks.check_data(ks.datasets.batches(train, validation))
    assert repeated(streamed) == {("validation", "train"): 30}
    assert streamed.sizes == {"train": 180, "validation": 30}


def test_a_table_is_looked_at_column_by_column() -> None:
    import pandas as pd

    table = pd.DataFrame({"size": X[:, 0].astype("float64"), "town": np.array(["A", "B"])[Y % 2]})
    table.loc[::2, "size"] = np.nan
    table.loc[::3, "town"] = None
    table["one"], table["price"] = 1.0, X[:, 1]
    data = ks.datasets.table(table, target="price", test=None)
    findings = {each.check: each for each in ks.check_data(data).findings}
    assert findings["missing"].figures["shares"] == pytest.approx(
        {"size": 0.5, "town": 1 / 3}, abs=0.06
    )
    assert findings["constant"].figures["columns"] == ["one"]
    # A part that lacks what the other has.
    later = table.assign(town=["A"] * 200 + ["B"] * 100)
    parts = ks.datasets.table(later[:200], target="price", validation=later[200:], test=None)
    (verdict,) = [
        f.verdict for f in ks.check_data(parts).findings if f.check == "same distribution"
    ]
    assert "They differ most in town." in verdict
