"""Tables: the rules that find out what their columns hold, and the reader of `datasets.table`.

Real tables have identifiers, codes, free text, and words such as "?" for missing values. The rules
find these by the names and the values of columns, never by the target.
"""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from search_spaces.errors import DataError
from search_spaces.texts import listed, quoted
from studies.data.arrays.users_samples_and_labels import Contents, Samples, check_finite
from studies.data.data_option import is_table
from studies.data.dataset_base import Reader
from studies.data.files_and_folders import (
    check_complete,
    check_names,
    is_csv,
    read_table,
    without_words,
)
from studies.data.numbers_texts_and_dates import (
    MISSING,
    dates_of,
    float32_of,
    folded,
    is_date,
    is_number,
    names_of_parts,
    numbers_of,
    order_of_dates,
    texts_of,
    unit_of,
    with_parts_of_dates,
)
from studies.data.preprocessing import Column, TableColumns

# By default, a column of dates orders the rows if no date is in more than this share of rows.
_MOST_OF_A_DATE = 0.25
# Targets 0, 1, 2 and so on are classes if there are at most `_MOST_CLASSES` different targets, with
# at least `_LEAST_ROWS` rows of each on average.
_MOST_CLASSES, _LEAST_ROWS = 100, 5
_WORDS_OF_PANDAS: Final = {*"NA N/A n/a NaN nan null NULL None #N/A <NA>".split()}
_MOST_LEVELS: Final = 10_000
# A column with at most this many different texts is a category, however few rows there are.
_FEW_LEVELS: Final = 30
# Texts with more characters than this on average are free text, not categories.
_LONG_TEXT: Final = 50
_SHOWN_CHARACTERS: Final = 30
_SHOWN: Final = 5
# The kind of a column for each result of pandas's `infer_dtype`.
_KINDS: Final[Mapping[str, Any]] = {
    "boolean": "boolean",
    **dict.fromkeys(("integer", "floating", "mixed-integer-float"), "number"),
    "categorical": "category",
    **dict.fromkeys(("datetime64", "datetime", "date", "period"), "dates"),
}
_ID: Final = re.compile(
    r"(.*[^a-z])?(id|ids|uuid|guid|index|key|nr)|id[^a-z].*|.*[a-z]I[dD]|no|unnamed: \d+", re.I
)
_CODE: Final = re.compile(
    r"(.*[^a-z])?(zip|plz|(zip|post|postal|area)?[ _-]?code)([^a-z].*)?", re.I
)
# Names of persons and things that may have several rows each.
_UNITS: Final = (
    "patient person people participant subject user customer client member account household "
    "family student pupil teacher employee worker driver player donor owner visitor respondent "
    "animal machine device sensor engine vehicle session"
)
_UNIT: Final = re.compile(
    rf"(.*[^a-z])?({'|'.join(_UNITS.split())})s?([ _-]?(id|no|nr|num|number|code|key|name|uuid))?",
    re.I,
)
# A column with such a name may name groups of rows if it has at least so many different values. A
# column of texts or whole numbers without such a name must have many more.
_FEW_GROUPS, _MANY_GROUPS = 10, 100
# A column says little about whether another one names groups if more than this share of its values
# are equal.
_MOSTLY_EQUAL = 0.9
_FIRST_ROWS = 10_000
GROUPED: Final = "rows may belong together"
_IDENTIFIER: Final = "is an identifier"
# Texts that stand for missing values. The signs do so in every column. The words do so only in
# columns of numbers or dates, because in other columns a word such as "none" may be a category.
_SIGNS: Final = ("?", "-", "--", ".", "n.a.", "n.a")
_WORDS: Final = ("unknown", "missing", "none", "not available", "not applicable", "nil")
FREE_TEXT: Final = "free text, which ks.datasets.text turns into inputs"
# A number of nines stands for missing values if it is in so many rows, and is so many times as far
# from the mean of the other numbers as the farthest of them.
_FEW_ROWS, _FAR = 3, 2
# If a column has many numbers, and at most this many different words, the words stand for missing
# values.
_FEW_WORDS: Final = 3


