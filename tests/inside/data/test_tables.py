"""Tables: kinds of columns, what is refused, and what the training part alone teaches."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold, TimeSeriesSplit

import kerastudy as ks
from search_spaces import DataError
from studies.data import (
    Splits,
    check_cross_validation,
    datasets,
    model_columns,
    path_in,
    replaced_data,
    spelled,
)
from studies.training import served_model


def houses(rows: int = 200, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "id": np.arange(rows),
            "area": random.normal(100, 30, rows).round(1),
            "city": random.choice(["Oslo", "Bergen", "Rome"], rows).astype(object),
            "garden": random.random(rows) < 0.5,
            "built": random.integers(1900, 2020, rows).astype(float),
            "price": random.normal(300, 50, rows),
        }
    )
    table.loc[random.random(rows) < 0.1, "built"] = np.nan
    table.loc[random.random(rows) < 0.1, "city"] = None
    return table


def rows_of(part: Any, splits: Splits, column: str = "id") -> np.ndarray:
    """The numbers of the table's rows, by a column of them, which is scaled like all numbers."""
    assert splits.preparation.table is not None
    return splits.preparation.table.columns_in(part.x)[column].round().astype(int)


def test_numbers_and_vocabularies_are_those_of_the_training_part_alone() -> None:
    table = houses()
    splits = datasets.table(table, target="price").load()
    chosen = rows_of(splits.train, splits)
    train = table.iloc[chosen]
    assert len(chosen) == 120
    assert np.array_equal(splits.train.y, train["price"])

    def expected(rows: pd.DataFrame) -> np.ndarray:
        scaled = [
            (rows[name].fillna(train[name].mean()) - train[name].mean()) / train[name].std(ddof=0)
            for name in ("id", "area")
        ]
        built = (rows["built"] - train["built"].mean()) / train["built"].std(ddof=0)
        known = ["", *sorted(train["city"].dropna().unique())]
        one_hot = [rows["city"].fillna("") == city for city in known]
        columns = [*scaled, rows["garden"], built.fillna(0), rows["built"].isna(), *one_hot]
        return np.column_stack([each.astype(float) for each in columns])

    test = splits.unseal_test()
    for part in (splits.train, splits.validation, test):
        assert part.x.dtype == np.float32
        rows = table.iloc[rows_of(part, splits)]
        np.testing.assert_allclose(part.x, expected(rows), atol=1e-5)


def test_a_category_that_the_training_part_lacks_is_unknown() -> None:
    table = houses()
    plain = datasets.table(table, target="price").load()
    validated = rows_of(plain.validation, plain)
    table.loc[validated[0], "city"] = "Ulan Bator"
    table.loc[validated[1], "built"] = 1e6
    splits = datasets.table(table, target="price").load()
    assert splits.digests["train"] == plain.digests["train"]
    assert splits.validation.x[0, -4:].tolist() == [0, 0, 0, 0]
    fitted = splits.preparation.table
    assert fitted is not None
    assert fitted.categories[0].vocabulary == ("", "Bergen", "Oslo", "Rome")
    assert fitted.columns_in(splits.validation.x)["city"][0] == "(other)"
    assert np.array_equal(splits.validation.x[1:, -4:], plain.validation.x[1:, -4:])


def test_each_fold_has_means_and_vocabularies_of_its_own_training_part() -> None:
    table = houses(60)
    table["city"] = ["rare"] + ["Oslo", "Rome"] * 29 + ["Oslo"]
    data = datasets.table(table, target="price", drop=["garden"], test=None)
    how = ks.splits.k_fold(3)
    folds = data.load_folds(how)
    with_rare = []
    for fold in range(3):
        splits = folds.of(fold)
        train = table.iloc[rows_of(splits.train, splits)]
        assert len(train) == 40
        fitted = splits.preparation.table
        assert fitted is not None
        (city,) = fitted.categories
        assert city.vocabulary == tuple(sorted(train["city"].unique()))
        with_rare.append("rare" in city.vocabulary)
        (area,) = (column for column in fitted.columns if column.name == "area")
        assert -area.offset / area.scale == pytest.approx(train["area"].mean(), abs=1e-4)
    assert sorted(with_rare) == [False, True, True]


