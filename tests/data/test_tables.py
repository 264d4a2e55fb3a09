"""Tables: kinds of columns, statistics of the training part alone, dates."""

import datetime
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import TimeSeriesSplit

import kerastudy as ks

table, DataError = ks.datasets.table, ks.errors.DataError


def houses(rows: int = 200, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "place": np.arange(rows),
            "area": random.normal(100, 30, rows).round(1),
            "city": random.choice(["Oslo", "Bergen", "Rome"], rows).astype(object),
            "garden": random.random(rows) < 0.5,
            "built": random.integers(1900, 2020, rows).astype(float),
            "price": random.normal(300, 50, rows),
        }
    )
    frame.loc[random.random(rows) < 0.1, "built"] = np.nan
    frame.loc[random.random(rows) < 0.1, "city"] = None
    return frame


def rows_of(part: Any, splits: Any, column: str = "place") -> np.ndarray:
    """Returns the numbers of a part's rows, by a column of these numbers, which is scaled too."""
    return splits.preparation.table.columns_in(part.x)[column].round().astype(int)


def columns_of(splits: Any) -> dict[str, Any]:
    return {column.name: column for column in splits.preparation.table.columns}


def by_pandas(rows: pd.DataFrame, train: pd.DataFrame) -> np.ndarray:
    """Returns rows as a model gets them: numbers, indicators of missing ones, one-hot codes."""
    scaled = [
        ((rows[name] - train[name].mean()) / train[name].std(ddof=0)).fillna(0)
        for name in ("place", "area", "built")
    ]
    cities = ["", *sorted(train["city"].dropna().unique())]
    one_hot = [rows["city"].fillna("") == city for city in cities]
    columns = [*scaled[:2], rows["garden"], scaled[2], rows["built"].isna(), *one_hot]
    return np.column_stack([column.astype(float) for column in columns])


# Rows as a model takes them


def test_rows_are_what_pandas_makes_of_the_training_part() -> None:
    frame = houses()
    plain = table(frame, target="price").load()
    validated = rows_of(plain.validation, plain)
    # Rows of other parts have no influence on these statistics.
    frame.loc[validated[0], ["city", "area"]] = "Ulan Bator", np.nan
    frame.loc[validated[1], "built"] = 1e6
    splits = table(frame, target="price").load()
    train = frame.iloc[rows_of(splits.train, splits)]
    assert len(train) == 120 and np.array_equal(splits.train.y, train["price"])
    for part in (splits.train, splits.validation, splits.unseal_test()):
        assert part.x.dtype == np.float32
        expected = by_pandas(frame.iloc[rows_of(part, splits)], train)
        np.testing.assert_allclose(part.x, expected, atol=1e-2, rtol=1e-5)
    assert splits.digests["train"] == plain.digests["train"]
    assert splits.preparation.table.columns_in(splits.validation.x)["city"][0] == "(other)"


def in_folds(data: Any, folds: int) -> Any:
    study = ks.Study("folds", data=data, build=lambda hp: None, cross_validation=folds)
    return data.load_folds(study.cross_validation)


def test_each_fold_has_the_statistics_of_its_own_training_part() -> None:
    frame = houses(60)
    frame["city"] = ["rare"] + ["Oslo", "Rome"] * 29 + ["Oslo"]
    data = table(frame, target="price", drop=["garden"], test=None)
    folds = in_folds(data, 3)
    with_rare = []
    for splits in map(folds.of, range(3)):
        train = frame.iloc[rows_of(splits.train, splits)]
        city, area = columns_of(splits)["city"], columns_of(splits)["area"]
        assert len(train) == 40 and city.vocabulary == tuple(sorted(train["city"].unique()))
        with_rare.append("rare" in city.vocabulary)
        assert -area.offset / area.scale == pytest.approx(train["area"].mean(), abs=1e-4)
    assert sorted(with_rare) == [False, True, True]


def test_of_many_categories_the_most_frequent_ones_get_a_value() -> None:
    texts = [f"common {place:03}" for place in range(280)] * 8 + [f"rare {i}" for i in range(50)]
    frame = pd.DataFrame({"c": texts, "y": np.arange(2290.0)})
    splits = table(frame, target="y", test=None, validation=0.1).load()
    train = frame["c"].iloc[splits.train.y.astype(int)]
    counts, column = train.value_counts(), columns_of(splits)["c"]
    categories = list(column.vocabulary)
    assert len(categories) <= 256 and column.rare == len(counts) - len(categories)
    assert counts[categories].min() >= max(counts.drop(categories).max(), 5)
    expected = np.column_stack([train == text for text in categories])
    assert np.array_equal(splits.train.x, expected)