@dataclass(frozen=True, eq=False)
class Table(Reader):
    """Reads a table with the options of `datasets.table`.

    Attributes:
        source: A path or a DataFrame.
        ready: Ready-made parts, such as ("test", DataFrame).
        open: The names of the options that the user left out. The rules decide about these options.
        decisions: The decisions of the rules, in words, by the column or by a subject such as
            "codes".
    """

    source: Any
    target: str
    drop: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    merge: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    classes: bool | None = None
    time: str | Literal[False] | None = None
    groups: str | None = None
    ready: tuple[tuple[str, Any], ...] = ()
    open: frozenset[str] = frozenset()
    decisions: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return _title(self.source)

    def __call__(self) -> Contents:
        table, frame, columns = self.decided()
        return table.contents_of(frame, columns)

    def at(self, place: Path, target: str) -> Table | None:
        same_kind = is_table(place)
        return replace(self, source=place, target=target or self.target) if same_kind else None

    def decided(self) -> tuple[Table, Any, list[Column]]:
        """Applies the rules for the options that are `open`.

        Returns the reader in which all options are decided, the rows to use, and the columns that
        become inputs of a model.
        """
        frame = self._frame(self.source)
        columns_of = {n: getattr(self, n) for n in ("drop", "categories", "merge", "dates")}
        column_of = {"target": self.target, "time": self.time, "groups": self.groups}
        columns_of |= {option: (column,) for option, column in column_of.items() if column}
        check_names(frame, columns_of, self.title)
        decisions = dict(self.decisions)
        inputs = [name for name in frame if name not in (*self.drop, self.target, self.groups)]
        in_file = is_csv(self.source)
        table, codes, on_words = self._with_words_and_codes(frame, inputs)
        decisions |= on_words
        if in_file and (table.missing, table.categories) != (self.missing, self.categories):
            del frame
            frame = table._frame(self.source)
        frame, on_target = self._with_target(without_words(frame, table.missing))
        decisions |= on_target
        dropped = {}
        if "drop" in self.open:
            named = {self.time, *self.dates, *self.categories, *self.merge}
            candidates = [name for name in inputs if name not in named]
            dropped = dict(_reasons_to_drop(frame[candidates], codes, self.groups is None))
            inputs = [name for name in inputs if name not in dropped]
        if codes := [name for name in codes if name in inputs]:
            text = f"the numbers of {listed(codes, most=_SHOWN)} are categories"
            decisions = {"codes": text, **decisions}
        categories = {*table.categories, *self.merge}
        columns, refused = _table_columns(frame[inputs], categories, spelled=in_file)
        columns = [replace(column, merged=column.name in self.merge) for column in columns]
        if refused and "drop" not in self.open:
            raise _refusal(self.title, refused)
        dropped |= refused
        decisions |= {name: f"left out, as it {why}" for name, why in dropped.items()}
        if self.open:
            texts = [c.name for c in columns if c.kind == "category" and not c.merged]
            decisions |= _on_spellings(frame[texts])
        if "missing" in self.open:
            numbers = [column.name for column in columns if column.kind == "number"]
            decisions |= _on_far_numbers(frame[numbers])
        dates = [column.name for column in columns if column.kind == "dates"]
        time = table._time(frame, dates)
        if self.open or self.time is None:
            unused = [name for name in dates if name not in (*self.dates, self.time)]
            decisions |= _on_dates(time if self.time is None else "", unused)
        if self.open and decisions:
            decisions["to change it"] = (
                "set drop, categories, missing, merge, dates, time or groups (options: --drop, "
                "--missing, --merge, --dates, --time, --groups)"
            )
        table = replace(
            table,
            drop=(*self.drop, *dropped),
            categories=(*self.categories, *codes),
            time=time or False,
            open=frozenset(),
            decisions=decisions,
        )
        others = (column for column in columns if column.kind != "dates")
        columns = [*others, *self._parts_of_dates(frame)]
        return table, frame.iloc[self._order(frame, time)] if time else frame, columns

    def contents_of(self, frame: Any, columns: list[Column]) -> Contents:
        """Returns the samples. The reader must have no `open` options, so `decided` comes first."""
        if not columns:
            why = "; ".join(f"{subject}: {text}" for subject, text in self.decisions.items())
            raise DataError(
                f"{self.title} has no column besides the target {self.target!r} that a model can "
                "use",
                received=why or list(frame.columns),
                hint="Dates become inputs by dates=['day']. For texts, take datasets.text.",
            )
        y = _read_target(frame[self.target], self.classes, self.title)
        facts = TableColumns(
            tuple(columns), self.time or "", self.groups, self.decisions, self.missing
        )
        named_groups = [] if self.groups is None else [self.groups]
        left_out = _reasons_to_drop(frame[[*self.drop]], (), False)
        names = [name for name, why in left_out if why == _IDENTIFIER or GROUPED in why]
        facts = replace(facts, target=self.target, identifiers=(*named_groups, *names))
        x, groups = _values_of(frame, columns, self.title), self._groups_of(frame, self.title)
        y_name = f"{self.target!r} of {self.title}"
        pool = Samples(x, y, self.title, y_name, groups=groups, table=facts)
        ready = {}
        for part, source in self.ready:
            title = _title(source, part)
            other = self._frame(source)
            check_names(other, {"target": [self.target], "groups": named_groups}, title)
            targets = _read_alike(other[self.target], y, title)
            x = _values_of(other, columns, title)
            groups = self._groups_of(other, title)
            ready[part] = Samples(x, targets, title, f"{self.target!r} of {title}", groups=groups)
        return Contents(pool, ready)

    def _groups_of(self, frame: Any, title: str) -> np.ndarray | None:
        """Returns the group of each row as texts, or None without the option `groups`."""
        if self.groups is None:
            return None
        check_complete(frame[self.groups], f"the group {self.groups!r}", title)
        return texts_of(frame[self.groups])

    def _frame(self, source: Any) -> Any:
        if isinstance(source, Path):
            texts = self.categories if self.groups is None else (*self.categories, self.groups)
            frame = read_table(source, missing=self.missing, texts=texts)
        else:
            frame = without_words(source, self.missing)
        if not len(frame):
            raise DataError(f"{_title(source)} has no rows.")
        return frame

    def _with_words_and_codes(
        self, frame: Any, inputs: list[str]
    ) -> tuple[Table, list[str], dict[str, str]]:
        """Finds the texts that stand for missing values, and the columns of codes.

        Returns the reader with both, the columns of codes, and decisions.
        """
        in_file = is_csv(self.source)
        names = [*inputs, self.target]
        written = self._as_written(frame, names) if in_file else frame[names]
        table, codes, decisions = self, list[str](), dict[str, str]()
        if "missing" in self.open:
            words = {name: _missing_words(frame[name]) for name in names}
            missing = dict.fromkeys([*self.missing, *chain(*words.values())])
            table = replace(table, missing=tuple(missing))
            if in_file:
                words = {
                    n: [*w, *sorted(_WORDS_OF_PANDAS & {*written[n].unique()})]
                    for n, w in words.items()
                }
            phrases = (f"{quoted(texts)} in {name}" for name, texts in words.items() if texts)
            decisions |= {"missing": text} if (text := listed(phrases, most=_SHOWN)) else {}
        if "categories" in self.open:
            gaps = {MISSING, *_WORDS_OF_PANDAS, *table.missing}
            codes = [name for name in inputs if _holds_codes(written[name], gaps)]
            table = replace(table, categories=(*self.categories, *codes))
        return table, codes, decisions

    def _as_written(self, frame: Any, names: list[str]) -> Any:
        """Returns columns of a CSV file, those as texts that pandas may have changed."""
        # pandas reads 007 as 7, and "NA" as a missing value.
        changed = [
            name
            for name in names
            if frame[name].isna().any()
            or (frame[name].dtype.kind in "iuf" and (frame[name] % 1 == 0).all())
        ]
        texts = read_table(self.source, usecols=changed, keep_default_na=False, dtype=str)
        return frame[names].assign(**{name: texts[name] for name in changed})

    def _with_target(self, frame: Any) -> tuple[Any, dict[str, str]]:
        """Returns the rows that have a target, and decisions and remarks about the target."""
        target, decisions = frame[self.target], {}
        try:
            target.nunique()
        except TypeError:
            subject, expected = f"the target {self.target!r}", "one number or class in each row"
            hint = "Lists of one length go with datasets.arrays(x, y), as an array."
            raise DataError.of_setting(subject, expected, target.iloc[0], hint) from None
        empty = target.isna() | (target == MISSING)
        if empty.any() and not empty.all():
            count = f"{empty.sum():,} of {len(frame):,}"
            decisions["rows"] = f"{count} lack {self.target}, and are left out"
            frame = frame[~empty]
        return frame, decisions

    def _time(self, frame: Any, dates: list[str]) -> str:
        """Returns the column that orders the rows, or an empty text if no column does."""
        if self.groups is not None:
            # A split in time would cut groups.
            return ""
        if self.time is not None:
            return self.time or ""
        # A date that many rows share says little about their order.
        most = len(frame) * _MOST_OF_A_DATE
        complete = (name for name in dates if frame[name].notna().all())
        return next((n for n in complete if frame[n].value_counts().iloc[0] <= most), "")

    def _order(self, frame: Any, time: str) -> np.ndarray:
        check_complete(frame[time], f"the time {time!r}", self.title)
        try:
            if frame[time].dtype.kind in "biuf":
                values = numbers_of(frame[time])
            else:
                values = dates_of(frame[time], order_of_dates(frame[time]))
        except ValueError as error:
            wrong = f"{self.title} can't be ordered by the column {time!r} (time): it {error}"
            raise DataError(wrong, hint="Change the column, or pass time=False.") from None
        return np.argsort(np.asarray(values), kind="stable")

    def _parts_of_dates(self, frame: Any) -> Iterator[Column]:
        """Yields the columns of days, months and weekdays that are made from columns of dates."""
        for name in self.dates:
            try:
                order = order_of_dates(frame[name])
            except ValueError as error:
                raise _refusal(self.title, {name: str(error)}) from None
            days, *others = names_of_parts(name, order)
            yield Column(days, "number")
            yield from (Column(part, "category") for part in others)