def test_frames_of_get_dummies_are_numbers_and_booleans() -> None:
    table = houses().dropna().drop(columns="id")
    for dummies in (pd.get_dummies(table), pd.get_dummies(table, dtype="uint8")):
        splits = datasets.table(dummies, target="price").load()
        assert splits.preparation.table is not None
        kinds = {column.name: column.kind for column in splits.preparation.table.columns}
        assert kinds["area"] == "number"
        assert kinds["city_Oslo"] == kinds["garden"] == "boolean"
        place = list(kinds).index("city_Oslo")
        assert set(np.unique(splits.train.x[:, place])) == {0, 1}


def test_a_file_is_read_as_its_frame(tmp_path: Path) -> None:
    table = houses()
    file = tmp_path / "the houses.csv"
    table.to_csv(file, index=False)
    table.to_csv(tmp_path / "semicolons.csv", index=False, sep=";")
    table.to_parquet(tmp_path / "houses.parquet")
    described = datasets.table(file, target="price")
    assert described.name == "the houses"
    assert described.source == str(file)
    digest = datasets.table(table, target="price").load().digest
    assert described.load().digest == digest
    semicolons = datasets.table(tmp_path / "semicolons.csv", target="price")
    assert semicolons.load().digest == digest
    parquet = datasets.table(tmp_path / "houses.parquet", target="price")
    assert parquet.load().digest == digest


def test_parts_may_be_tables_of_their_own(tmp_path: Path) -> None:
    table, test = houses(), houses(50, seed=1)
    test["city"] = "Paris"
    by_frame = datasets.table(table, target="price", test=test[test.columns[::-1]]).load()
    assert by_frame.sizes == {"train": 160, "validation": 40, "test": 50}
    assert (by_frame.unseal_test().x[:, -4:] == 0).all()
    for name, each in {"train": table, "test": test}.items():
        each.to_csv(tmp_path / f"{name}.csv", index=False)
    by_file = datasets.table(tmp_path / "train.csv", target="price", test=tmp_path / "test.csv")
    assert by_file.load().digest == by_frame.digest
    with pytest.raises(DataError, match="lacks the columns 'area'"):
        datasets.table(table, target="price", test=test.drop(columns="area")).load()


def test_targets_of_parts_are_of_the_same_kind() -> None:
    x = np.arange(60.0)
    counted = pd.DataFrame({"x": x, "y": [0, 1, 2] * 20})
    # Not all classes, so that it alone would be quantities.
    splits = datasets.table(counted, target="y", test=counted[counted.y != 1]).load()
    test = splits.unseal_test()
    assert splits.classes == 3
    assert test.y.dtype == np.int64
    assert set(test.y.tolist()) == {0, 2}
    named = counted.assign(y=["a", "b", "c"] * 20)
    with pytest.raises(DataError, match="classes that the training table lacks, such as 'd'"):
        datasets.table(named, target="y", test=named.replace("c", "d")).load()
    with pytest.raises(DataError, match="holds fractions"):
        datasets.table(counted, target="y", test=counted / 4).load()


def identity(width: int) -> keras.Model:
    return keras.Sequential([keras.Input((width,)), keras.layers.Identity()])


def test_the_layers_of_a_champion_make_the_same_bits_of_columns(tmp_path: Path) -> None:
    table = houses(2000).drop(columns="id")
    splits = datasets.table(table, target="price", test=table).load()
    rows = splits.unseal_test().x
    assert isinstance(rows, np.ndarray)
    served = served_model(identity(rows.shape[1]), splits.train.x, splits.preparation)
    served.save(tmp_path / "model.keras")
    for model in (served, keras.models.load_model(tmp_path / "model.keras")):
        assert np.array_equal(model.predict(model_columns(model, table), verbose=0), rows)


@pytest.mark.parametrize("missing", [None, "[UNK]"])
def test_a_table_of_one_category(missing: str | None) -> None:
    """No numbers, and a text that Keras uses for unknown ones."""
    table = pd.DataFrame({"c": [missing, "b"] * 20, "y": np.arange(40.0)})
    splits = datasets.table(table, target="y").load()
    served = served_model(identity(2), splits.train.x, splits.preparation)
    new = pd.DataFrame({"c": ["b", missing, "?"]})
    made = served.predict(model_columns(served, new), verbose=0)
    assert made.tolist() == [[0, 1], [1, 0], [0, 0]]