KINDS: list[tuple[str, Any, str, tuple[str, ...]]] = [
    ("dummies", pd.get_dummies(pd.Series(["a", "b"] * 20))["a"], "boolean", ()),
    ("bytes of dummies", np.array([0, 1] * 20, "uint8"), "boolean", ()),
    ("mixed numbers", pd.Series([1, 2.5, None, np.float32(3)] * 10, dtype=object), "number", ()),
    ("mixed texts", pd.Series([1, "one", np.int64(2), "yes"] * 10, dtype=object), "category",
     ("1", "2", "one", "yes")),
    ("versions", ["1.10.22", "2.10.21"] * 20, "category", ("1.10.22", "2.10.21")),
    ("asked", [1.0, np.nan, 30.0, 1.0] * 10, "category", ("", "1", "30")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "values", "kind", "vocabulary"), KINDS)
def test_kinds_of_columns(name: str, values: Any, kind: str, vocabulary: tuple[str, ...]) -> None:
    frame = pd.DataFrame({name: values, "y": np.arange(40.0) / 3})
    splits = table(frame, target="y", categories=[name] if name == "asked" else ()).load()
    column = columns_of(splits)[name]
    assert (column.kind, column.vocabulary) == (kind, vocabulary) and not splits.warnings


def test_codes_of_which_more_than_half_differ_are_left_out() -> None:
    zips = [f"0{number}" for number in range(1000, 1062)]
    frame = pd.DataFrame({"zip": [*zips, *zips[:58]], "plz": zips[:60] * 2, "y": np.arange(120.0)})
    data = ks.datasets.table(frame, target="y").load()
    assert [column.name for column in data.preparation.table.columns] == ["plz"]
    assert "zip: left out, as it holds 62 different codes in 120 rows" in data.warnings
    assert "codes: the numbers of plz are categories" in data.warnings
    kept = ks.datasets.table(frame, target="y", categories=["zip", "plz"]).load()
    assert len(kept.preparation.table.columns) == 2


def test_codes_that_python_reads_as_numbers_are_categories() -> None:
    codes = [f"{number}_00" for number in range(10, 40)] * 9
    frame = pd.DataFrame({"code": codes, "y": np.arange(len(codes)) / 3})
    assert columns_of(table(frame, target="y").load())["code"].kind == "category"


@pytest.mark.parametrize(
    ("target", "classes", "names", "first"),
    [
        (["no", "yes"] * 20, None, ("no", "yes"), [0, 1]),
        ([False, True] * 20, None, ("False", "True"), [0, 1]),
        ([0, 1] * 20, None, (), [0, 1]),
        ([0, 1] * 20, False, (), [0.0, 1.0]),
        ([1.5, 2.0] * 20, None, (), [1.5, 2.0]),
        # Prices and grades are whole numbers too. They are classes only if the user says so.
        ([100_000, 250_000] * 20, None, (), [100_000.0, 250_000.0]),
        ([3, 6] * 20, True, ("3", "6"), [0, 1]),
    ],
)
def test_targets_are_classes_or_quantities(
    target: list[Any], classes: bool | None, names: tuple[str, ...], first: list[float]
) -> None:
    frame = pd.DataFrame({"x": np.arange(40.0), "y": target})
    splits = table(frame, target="y", classes=classes).load()
    assert splits.preparation.class_names == names
    rows = rows_of(splits.train, splits, "x")
    assert splits.train.y.tolist() == [first[row % 2] for row in rows]
    assert splits.train.y.dtype == type(first[0])


# Files


def test_a_file_is_read_as_its_frame(tmp_path: Path) -> None:
    frame = houses()
    digest = table(frame, target="price").load().digest
    frame.to_parquet(tmp_path / "houses.parquet")
    frame.to_csv(tmp_path / "the houses.csv", index=False)
    for ending in ("csv", "csv.gz", "csv.bz2", "csv.xz", "csv.zip"):
        frame.to_csv(tmp_path / f"semicolons.{ending}", index=False, sep=";")
    frame.to_csv(tmp_path / "tabs.tsv", index=False, sep="\t")
    for file in tmp_path.iterdir():
        described = table(file, target="price")
        assert described.source == str(file) and described.load().digest == digest
        assert described.name == file.name.partition(".")[0]