def _on_dates(time: str, unused: list[str]) -> dict[str, str]:
    decisions = dict.fromkeys(unused, "no input")
    if time:
        unseen = "; no input" if time in decisions else ""
        decisions[time] = f"parts are split in time by it{unseen}"
    return decisions


def _title(source: Any, part: str = "") -> str:
    """Returns the name of a table in messages."""
    if isinstance(source, Path):
        return repr(str(source))
    return f"The {part} table" if part else "The table"


def _read_target(series: Any, classes: bool | None, source: str) -> np.ndarray:
    """Returns targets of shape (n,): texts or int64 for classes, float64 for quantities.

    `classes` is as in `datasets.table`. Raises DataError for missing values, and for dates.
    """
    import pandas as pd
    from pandas.api import types

    name, dtype = f"the target {series.name!r}", series.dtype
    check_complete(series, name, source)
    texts = not types.is_numeric_dtype(dtype) or types.is_bool_dtype(dtype)
    if texts and not classes and (classes is False or series.nunique() > _MOST_CLASSES):
        # Texts such as "1,200 kr" may be numbers.
        with contextlib.suppress(ValueError, TypeError):
            series, texts = pd.Series(numbers_of(series), name=series.name), False
    dates = types.is_datetime64_any_dtype(dtype) or types.is_timedelta64_dtype(dtype)
    if dates or (texts and classes is False):
        expected = "numbers" if classes is False else "numbers or classes"
        hint = "Make numbers of it in pandas, and pass datasets.table(df, target=...)."
        raise DataError.of_setting(f"{name} of {source}", expected, str(dtype), hint)
    if not texts:
        values = numbers_of(series)
        check_finite(values, f"{name} of {source}")
        labels = np.unique(values)
        few = 2 <= len(labels) <= min(_MOST_CLASSES, len(values) / _LEAST_ROWS)
        if classes is not False and few and np.array_equal(labels, np.arange(len(labels))):
            return values.astype(np.int64)
        if not classes:
            return values
    return texts_of(series.astype(object))


