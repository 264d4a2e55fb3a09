"""Looking at data: planted faults are found, sound data is left alone, the test part stays sealed.

Judged by counts made with Python's sets, numpy and pandas, and by classifiers of scikit-learn.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import kerastudy as ks
from studies.data.arrays.given import Given
from studies.data.looking.distributions import columns_of
from studies.data.looking.look import glance_at, look_at
from studies.data.looking.repeats import marks
from studies.data.looking.same_distribution import told_apart
from studies.data.looking.seen import Seen
from tracking.records.data_findings import ConstantGuess, DataFindings

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


def test_nothing_is_wrong_with_sound_data() -> None:
    looked = look()
    assert {each.severity for each in looked.findings} <= {"ok", "hint"}
    assert [each.check for each in looked.findings if each.severity == "hint"] == ["sizes"]
    assert looked.sizes == {"train": 180, "validation": 60, "test": 60}
    assert looked.problems == ()
    assert DataFindings.from_json(looked.to_json()) == looked


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
        ("test", "validation"): 0,
        ("train", "train"): 180 - len(train),
    }
    assert expected[("validation", "train")] == 7 and expected[("train", "train")] == 1
    assert {(r.part, r.also_in): r.samples for r in looked.repeated} == expected
    assert found(looked, "leaks") == ["problem", "problem"]
    assert looked.problems[0].startswith("7 of 60 (11.7 %) validation samples are training")
    glanced = glance_at(splits_of(x), "made")
    assert glanced is not None and glanced.repeated == looked.repeated


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


def test_twins_of_another_class_are_counted() -> None:
    x, y = X.copy(), Y.copy()
    x[0], y[0] = x[1], y[1]
    x[3], x[4] = x[5], x[5]
    assert Y[3] != Y[4] != Y[5]
    texts = [each.verdict for each in look(x, y).findings if each.check == "contradictions"]
    assert texts and texts[0].startswith("3 of 180 ")


def test_classes_that_a_part_lacks_or_has_too_few_of() -> None:
    y = Y.copy()
    y[VALIDATION] = np.arange(60) % 2
    y[:160] = 0
    y[160:164], y[164:180] = 2, 1
    looked = look(X, y, class_names=["ant", "bee", "cow"])
    assert found(looked, "classes") == ["problem"] and found(looked, "balance") == ["hint"]
    assert looked.problems == (
        "The validation part has no sample of cow: nothing shows how well they are learnt.",
    )
    (target,) = looked.targets
    assert target.labels == ("ant", "bee", "cow")
    assert target.bars == {"train": (160, 16, 4), "validation": (30, 30, 0)}


def test_columns_of_a_table() -> None:
    import pandas as pd

    table = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    table["same"] = 7.0
    table.loc[5, "a"] = 90.0
    table["d"] = table["d"] * 1e4
    looked = look(table)
    by_name = {each.name: each for each in looked.columns}
    assert by_name["same"].constant and not by_name["a"].constant
    described = table[TRAIN].describe()
    for name in ("a", "d"):
        assert by_name[name].mean == pytest.approx(described[name]["mean"], rel=1e-5)
        assert by_name[name].high == pytest.approx(described[name]["max"], rel=1e-6)
        assert sum(by_name[name].bars["train"]) == 180
    assert by_name["a"].far == 1 and by_name["b"].far == 0
    texts = {each.check: each.verdict for each in looked.findings}
    assert "a (1; up to 90)" in texts["outliers"] and "same has one value" in texts["constant"]
    assert texts["scales"].startswith("d varies by ")
    # In the user's units, also after preprocessing; then the scales are no matter.
    scaled = look(table.drop(columns="same"), preprocess="standardize")
    assert found(scaled, "scales") == []
    assert {c.name: c.high for c in scaled.columns}["a"] == pytest.approx(90, rel=1e-5)


def test_missing_values_and_texts() -> None:
    number = X[:, 0].astype("float64")
    number[:90] = np.nan
    kinds, words = np.array(["red", "blue"])[Y % 2], np.array([f"w{i} w w" for i in range(300)])
    arrays = {"x['number']": number, "x['kind']": kinds, "x['words']": words}
    x = {part: {n: a[rows] for n, a in arrays.items()} for part, rows in
         (("train", TRAIN), ("validation", VALIDATION))}  # fmt: skip
    columns = {each.name: each for each in columns_of(Seen(x, {}, {}, Given()))}
    assert columns["number"].missing == {"train": 90, "validation": 0}
    assert columns["kind"].labels == ("blue", "red")
    assert columns["kind"].bars["train"] == (int((Y[TRAIN] % 2).sum()), 120)
    assert (columns["words of words"].low, columns["words of words"].kind) == (3, "texts")


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
    assert told.p == 1 / 500
    if shift == "mean":
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import cross_val_score

        both, labels = np.concatenate([first, second]), np.repeat([0, 1], 200)
        judge = cross_val_score(LogisticRegression(), both, labels, cv=5).mean()
        assert told.accuracy == pytest.approx(judge, abs=0.04)


def test_parts_that_differ_and_the_column_that_does() -> None:
    x = X.copy()
    x[VALIDATION, 1] += 3
    looked = look(x)
    texts = [each.verdict for each in looked.findings if each.check == "same distribution"]
    assert [each.severity for each in looked.findings if each.severity == "problem"] == ["problem"]
    assert texts[0].endswith("They differ most in column 1.")
    assert [each.columns for each in looked.compared] == [("column 1",), ()]


def test_targets_of_the_test_part_stay_sealed() -> None:
    other = Y.copy()
    other[TEST] = 0
    one, two = look(X, Y), look(X, other)
    assert one.digest != two.digest
    assert replace(one, digest="") == replace(two, digest="")
    assert all("test" not in each.bars for each in one.targets)


def test_a_picture_has_a_row_for_each_class() -> None:
    import tensorflow as tf

    images = np.repeat(np.arange(300), 64).reshape(300, 8, 8).clip(0, 255).astype("uint8")
    looked = look(images)
    assert looked.inputs == {"x": "images of 8 × 8, uint8"} and looked.picture_rows == (
        "0",
        "1",
        "2",
    )
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
    assert "5 folds" in folded.notes[0]

    def train() -> Any:
        yield from [(x[i : i + 20], Y[i : i + 20]) for i in range(0, 180, 20)]

    def validation() -> Any:
        yield x[10:40], Y[10:40]

    streamed = ks.check_data(ks.datasets.batches(train, validation))
    assert {(r.part, r.also_in): r.samples for r in streamed.repeated}[
        ("validation", "train")
    ] == 30
    assert streamed.sizes == {"train": 180, "validation": 30}


def test_a_table_is_looked_at_column_by_column() -> None:
    import pandas as pd

    table = pd.DataFrame({"size": X[:, 0].astype("float64"), "town": np.array(["A", "B"])[Y % 2]})
    table.loc[::10, "size"] = np.nan
    table["price"] = X[:, 1]
    looked = ks.check_data(ks.datasets.table(table, target="price", test=None))
    size, town = looked.columns
    assert sum(size.missing.values()) == 30 and town.labels == ("A", "B")
    counts = [sum(part[place] for part in town.bars.values()) for place in (0, 1)]
    assert counts == table["town"].value_counts().sort_index().to_list()