def test_parts_may_be_tables_of_their_own(tmp_path: Path) -> None:
    frame, test = houses(), houses(50, seed=1)
    test["city"] = "Paris"
    by_frame = table(frame, target="price", test=test[test.columns[::-1]]).load()
    assert by_frame.sizes == {"train": 160, "validation": 40, "test": 50}
    assert not by_frame.unseal_test().x[:, -4:].any()
    frame.to_csv(tmp_path / "train.csv", index=False)
    test.to_csv(tmp_path / "test.csv", index=False)
    by_file = table(tmp_path / "train.csv", target="price", test=tmp_path / "test.csv")
    assert by_file.load().digest == by_frame.digest
    counted = pd.DataFrame({"x": np.arange(60.0), "y": [0, 1, 2] * 20})
    # This part lacks classes, so alone it would be quantities.
    splits = table(counted, target="y", test=counted[counted.y != 1]).load()
    assert set(splits.unseal_test().y) == {0, 2}


def test_texts_for_missing_values_can_be_named(tmp_path: Path) -> None:
    rows = "".join(f"{i if i % 9 else 'x5x'},{i / 7}\n" for i in range(60))
    (tmp_path / "t.csv").write_text(f"a,y\n{rows}")
    with pytest.raises(DataError, match="'a' holds 54 different texts"):
        table(tmp_path / "t.csv", target="y", missing=[], drop=[]).load()
    named = table(tmp_path / "t.csv", target="y", missing=["x5x"]).load()
    decided = table(tmp_path / "t.csv", target="y").load()
    assert named.train.x.shape == (36, 2) and decided.digest == named.digest
    assert decided.warnings[0] == "missing: 'x5x' in a" and named.warnings == []


# Dates


def days(rows: int = 100) -> pd.DataFrame:
    """A table of days, in no order."""
    frame = houses(rows).drop(columns="place").assign(day=pd.date_range("2020-01-01", periods=rows))
    return frame.sample(frac=1, random_state=0).assign(row=np.arange(rows) + 0.5)