def _read_alike(series: Any, like: np.ndarray, source: str) -> np.ndarray:
    """Returns the targets of a ready-made part, of the same dtype as the training targets `like`.

    Raises DataError if the ready-made part has a class that is not among the training targets.
    """
    targets = _read_target(series, like.dtype.kind == "O", source)
    if like.dtype.kind in "Oi" and (unknown := sorted(set(targets) - set(like))):
        raise DataError(
            f"The target {series.name!r} of {source} has classes that the training table lacks, "
            f"such as {unknown[0]!r}."
        )
    return targets.astype(like.dtype)


def _holds_codes(series: Any, gaps: Collection[str]) -> bool:
    """Returns whether the whole numbers of a column are codes, and not quantities.

    Such a column has a name such as "zip", or has numbers that begin with 0. `gaps` are the texts
    that stand for missing values.
    """
    if series.dtype.kind in "mM":
        return False
    named = _CODE.fullmatch(series.name) is not None
    if series.dtype.kind in "biuf" and not named:
        return False
    texts = {*series.dropna().astype(str).unique()} - {*gaps}
    whole = bool(texts) and all(re.fullmatch(r"\d+(\.0)?", text) for text in texts)
    return whole and (named or any(re.match(r"0\d", text) for text in texts))


def _missing_words(series: Any) -> list[str]:
    """Returns the texts of a column that stand for missing values."""
    if series.dtype.kind in "biufmM":
        return []
    texts = list(series.dropna().astype(str).unique())
    missing = [text for text in texts if _plain(text) in _SIGNS + _WORDS]
    gaps = set(missing)
    rest = [text for text in texts if text not in gaps]
    words = list(islice((text for text in rest if not is_number(text)), _FEW_WORDS + 1))
    if rest and (not words or all(map(is_date, rest))):
        return missing
    if len(words) <= _FEW_WORDS and len(rest) - len(words) >= _FEW_LEVELS:
        return [*missing, *words]
    return [text for text in missing if _plain(text) in _SIGNS]