@pytest.mark.parametrize(
    ("target", "names", "first"),
    [
        (["no", "yes"] * 20, ("no", "yes"), [0, 1]),
        ([False, True] * 20, ("False", "True"), [0, 1]),
        ([0, 1] * 20, (), [0, 1]),
        ([1.5, 2.0] * 20, (), [1.5, 2.0]),
        # Prices are whole numbers too, and no classes.
        ([100_000, 250_000] * 20, (), [100_000.0, 250_000.0]),
    ],
)
def test_targets_are_classes_or_quantities(
    target: list[Any], names: tuple[str, ...], first: list[float]
) -> None:
    table = pd.DataFrame({"x": np.arange(40.0), "y": target})
    splits = datasets.table(table, target="y").load()
    assert splits.preparation.class_names == names
    rows = rows_of(splits.train, splits, "x")
    assert splits.train.y.tolist() == [first[row % 2] for row in rows]
    assert (splits.classes == 2) == (first == [0, 1])
    assert splits.train.y.dtype == (np.int64 if splits.classes else np.float64)


def test_grades_are_classes_if_asked_for() -> None:
    table = pd.DataFrame({"x": np.arange(40.0), "grade": [3, 5, 6, 8] * 10})
    assert datasets.table(table, target="grade").load().classes is None
    splits = datasets.table(table, target="grade", classes=True).load()
    assert splits.preparation.class_names == ("3", "5", "6", "8")
    counts = table.assign(grade=[0, 1, 2, 3] * 10)
    assert datasets.table(counts, target="grade", classes=False).load().classes is None


def test_numbers_may_be_categories() -> None:
    table = houses().assign(code=lambda t: [1.0, np.nan, 30.0, 1.0] * (len(t) // 4))
    splits = datasets.table(table, target="price", categories=["code"]).load()
    assert splits.preparation.table is not None
    assert splits.preparation.table.categories[1].vocabulary == ("", "1", "30")


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (pd.to_timedelta(range(40), unit="D"), "'c' holds values of the kind timedelta64"),
        ([datetime.time(i % 24) for i in range(40)], "'c' holds values of the kind time"),
        ([f"Mr. {i} has a house with a garden" for i in range(40)], "garde…'. Leave them out"),
        ([*map(str, range(39)), "?"], "texts such as '[?]' .missing values. pass missing="),
        ([np.nan] * 40, "'c' has no values"),
        ([*[1.0] * 39, np.inf], "'c' holds infinite values"),
        ([*[1.0] * 39, 1e300], "too large for float32"),
        ([[1, 2]] * 40, "'c' holds values of the kind list"),
        ([1j] * 40, "complex"),
    ],
)
def test_other_columns_are_refused_in_a_line_with_what_to_do(column: Any, told: str) -> None:
    table = pd.DataFrame({"x": np.arange(40.0), "c": column, "y": np.arange(40.0) / 3})
    with pytest.raises(DataError, match=told) as raised:
        datasets.table(table, target="y").load()
    assert "drop=['c']" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert datasets.table(table, target="y", drop=["c"]).load().train.x.shape == (24, 1)


