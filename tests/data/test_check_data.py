"""Looking at data: planted faults are found, sound data is left alone, the test part stays sealed.

Judged by counts made with Python's sets, numpy and pandas.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import kerastudy as ks

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(300, 4)).astype("float32")
Y = np.arange(300) % 3
TRAIN, VALIDATION, TEST = slice(0, 180), slice(180, 240), slice(240, 300)


def look(x: Any = X, y: Any = Y, **options: Any) -> Any:
    parts = {"validation": (x[VALIDATION], y[VALIDATION]), "test": (x[TEST], y[TEST])}
    return ks.check_data(ks.datasets.arrays(x[TRAIN], y[TRAIN], **parts, **options))


def of(findings: Any, check: str) -> list[Any]:
    return [finding for finding in findings.findings if finding.check == check]


def repeated(findings: Any) -> dict[tuple[str, str], int]:
    """Returns how many samples of a part are in another one, by both parts."""
    leaks = [finding.figures for finding in of(findings, "leaks") if finding.figures]
    return {(leak["part"], leak["also_in"]): leak["samples"] for leak in leaks}


def test_nothing_is_wrong_with_sound_data() -> None:
    looked = look()
    assert {finding.severity for finding in looked.findings} == {"ok"}
    assert looked.sizes == {"train": 180, "validation": 60, "test": 60} and looked.problems == ()


def test_samples_in_two_parts_are_counted_as_python_counts_them() -> None:
    x = X.copy()
    x[180:187], x[240:243] = x[:7], x[100:103]
    x[20] = x[21]
    looked = look(x)
    rows = [row.tobytes() for row in x]
    train = set(rows[TRAIN])
    assert repeated(looked) == {
        ("validation", "train"): sum(row in train for row in rows[VALIDATION]),
        ("test", "train"): sum(row in train for row in rows[TEST]),
    }
    (twins,) = of(looked, "twins")
    assert twins.figures == {"samples": 180 - len(train), "of": 180} and len(train) == 179
    assert [leak.severity for leak in of(looked, "leaks")] == ["problem", "problem"]
    assert looked.problems[0].startswith("7 of 60 (11.7 %) validation samples are training")
    # Rows of two small categories are alike anyway.
    alike = look(RANDOM.integers(0, 3, (300, 2)).astype("float32"))
    assert {leak.severity for leak in of(alike, "leaks")} == {"hint"} and alike.problems == ()


def test_classes_that_a_part_lacks_and_rare_ones() -> None:
    y = Y.copy()
    y[VALIDATION] = np.arange(60) % 2
    y[:160], y[160:164], y[164:180] = 0, 2, 1
    looked = look(X, y, class_names=["ant", "bee", "cow"])
    assert looked.problems == (
        "The validation part has no sample of cow: nothing shows how well they are learnt.",
    )
    assert looked.classes["y"] == {
        "train": {"ant": 160, "bee": 16, "cow": 4},
        "validation": {"ant": 30, "bee": 30, "cow": 0},
    }
    (balance,) = of(looked, "balance")
    assert balance.severity == "hint" and "always says ant is right in 88.9 %" in balance.verdict


def test_parts_that_differ_and_the_columns_that_do() -> None:
    x = X.copy()
    x[VALIDATION, 1] += 3
    looked = look(x)
    validation, test = of(looked, "same distribution")
    assert (validation.severity, test.severity) == ("problem", "ok")
    assert validation.verdict.endswith("They differ most in column 1.")
    assert validation.figures["part"] == "validation"
    assert validation.figures["columns"] == ["column 1"]
    words = np.array([f"a {'pink' if n < 180 else 'blue'} {n + 100}" for n in range(300)])
    texts = [f.verdict for f in look(words).findings if f.severity == "problem"]
    assert len(texts) == 2


def test_targets_of_the_test_part_stay_sealed() -> None:
    other = Y.copy()
    other[TEST] = 0
    one, two = look(X, Y), look(X, other)
    assert one.digest != two.digest and replace(one, digest="") == replace(two, digest="")
    assert set(one.classes["y"]) == {"train", "validation"}


def test_a_picture_has_a_row_for_each_class() -> None:
    images = np.repeat(np.arange(300), 64).reshape(300, 8, 8).clip(0, 255).astype("uint8")
    looked = look(images)
    assert looked.inputs == {"x": "images of 8 × 8, uint8"} and looked.picture_rows == "0, 1, 2"
    grid = tf.io.decode_png(looked.picture).numpy()
    # Rows of 10 images and a gap of 2 pixels; samples 0, 3, 6 and so on are of class 0.
    assert grid.shape == (30, 100, 3)
    corners = grid[3::10, 3::10, 0]
    assert corners[:, :3].tolist() == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]


def test_folds_are_looked_at_together_and_batches_refused() -> None:
    x = X.copy()
    x[10:20] = x[20:30]
    data = ks.datasets.arrays(x, Y, test=0.2)
    study = ks.Study("folds", data=data, build=lambda hp: None, cross_validation=5)
    folded = ks.check_data(study)
    assert of(folded, "twins")[0].severity == "problem"
    assert set(folded.sizes) == {"train", "test"} and "5 folds" in folded.notes

    with pytest.raises(ks.errors.DataError, match=r"in batches.*datasets\.arrays\(x, y\)"):
        ks.check_data(ks.datasets.batches(lambda: iter([]), lambda: iter([])))


def test_a_table_is_looked_at_column_by_column() -> None:
    table = pd.DataFrame({"size": X[:, 0].astype("float64"), "town": np.array(["A", "B"])[Y % 2]})
    table.loc[::2, "size"] = np.nan
    table.loc[::3, "town"] = None
    table["one"], table["price"] = 1.0, X[:, 1]
    looked = ks.check_data(ks.datasets.table(table, target="price", drop=[], test=None))
    (missing,), (constant,) = of(looked, "missing"), of(looked, "constant")
    assert missing.figures["shares"] == pytest.approx({"size": 0.5, "town": 1 / 3}, abs=0.06)
    assert constant.figures["columns"] == ["one"]
    assert of(look(X, np.full(300, 0.5)), "target")[0].severity == "problem"
    # One part lacks images that the other has.
    later = table.assign(town=["A"] * 200 + ["B"] * 100)
    options = {"target": "price", "drop": [], "test": None}
    parts = ks.datasets.table(later[:200], validation=later[200:], **options)
    (differs,) = of(ks.check_data(parts), "same distribution")
    assert "They differ most in town." in differs.verdict


def test_rows_that_differ_in_new_categories_alone_are_not_repeated() -> None:
    zips = [f"0{number}" for number in range(1000, 1300)]
    kinds = RANDOM.choice(["a", "b"], 300)
    table = pd.DataFrame({"zip": zips, "kind": kinds, "price": RANDOM.random(300)})

    def leaks(rows: pd.DataFrame, category: str) -> set[str]:
        data = ks.datasets.table(rows, target="price", categories=[category])
        return {finding.severity for finding in of(ks.check_data(data), "leaks")}

    assert leaks(table, "zip") == {"ok"}
    kinds_alone = table.drop(columns="zip")
    assert leaks(pd.concat([kinds_alone, kinds_alone]), "kind") != {"ok"}