SPELLINGS: dict[str, Any] = {
    "datetimes": lambda dates: dates,
    "in a time zone": lambda dates: dates.dt.tz_localize("Asia/Seoul"),
    "periods": lambda dates: dates.dt.to_period("D"),
    "of Python": lambda dates: dates.dt.date,
    "by year": lambda dates: dates.dt.strftime("%Y-%m-%d"),
    "with hours": lambda dates: dates.dt.strftime("%Y-%m-%d %H:%M"),
    "by month": lambda dates: dates.dt.strftime("%m/%d/%Y"),
    "by day": lambda dates: dates.dt.strftime("%d.%m.%Y"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_dates_split_a_table_in_time_and_are_no_input(spelling: str) -> None:
    frame = days()
    later = frame.sort_values("day")["price"].to_numpy()
    frame["day"] = SPELLINGS[spelling](frame["day"])
    splits = table(frame, target="price").load()
    parts = [splits.train, splits.validation, splits.unseal_test()]
    for part, rows in zip(parts, np.split(later, [60, 80]), strict=True):
        assert np.array_equal(part.y, rows)
    assert list(columns_of(splits)) == ["area", "city", "garden", "built", "row"]
    assert splits.warnings[0] == "day: parts are split in time by it; no input"


def test_dates_whose_day_may_be_the_month_are_left_out() -> None:
    dates = pd.Series(pd.date_range("2020-01-01", periods=400))
    texts = dates[dates.dt.day <= 12].dt.strftime("%d/%m/%Y")
    frame = pd.DataFrame({"day": texts, "x": np.arange(len(texts)), "y": np.arange(len(texts)) / 3})
    message = "holds dates such as '01/01/2020', in which the day or the month may come first"
    splits = table(frame, target="y").load()
    assert list(columns_of(splits)) == ["x"] and message in splits.warnings[0]
    with pytest.raises(DataError, match=message):
        table(frame, target="y", time="day").load()


WRITTEN = ["%Y-%m-%d", "%d.%m.%Y", "%Y-%m-%d %H:%M", "%d/%m/%Y", "%Y/%m/%d"]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_dates_in_several_formats_are_read_alike_in_any_order_of_the_rows(seed: int) -> None:
    random = np.random.default_rng(seed)
    days = pd.date_range("2023-11-01", periods=90).to_series()
    formats = [*WRITTEN, *random.choice(WRITTEN, len(days) - len(WRITTEN))]
    # Each format has a day above 12.
    order = [*days.index[days.dt.day > 12][: len(WRITTEN)], *days.index[days.dt.day <= 12]]
    order += [day for day in days.index if day not in order]
    frame = pd.DataFrame({"true": order, "x": random.normal(size=90), "y": np.arange(90) / 7})
    frame["day"] = [day.strftime(how) for day, how in zip(order, formats, strict=True)]
    mixed = frame.sample(frac=1, random_state=int(random.integers(2**31)))
    splits = table(mixed.drop(columns="true"), target="y").load()
    later = frame.sort_values("true")["y"].to_numpy()
    for part, rows in zip(
        (splits.train, splits.validation, splits.unseal_test()),
        np.split(later, [54, 72]),
        strict=True,
    ):
        assert np.array_equal(part.y, rows)


@pytest.mark.parametrize(
    ("dates", "message"),
    [
        # The days of the other format say nothing about these.
        (["2024-05-24", "03.01.2024", "04.02.2024"], "such as '03.01.2024', in which the day or"),
        (["24.05.2024", "03/01/2024"], "such as '03/01/2024', in which the day or"),
        (["24.05.2024", "05/24/2024"], "day first, such as '24.05.2024', and with the month first"),
        (["24.05.2024", "05.24.2024"], "day first, such as '24.05.2024', and with the month first"),
        (["31.01.2024", "31.02.2024"], "holds '31.02.2024', which is no day"),
        (["24-05-01", "24-05-02"], "holds '24-05-01', which can't be read as a date"),
    ],
)
def test_dates_that_cannot_be_decided_are_left_out_in_any_order(
    dates: list[str], message: str
) -> None:
    for rows in (dates, dates[::-1]):
        frame = pd.DataFrame({"day": rows * 20, "x": np.arange(20.0 * len(rows))})
        frame["y"] = frame["x"] / 3
        splits = table(frame, target="y").load()
        assert list(columns_of(splits)) == ["x"] and message in splits.warnings[0]
        with pytest.raises(DataError, match=re.escape(message)):
            table(frame, target="y", time="day").load()


def test_all_rows_decide_what_a_column_holds(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    code = [*(f"{number}" for number in random.integers(10_000, 10_040, 1990)), *["00501"] * 10]
    size = [*(f"{number}" for number in random.integers(100, 900, 1990)), *["NA", "-"] * 5]
    frame = pd.DataFrame({"code": code, "size": size, "y": random.normal(size=2000).round(3)})
    frame.loc[1995, "code"] = "unknown"
    decisions = []
    for rows in (frame, frame[::-1]):
        rows.to_csv(tmp_path / "t.csv", index=False)
        splits = table(tmp_path / "t.csv", target="y").load()
        kinds = {name: column.kind for name, column in columns_of(splits).items()}
        assert kinds == {"code": "category", "size": "number"}
        decisions.append(splits.warnings)
    assert decisions[0] == decisions[1]
    assert decisions[0][1] == "missing: 'unknown' in code and '-' and 'NA' in size"
    # A decimal comma in the last row makes all commas decimal ones.
    lines = ["a;y", *(f"{row},000;{row}" for row in range(1, 200)), "7,5;3"]
    (tmp_path / "u.csv").write_text("\n".join(lines))
    a = table(tmp_path / "u.csv", target="y", stratify=False, classes=False).load()
    assert columns_of(a)["a"].kind == "number"
    assert 1 / columns_of(a)["a"].scale < 100


def test_spellings_and_far_numbers_are_told_with_the_option_that_mends_them() -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "smoker": random.choice(["yes", "Yes", "NO", "no "], 400, p=[0.4, 0.1, 0.1, 0.4]),
            "pressure": np.where(random.random(400) < 0.02, 9999, random.normal(125, 18, 400)),
            "count": random.integers(0, 1000, 400),
            "y": random.normal(size=400),
        }
    )
    plain = table(frame, target="y").load()
    told = dict(line.split(": ", 1) for line in plain.warnings)
    spellings = "'NO' and 'no ' in smoker differ by case or blanks only: merge=['smoker']"
    assert told["spellings"].startswith(f"{spellings} (--merge smoker)")
    rows = (frame["pressure"] == 9999).sum()
    far = f"9999 in pressure ({rows} rows) is far from all other numbers: missing=['9999']"
    assert told["nines"].startswith(f"{far} (--missing 9999)")
    mended = table(frame, target="y", merge=["smoker"], missing=["9999"]).load()
    assert not {"spellings", "nines"} & {line.partition(":")[0] for line in mended.warnings}
    columns = columns_of(mended)
    assert columns["smoker"].vocabulary == ("no ", "yes")
    assert (
        columns["pressure"].gaps and -columns["pressure"].offset / columns["pressure"].scale > 100
    )
    assert 1 / columns["pressure"].scale < 25
    # As if all were spelled alike.
    alike = frame.assign(smoker=frame["smoker"].str.strip().str.lower())
    by_hand = table(alike, target="y", missing=["9999"]).load()
    assert np.array_equal(mended.train.x, by_hand.train.x)


def test_other_columns_order_rows_if_asked_and_none_if_not_wanted() -> None:
    frame = days()
    by_row = table(frame, target="price", time="row", drop=["day"]).load()
    assert np.array_equal(by_row.train.y, frame["price"][:60]) and "row" in columns_of(by_row)
    by_day = table(frame, target="price", time="day", drop=["day"]).load()
    assert np.array_equal(by_day.train.y, frame.sort_values("day")["price"][:60])
    at_random = table(frame, target="price", time=False).load()
    plain = table(frame, target="price", drop=["day"]).load()
    assert at_random.digest == plain.digest and plain.warnings == []
    # The option `stratify` asks for classes in equal proportions.
    sold = frame.assign(price=np.arange(100) % 4 == 0)
    assert table(sold, target="price", stratify=True).load().validation.y.sum() == 5


@pytest.mark.parametrize(
    "dates",
    [
        pd.Series([pd.Timestamp("2021-01-01"), *[pd.NaT] * 99]),
        [pd.Timestamp(0)] * 100,
        ["2020-01-01"] * 45 + ["2020-01-02"] * 55,
    ],
    ids=["gaps", "one", "two"],
)
def test_dates_that_say_little_order_no_rows(dates: Any) -> None:
    frame = days().drop(columns="day").assign(died=np.asarray(dates))
    (warning, _) = table(frame, target="price").load().warnings
    assert warning.startswith(("died: no input", "died: left out, as it is always"))
    by_day = table(frame.assign(day=days()["day"]), target="price").load()
    assert by_day.warnings[1] == "day: parts are split in time by it; no input"


def test_a_number_of_folds_goes_forward_in_time() -> None:
    frame = days()
    data = table(frame, target="price")
    folds = in_folds(data, 3)
    later = frame.sort_values("day")["price"].to_numpy()
    assert np.array_equal(folds.whole.unseal_test().y, later[80:])
    for fold, (train, validation) in enumerate(TimeSeriesSplit(3).split(later[:80])):
        assert np.array_equal(folds.of(fold).train.y, later[train])
        assert np.array_equal(folds.of(fold).validation.y, later[validation])


# Refused


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (pd.to_timedelta(range(40), unit="D"), "'c' holds values of the kind timedelta64"),
        ([datetime.time(i % 24) for i in range(40)], "'c' holds values of the kind time"),
        ([f"Mr. {i} has a house with a garden" for i in range(40)], "40 different texts.*garde…'"),
        ([*map(str, range(39)), "x5x"], "'c' holds 40 different texts in 40 rows, such as '0'"),
        ([np.nan] * 40, "'c' has no values"),
        ([*[1.0] * 39, np.inf], "'c' holds infinite values"),
        ([*[1.0] * 39, 1e300], "too large for float32"),
        ([[1, 2]] * 40, "'c' holds values of the kind list"),
        ([1j] * 40, "complex"),
    ],
)
def test_other_columns_are_refused_with_what_to_do(column: Any, words: str) -> None:
    frame = pd.DataFrame({"x": np.arange(40.0), "c": column, "y": np.arange(40.0) / 3})
    with pytest.raises(DataError, match=words) as raised:
        table(frame, target="y", drop=[], missing=[]).load()
    assert "drop=['c']" in str(raised.value) and "\n" not in str(raised.value)
    assert table(frame, target="y", drop=["c"]).load().train.x.shape == (24, 1)
    # The column is left out if the user does not mention it.
    decided = table(frame, target="y", missing=[]).load()
    assert decided.train.x.shape == (24, 1)
    assert decided.warnings[0].startswith("c: left out, as it ")