def _plain(text: str) -> str:
    return text.strip().lower()


def _reasons_to_drop(
    table: Any, codes: Collection[str], independent: bool
) -> Iterator[tuple[str, str]]:
    """Yields the name of each column that teaches a model nothing, and the reason.

    `independent` says whether no column names the groups of rows yet.
    """
    different = {}
    for name in table.columns:
        # Values such as lists can't be compared. `_table_columns` refuses them.
        with contextlib.suppress(TypeError):
            different[name] = table[name].nunique()
    for name, values in different.items():
        series, present = table[name], table[name].dropna()
        if _names_groups(table[list(different)], name, values):
            advice = f": groups={name!r} (--groups {shlex.quote(name)}) keeps them in one part"
            yield (
                name,
                f"has {values:,} different values in {len(present):,} rows, so {GROUPED}"
                f"{advice if independent else ''}",
            )
        elif name in codes:
            if values > max(_FEW_LEVELS, len(series) / 2):
                yield name, f"holds {values:,} different codes in {len(series):,} rows"
        elif values == 1 and len(present) == len(series):
            only = series.iloc[0]
            yield name, f"is always {only if isinstance(only, np.generic) else repr(only)}"
        elif (
            _ID.fullmatch(name)
            and values > max(_FEW_LEVELS, len(series) / 20)
            and (series.dtype.kind != "f" or (present == present.round()).all())
        ):
            yield name, _IDENTIFIER