def test_numpy_s_own_numbers_may_be_among_objects() -> None:
    table = houses()
    rows = len(table)
    objects = np.array([np.int64(3), np.float32(2.5), 1, 2.0] * (rows // 4), dtype=object)
    texts = np.array([np.float32(3.0), "other", np.int64(3), 3] * (rows // 4), dtype=object)
    made = datasets.table(table.assign(n=objects, t=texts), target="price").load().preparation.table
    assert made is not None
    kinds = {column.name: column for column in made.columns}
    assert kinds["n"].kind == "number"
    assert kinds["t"].vocabulary == ("3", "other")


def days(rows: int = 100) -> pd.DataFrame:
    """A table of days, in no order."""
    table = houses(rows).drop(columns="id").assign(day=pd.date_range("2020-01-01", periods=rows))
    return table.sample(frac=1, random_state=0).assign(row=np.arange(rows) + 0.5)


WRITTEN: dict[str, Any] = {
    "datetimes": lambda dates: dates,
    "in a time zone": lambda dates: dates.dt.tz_localize("Asia/Seoul"),
    "periods": lambda dates: dates.dt.to_period("D"),
    "of Python": lambda dates: dates.dt.date,
    "by year": lambda dates: dates.dt.strftime("%Y-%m-%d"),
    "with hours": lambda dates: dates.dt.strftime("%Y-%m-%d %H:%M"),
    "by month": lambda dates: dates.dt.strftime("%m/%d/%Y"),
    "by day": lambda dates: dates.dt.strftime("%d.%m.%Y"),
}


@pytest.mark.parametrize("written", WRITTEN)
def test_dates_split_a_table_in_time_and_are_no_input(written: str) -> None:
    table = days()
    later = table.sort_values("day")
    table["day"] = WRITTEN[written](table["day"])
    splits = datasets.table(table, target="price").load()
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.unseal_test()}
    for (part, rows), (first, end) in zip(
        parts.items(), ((0, 60), (60, 80), (80, 100)), strict=True
    ):
        assert np.array_equal(rows.y, later["price"][first:end]), part
    assert splits.preparation.table is not None
    assert [column.name for column in splits.preparation.table.columns] == [
        *("area", "city", "garden", "built", "row")
    ]
    (told,) = splits.warnings
    assert told.startswith("Parts are split in time, by the column 'day'")
    assert "Models see no dates" in told


def test_dates_written_by_day_are_told_by_the_order_of_the_rows() -> None:
    """Of the first twelve days of months, nothing else shows whether the month comes first."""
    dates = pd.Series(pd.date_range("2020-01-01", periods=400))
    texts = dates[dates.dt.day <= 12].dt.strftime("%d/%m/%Y")
    table = pd.DataFrame({"day": texts, "x": np.arange(len(texts)), "y": np.arange(len(texts)) / 3})
    splits = datasets.table(table, target="y").load()
    assert np.array_equal(splits.train.y, table["y"][: len(splits.train)])


def test_other_columns_order_rows_if_asked_and_none_if_not_wanted() -> None:
    table = days()
    by_row = datasets.table(table, target="price", time="row", drop=["day"]).load()
    assert np.array_equal(by_row.train.y, table["price"][:60])
    by_day = datasets.table(table, target="price", time="day", drop=["day"]).load()
    assert np.array_equal(by_day.train.y, table.sort_values("day")["price"][:60])
    assert by_row.preparation.table is not None
    assert "row" in {column.name for column in by_row.preparation.table.columns}
    at_random = datasets.table(table, target="price", time=False).load()
    plain = datasets.table(table, target="price", drop=["day"]).load()
    assert at_random.digest == plain.digest
    assert plain.warnings == [] and at_random.warnings[0].startswith("Parts are drawn at random")
    # As classes in equal proportions ask.
    sold = table.assign(price=np.arange(100) % 4 == 0)
    stratified = datasets.table(sold, target="price", stratify=True).load()
    assert stratified.validation.y.sum() == 5
    with pytest.raises(DataError, match="neither dates nor numbers in the column 'city'"):
        datasets.table(table, target="price", time="city").load()
    with pytest.raises(DataError, match=r"no column 'days' .time.*'day'"):
        datasets.table(table, target="price", time="days").load()


def test_dates_with_gaps_order_no_rows() -> None:
    table = days().assign(died=pd.NaT)
    table.loc[3, "died"] = pd.Timestamp("2021-01-01")
    splits = datasets.table(table[["died", *table.columns[:-1]]], target="price").load()
    assert "by the column 'day'" in splits.warnings[0]
    told = datasets.table(table.drop(columns="day"), target="price").load().warnings
    assert told[0].startswith("Parts are drawn at random. Models see no dates: make numbers of 'di")
    with pytest.raises(DataError, match="lacks the time 'died' in 99 of 100 rows"):
        datasets.table(table, target="price", time="died").load()
    with pytest.raises(DataError, match=r"and the dates 'day', which no .*df\['day'\].dt.month"):
        datasets.table(table[["day", "price"]], target="price").load()


def test_dates_that_are_all_the_same_order_no_rows() -> None:
    (told,) = datasets.table(days().assign(day=pd.Timestamp(0)), target="price").load().warnings
    assert told.startswith("Parts are drawn at random")


def test_a_class_that_comes_later_is_told_with_what_to_do() -> None:
    table = days().sort_values("day").assign(price=["old"] * 70 + ["new"] * 30)
    with pytest.raises(
        DataError, match=r"split in time .time=False draws it at random., of 'price"
    ):
        datasets.table(table, target="price").load()
    assert datasets.table(table, target="price", time=False).load().classes == 2


def test_one_date_of_many_rows_orders_none() -> None:
    import pandas as pd

    table = pd.DataFrame({"day": ["2020-01-01"] * 45 + ["2020-01-02"] * 5, "size": np.arange(50.0)})
    table["price"] = table["size"] + 0.5
    loaded = datasets.table(table, target="price").load()
    assert loaded.warnings[0].startswith("Parts are drawn at random.")
    y = np.asarray(loaded.train.y).ravel()
    assert not np.array_equal(np.sort(y), np.arange(len(y)) + 0.5)
    with pytest.raises(DataError, match=r"split by .* the target 'price'"):
        datasets.table(table, target="price", time="price")


def test_versions_are_no_dates() -> None:
    import pandas as pd

    versions = np.array(["1.10.22", "2.10.21", "1.3.20"])[np.arange(60) % 3]
    table = pd.DataFrame({"version": versions, "price": np.arange(60.0) % 7})
    loaded = datasets.table(table, target="price", classes=False).load()
    assert loaded.train.x.shape[1] == 3 and not loaded.warnings


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz", ".zip"])
def test_the_separator_of_a_compressed_file_is_found(tmp_path: Path, ending: str) -> None:
    import pandas as pd

    file = tmp_path / f"h.csv{ending}"
    frame = pd.DataFrame({"size": np.arange(40.0), "price": np.arange(40.0)[::-1] + 0.5})
    frame.to_csv(file, sep=";", index=False)
    assert datasets.table(file, target="price").load().train.x.shape == (24, 1)


def test_a_number_of_folds_goes_forward_in_time() -> None:
    table = days()
    how = check_cross_validation(3)
    assert how is not None
    folds = datasets.table(table, target="price").load_folds(how)
    later = table.sort_values("day")["price"].to_numpy()
    assert np.array_equal(folds.whole.unseal_test().y, later[80:])
    for fold, (train, validation) in enumerate(TimeSeriesSplit(3).split(later[:80])):
        splits = folds.of(fold)
        assert np.array_equal(splits.train.y, later[train])
        assert np.array_equal(splits.validation.y, later[validation])
    # Who names a way to split gets it.
    drawn = datasets.table(table, target="price").load_folds(ks.splits.k_fold(3))
    (_, validation) = next(KFold(3, shuffle=True, random_state=0).split(later[:80]))
    assert np.array_equal(drawn.of(0).validation.y, later[validation])


def test_columns_of_several_types() -> None:
    mixed = pd.Series([1, "one", 2.0, "yes"] * 10, dtype=object)
    numbers = pd.Series([1, 2.5, None, 3] * 10, dtype=object)
    table = pd.DataFrame({"mixed": mixed, "numbers": numbers, "y": np.arange(40.0) / 3})
    splits = datasets.table(table, target="y").load()
    assert splits.preparation.table is not None
    mixed_column, number_column = splits.preparation.table.columns
    assert mixed_column.vocabulary == ("1", "2", "one", "yes")
    assert number_column.kind == "number" and number_column.gaps


def test_unknown_texts_for_missing_values_can_be_named(tmp_path: Path) -> None:
    rows = "".join(f"{i if i % 9 else '?'},{i / 7}\n" for i in range(60))
    (tmp_path / "t.csv").write_text(f"a,y\n{rows}")
    with pytest.raises(DataError, match=r"pass missing="):
        datasets.table(tmp_path / "t.csv", target="y").load()
    splits = datasets.table(tmp_path / "t.csv", target="y", missing=["?"]).load()
    assert splits.train.x.shape == (36, 2)


def test_missing_targets_are_refused_with_their_count(tmp_path: Path) -> None:
    table = houses()
    table.loc[[3, 8], "price"] = np.nan
    lacks = r"lacks the target 'price' in 2 of 200 rows, the first"
    with pytest.raises(DataError, match=f"{lacks} at index 3"):
        datasets.table(table, target="price").load()
    table.to_csv(tmp_path / "gaps.csv", index=False)
    lines = (tmp_path / "gaps.csv").read_text().splitlines()
    with pytest.raises(DataError, match=f"{lacks} in row 5, counting the header"):
        datasets.table(tmp_path / "gaps.csv", target="price").load()
    assert lines[5 - 1].endswith(",")
    # By the rows of the file, whatever order they get.
    table["day"] = pd.date_range("2020-01-01", periods=200)[::-1]
    with pytest.raises(DataError, match=f"{lacks} at index 3"):
        datasets.table(table, target="price").load()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"target": "prize"}, "no column 'prize'.*Did you mean 'price'"),
        ({"target": "price", "drop": ["nope"]}, "no column 'nope' .drop"),
        ({"target": "price", "categories": "citi"}, "no column 'citi' .categories.*'city'"),
    ],
)
def test_names_of_columns_are_checked(options: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        datasets.table(houses(), **options).load()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"target": ""}, "target must be the name"),
        ({"target": ["a", "b"]}, r"Received: \['a', 'b'\]. Several targets go with"),
        ({"target": "y", "validation": 2.5}, "Received: 2.5"),
        (
            {"target": "y", "test": ([1], [2])},
            "test must be a CSV or Parquet file.*with the target in a column",
        ),
        ({"target": "y", "classes": 1}, "classes must be"),
        ({"target": "y", "drop": [1]}, "drop must be a list of texts"),
        ({"target": "y", "time": True}, "time must be the name of a column"),
        ({"target": "y", "time": "day", "stratify": True}, "by the time 'day' and by classes"),
    ],
)
def test_options_are_checked_before_the_file_is_read(options: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        datasets.table("missing.csv", **options)


def test_files_that_can_not_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        datasets.table(tmp_path / "no.csv", target="y").load()
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x01,\x00")
    with pytest.raises(DataError, match="can't be read"):
        datasets.table(tmp_path / "binary.csv", target="y").load()
    (tmp_path / "binary.csv").rename(tmp_path / "binary.parquet")
    with pytest.raises(DataError, match="can't be read"):
        datasets.table(tmp_path / "binary.parquet", target="y").load()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "No columns to parse from file"),
        (b"a,y\n", "has no rows"),
        (b"y\n1\n2\n", "no column besides the target 'y'"),
        (b"a,a,y\n1,2,3\n", "several columns named 'a'"),
        ("a,y\n1,2\nø,3\n".encode("latin-1"), "it is not in UTF-8. Save it as UTF-8"),
        ("a,y\n1,2\n".encode("utf-16"), "it is not in UTF-8"),
        (b"a,y\n1,2\n1,2,3\n", "Expected 2 fields in line 3, saw 3"),
        (b"a,y\n1,2,3\n1,2,3\n", "more values in a row than names in its first line"),
        (b'a,y\n1,"2\n1,2\n', "EOF inside string starting at row 1"),
    ],
)
def test_damaged_files_are_refused_in_a_line(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError, match=told) as raised:
        datasets.table(tmp_path / "t.csv", target="y").load()
    assert "t.csv'" in str(raised.value) and "\n" not in str(raised.value)


def test_another_file_is_read_and_split_as_a_table_of_the_study(tmp_path: Path) -> None:
    own = datasets.table(houses(), target="price", drop=["id"], seed=5, test=30)
    file = tmp_path / "other.csv"
    houses(seed=1).to_csv(file, index=False)
    expected = datasets.table(file, target="price", drop=["id"], seed=5, test=30).load()
    assert replaced_data(str(file), own).load().digest == expected.digest
    area = datasets.table(file, target="area", drop=["id"], seed=5, test=30).load()
    text = spelled(str(file), "area")
    assert replaced_data(text, own).load().digest == area.digest
    plain = datasets.table(file, target="area").load()
    assert replaced_data(text, datasets.digits()).load().digest == plain.digest
    # Whatever separates its columns.
    houses(seed=1).to_csv(tmp_path / "semicolons.csv", index=False, sep=";")
    semicolons = replaced_data(str(tmp_path / "semicolons.csv"), own)
    assert semicolons.load().digest == expected.digest
    # A file that has moved, of a study whose target is in the record.
    assert spelled("/moved.csv", recorded=text) == "/moved.csv?target=area"
    assert spelled("", recorded=text) == text
    assert path_in(text) == str(file)
    with pytest.raises(DataError, match="name the column to predict"):
        replaced_data(str(file), datasets.digits())