def _names_groups(table: Any, name: str, values: int) -> bool:
    """Returns whether a column looks like a name of rows that belong together, e.g. of a patient.

    Such a column has whole numbers or texts, and several rows of each. Its name is of a person or
    thing, or is that of an identifier; or it has hundreds of texts such as "P-0042", with digits
    and without blanks; or it has hundreds of whole numbers, and another column has the same value
    in all rows of a number, as a patient's sex does. `values` is the number of the column's
    different values.
    """
    present = table[name].dropna()
    if not _FEW_GROUPS <= values < len(present) or _CODE.fullmatch(name):
        return False
    is_text = present.dtype.kind not in "biufmM"
    if present.dtype.kind in "bmM" or (present.dtype.kind == "f" and (present % 1 != 0).any()):
        return False
    if _UNIT.fullmatch(name) or (_ID.fullmatch(name) and values > _FEW_LEVELS):
        return True
    if not _MANY_GROUPS <= values <= len(present) / 2:
        return False
    if not is_text:
        return any(_settles(table, name, other) for other in table.columns if other != name)
    texts = present.astype(str).unique()
    numbers = all(map(is_number, texts)) and not any(text.startswith("0") for text in texts)
    dates = all(map(is_date, texts))
    return not numbers and not dates and all(re.fullmatch(r"\S*\d\S*", text) for text in texts)


def _settles(table: Any, name: str, other: str) -> bool:
    """Returns whether rows with the same value of a column have the same value of another column.

    The other column must have several values, and not be a coarser form of the column, such as its
    decade.
    """
    if table[other].value_counts(normalize=True, dropna=False).iloc[0] > _MOSTLY_EQUAL:
        return False
    # The first rows often show that they don't, in less time.
    for rows in (table.head(_FIRST_ROWS), table):
        by_value = rows.groupby(name)[other]
        if (by_value.nunique(dropna=False) > 1).any():
            return False
    firsts = by_value.first()
    return not (firsts.is_monotonic_increasing or firsts.is_monotonic_decreasing)


def _table_columns(
    table: Any, categories: Collection[str] = (), *, spelled: bool = False
) -> tuple[list[Column], dict[str, str]]:
    """Returns the columns that a model can use and, for the others, why it can't use them.

    The target is not among the columns of `table`. Columns in `categories` are categories, whatever
    they hold. With `spelled`, as for CSV files, a column is a column of numbers if all its texts
    can be read as numbers, such as "1,200".
    """
    usable, reasons = [], {}
    for name in table.columns:
        series = table[name]
        try:
            kind: Any = "category" if name in categories else _kind_of(series, spelled)
            if kind == "category":
                _check_category(texts_of(series), asked=name in categories)
            elif kind != "dates":
                float32_of(series)
        except ValueError as error:
            reasons[name] = str(error)
        else:
            usable.append(Column(name, kind, unit_of(series) if kind == "number" else None))
    return usable, reasons


def _on_spellings(table: Any) -> dict[str, str]:
    """Returns a remark on columns with categories that differ only by case or blanks."""
    examples: dict[str, list[str]] = {}
    for name in table.columns:
        spellings: dict[str, list[str]] = {}
        for text in sorted({*texts_of(table[name])} - {MISSING}):
            spellings.setdefault(folded(text), []).append(text)
        if alike := [texts for texts in spellings.values() if len(texts) > 1]:
            examples[name] = alike[0]
    if not examples:
        return {}
    named = listed((f"{quoted(texts)} in {name}" for name, texts in examples.items()), most=_SHOWN)
    options = " ".join(f"--merge {shlex.quote(name)}" for name in examples)
    return {
        "spellings": f"{named} differ by case or blanks only: merge={[*examples]} ({options}) "
        "makes them one category"
    }


def _on_far_numbers(table: Any) -> dict[str, str]:
    """Returns a remark on columns in which 9999 or the like seems to stand for missing values.

    Such a number has only nines, is in several rows, and is far from all other numbers.
    """
    words: dict[str, tuple[str, int]] = {}
    for name in table.columns:
        numbers = numbers_of(table[name])
        for number in (np.nanmin(numbers), np.nanmax(numbers)):
            word, rest = f"{number:.12g}", numbers[(numbers != number) & ~np.isnan(numbers)]
            rows = int((numbers == number).sum())
            if rows >= _FEW_ROWS and len(rest) and re.fullmatch(r"-?99+", word):
                distance = abs(number - rest.mean()) / np.abs(rest - rest.mean()).max()
                words |= {name: (word, rows)} if distance > _FAR else {}
    if not words:
        return {}
    far = listed((f"{word} in {name} ({rows:,} rows)" for name, (word, rows) in words.items()))
    missing = [*dict.fromkeys(word for word, _ in words.values())]
    options = " ".join(f"--missing {word}" for word in missing)
    return {
        "nines": f"{far} is far from all other numbers: missing={missing} ({options}) makes it a "
        "missing value"
    }