def test_of_many_categories_the_most_frequent_ones_get_a_value() -> None:
    """The others are 0, as unknown ones are."""
    texts = [f"common {place:03}" for place in range(250)] * 8 + [f"rare {i}" for i in range(50)]
    table = pd.DataFrame({"c": texts, "y": np.arange(2050.0)})
    splits = datasets.table(table, target="y", test=None, validation=0.1).load()
    train = table["c"].iloc[[int(y) for y in splits.train.y]]
    counts = train.value_counts()
    fitted = splits.preparation.table
    assert fitted is not None
    (column,) = fitted.columns
    assert len(column.vocabulary) == 256 and column.rare == len(counts) - 256
    assert counts[list(column.vocabulary)].min() >= counts.drop(list(column.vocabulary)).max()
    assert splits.train.x.shape == (1845, 256)
    expected = [text if text in column.vocabulary else "(other)" for text in train]
    assert fitted.columns_in(splits.train.x)["c"].tolist() == expected
    served = served_model(identity(256), splits.train.x, splits.preparation)
    made = served.predict(model_columns(served, pd.DataFrame({"c": train})), verbose=0)
    assert np.array_equal(made, splits.train.x)
    assert f"one-hot of 256 categories; {column.rare} rarer" in fitted.treatments["c"]