def _kind_of(series: Any, spelled: bool) -> Any:
    """Returns the `Column.kind` of a column. Raises ValueError if no model can use it."""
    from pandas.api import types

    if not series.notna().any():
        raise ValueError("has no values")
    value_type = types.infer_dtype(series, skipna=True)
    types_of_values = set(series.dropna().map(type)) if value_type.startswith("mixed") else set()
    if types_of_values and all(
        issubclass(t, str | int | float | np.generic) for t in types_of_values
    ):
        value_type = "string" if any(issubclass(t, str) for t in types_of_values) else "floating"
    if value_type == "string":
        return _kind_of_texts(series, spelled)
    kind = _KINDS.get(value_type)
    if kind is None:
        objects = ", ".join(sorted(t.__name__ for t in types_of_values)) or value_type
        raise ValueError(f"holds values of the kind {objects}")
    if kind == "number":
        values = numbers_of(series)
        return "boolean" if np.isin(values[~np.isnan(values)], (0, 1)).all() else "number"
    return kind


def _kind_of_texts(series: Any, spelled: bool) -> str:
    texts = list(series.dropna().astype(str).unique())
    if len(texts) > 1 and all(map(is_date, texts)):
        dates_of(series, order_of_dates(series))
        return "dates"
    # In a DataFrame, a column of texts with only a few different numbers stays a category, because
    # the user may have turned the numbers into texts for this purpose.
    if (spelled or len(texts) >= _FEW_LEVELS) and all(map(is_number, texts)):
        float32_of(texts)
        return "number"
    return "category"


def _check_category(texts: np.ndarray, *, asked: bool) -> None:
    levels = sorted(set(texts.tolist()) - {""})
    count = len(levels)
    free = count > len(texts) / 2 or sum(map(len, levels)) > _LONG_TEXT * count
    if count > _MOST_LEVELS or (free and not asked and count > _FEW_LEVELS):
        first = levels[0]
        if len(first) > _SHOWN_CHARACTERS:
            first = f"{first[:_SHOWN_CHARACTERS]}…"
        many = f"{count:,} different texts in {len(texts):,} rows, such as {first!r}"
        free_text = sum(" " in level for level in levels) > count / 2
        raise ValueError(f"holds {many}{f': {FREE_TEXT}' if free_text else ''}")


def _values_of(table: Any, columns: Collection[Column], source: str) -> dict[str, np.ndarray]:
    """Returns columns by name: categories as texts, other columns as float32.

    Missing values are "" among texts, and NaN among numbers. Raises DataError if a column is
    missing, or if its values are not of its kind.
    """
    try:
        series_by_name = with_parts_of_dates(table, [column.name for column in columns])
    except KeyError as error:
        raise DataError(f"{source} lacks columns: {quoted(error.args, most=_SHOWN)}.") from None
    except ValueError as error:
        raise DataError(f"{source} can't be read: {error}.") from None
    values = {}
    for column in columns:
        try:
            of_kind = texts_of if column.kind == "category" else float32_of
            values[column.name] = of_kind(series_by_name[column.name])
        except ValueError as error:
            raise _refusal(source, {column.name: str(error)}) from None
    return values


def _refusal(source: str, refused: Mapping[str, str]) -> DataError:
    """Returns the error for columns that no model can use."""
    reasons = listed((f"{name!r} {why}" for name, why in refused.items()), most=_SHOWN)
    return DataError(
        f"{source} has columns that are neither numbers nor categories: {reasons}",
        hint=f"Leave them out by drop={list(refused)[: 2 * _SHOWN]}, or change them in pandas and "
        "pass datasets.table(df, target=...).",
    )
