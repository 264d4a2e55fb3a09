"""Checks of data for repeated, missing and constant values, rare classes, and shifted parts."""

from __future__ import annotations

import itertools
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from search_spaces.texts import counted, listed, share
from studies.data.arrays.digests_and_equal_samples import marks
from studies.data.arrays.loaded_parts_and_folds import PART_NAMES, FoldedSplits, LoadedData
from studies.data.arrays.users_samples_and_labels import (
    class_labels,
    image_of,
    is_text,
    named_arrays,
    pixels_of,
)
from studies.data.numbers_texts_and_dates import MISSING
from studies.data.preprocessing import Preparation
from studies.data.tables import GROUPED
from tracking.records import (
    SEVERITIES,
    Classes,
    ConstantGuess,
    DataFinding,
    DataFindings,
    MeanGuess,
    most_frequent,
)

# A launch looks for repeated samples only if the data has at most this many bytes.
_QUICK_BYTES = 64 * 2**20
# If more than this share of the samples is repeated, the finding is a problem, not a hint.
_OFTEN = 0.01
# If more than this share of the training samples repeat other training samples, samples may be
# equal by chance. Then samples that are in two parts are a hint, not a problem.
_ALIKE_BY_CHANCE = 0.1
_UNBALANCED = 10
# A column in which more than this share of the values is missing should be left out.
_MUCH = 0.5
_LISTED = 3
# The most and the fewest samples of a part that the classifier of `told_apart` gets. With more
# samples, it would find differences that are too small to matter.
_MOST_SAMPLES, _FEWEST_SAMPLES = 1_000, 20
_MOST_FEATURES = 256
# Parts differ if the p-value is at most the first number. The difference is a problem, not a hint,
# if the p-value is below the second number, and the classifier's AUC is at least the third.
_CLEAR, _CERTAIN, _EASY = 0.01, 0.001, 0.65
_REMEDY = (
    "Shuffle before splitting, or collect data like the data that the model will predict on. Only "
    "parts from different times can be expected to differ."
)
# The picture of samples: the largest side of an image in pixels, the most rows and columns of
# images, the gap between images in pixels, and the white of the background.
_LARGEST_SIDE = 48
_ROWS, _COLUMNS, _GAP, _WHITE = 10, 10, 2, 255


def look_at(splits: LoadedData | FoldedSplits, name: str) -> DataFindings:
    """Runs all checks of a study's arrays. They take seconds, and longer for gigabytes."""
    return _findings_on(splits, name, thorough=True)


def glance_at(splits: LoadedData | FoldedSplits, name: str) -> DataFindings | None:
    """Runs the fast checks. Returns None for data in batches, which is slow to read."""
    return None if splits.streams else _findings_on(splits, name, thorough=False)


def guess_on(splits: LoadedData) -> ConstantGuess | None:
    """Returns the most frequent class of the validation part. Returns None for data in batches."""
    if splits.streams:
        return None
    return most_frequent(_class_counts(_data_of(splits)), "validation")


def _findings_on(splits: LoadedData | FoldedSplits, name: str, *, thorough: bool) -> DataFindings:
    data = _data_of(splits)
    classes = _class_counts(data)
    findings, notes = [*_class_findings(classes), *_group_findings(data.preparation)], list[str]()
    if data.folds:
        notes.append(
            f"The data is split into {data.folds} folds. All their samples are checked together, "
            "as the training part."
        )
    if thorough or data.bytes <= _QUICK_BYTES:
        findings += _repeats(data)
    if thorough:
        findings += [*_column_findings(data), *_changed_parts(data)]
        if "test" in data.counts:
            notes.append("The targets of the test part stay sealed.")
    picture, rows = _picture_of(data, classes)
    return DataFindings(
        data=name,
        digest=splits.digest,
        sizes=data.counts,
        groups=data.preparation.groups,
        inputs=_inputs_of(data),
        classes=classes,
        findings=tuple(sorted(findings, key=lambda f: SEVERITIES.index(f.severity))),
        notes=" ".join(notes),
        picture=picture,
        picture_rows=rows,
        mean=_mean_of(data) if not classes else None,
    )


@dataclass(frozen=True, eq=False)
class _CheckedArray:
    """An input or a target of the model.

    Attributes:
        name: The name, such as "x" or "y['price']".
        parts: The samples of each part. A target has no test part.
        preparation: The preprocessing of the inputs.
    """

    name: str
    parts: Mapping[str, np.ndarray]
    preparation: Preparation

    @property
    def train(self) -> np.ndarray:
        return self.parts["train"]

    @property
    def key(self) -> str:
        return _key_in(self.name)

    @cached_property
    def kind(self) -> Literal["images", "texts", "columns", "arrays"]:
        if is_text(self.train):
            return "texts"
        if self.name.startswith("y") or self.preparation.table is not None:
            return "columns"
        first = self.original(self.train[:1])[0]
        image = None if self.name in self.preparation.columns else image_of(first)
        # Negative numbers are no pixels, but e.g. measurements over time.
        if image is not None and image.min() >= 0:
            return "images"
        return "columns" if self.train.ndim <= 2 else "arrays"

    def original(self, rows: np.ndarray) -> np.ndarray:
        """Undoes the scaling of samples. Samples that were not scaled are returned unchanged."""
        prepared = self.preparation.prepared.get(self.name)
        return rows if prepared is None else prepared.undone(rows)

    @property
    def columns(self) -> list[str]:
        """The names of the columns, such as "age" or "column 3"."""
        table = self.preparation.table
        if table is not None and self.name == "x":
            return table.names
        count, names = math.prod(self.train.shape[1:]), self.preparation.columns.get(self.name, ())
        if len(names) == count:
            return [name for name, _ in names]
        prefix = "column" if self.name == "x" else f"{self.key} column"
        return [self.key] if count == 1 else [f"{prefix} {place}" for place in range(count)]


def _key_in(name: str) -> str:
    """Returns "image" for "x['image']", and a name without a key, such as "x", unchanged."""
    return name[3:-2] if name[1:3] == "['" else name


@dataclass(frozen=True, eq=False)
class _CheckedData:
    """The samples that are checked.

    Attributes:
        counts: The number of samples of each part.
        independent: The places of samples that are independent, by part: the first sample of each
            group. Without groups, all samples.
        preparation: The preprocessing of the samples.
        folds: The number of folds that the training part is split into; 0: none.
    """

    inputs: Sequence[_CheckedArray]
    targets: Sequence[_CheckedArray]
    counts: Mapping[str, int]
    independent: Mapping[str, np.ndarray]
    preparation: Preparation
    folds: int

    @property
    def bytes(self) -> int:
        return sum(array.nbytes for checked in self.inputs for array in checked.parts.values())


def _data_of(splits: LoadedData | FoldedSplits) -> _CheckedData:
    """Returns the samples to check, without the targets of the test part."""
    arrays = splits.whole.arrays
    preparation, test = arrays.preparation, arrays.unseal_test_inputs()
    parts = {"train": arrays.train}
    if not splits.folds:
        parts["validation"] = arrays.validation
    if test is not None:
        parts["test"] = test
    x = {name: named_arrays(part.x, "x") for name, part in parts.items()}
    y = {name: named_arrays(part.y, "y") for name, part in parts.items() if name != "test"}
    inputs, targets = (
        [
            _CheckedArray(name, {part: of[name] for part, of in by_part.items()}, preparation)
            for name in by_part["train"]
        ]
        for by_part in (x, y)
    )
    counts = {name: len(part) for name, part in parts.items()}
    independent = {
        name: np.unique(part.groups, return_index=True)[1]
        if preparation.groups and part.groups is not None
        else np.arange(len(part))
        for name, part in parts.items()
    }
    return _CheckedData(inputs, targets, counts, independent, preparation, splits.folds)


def _class_counts(data: _CheckedData) -> Classes:
    """Counts samples by target, part and class. Targets that are no classes are left out."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for target in data.targets:
        labels = {part: class_labels(array) for part, array in target.parts.items()}
        if any(array is None for array in labels.values()):
            continue
        names = data.preparation.class_names
        if not isinstance(names, tuple):
            names = names.get(target.key, ())
        classes = np.unique(np.concatenate(list(labels.values())))
        counts[target.name] = {
            part: {_class_name(label, names): int((array == label).sum()) for label in classes}
            for part, array in labels.items()
        }
    return counts


def _mean_of(data: _CheckedData) -> MeanGuess | None:
    """Returns the error of always answering the mean, unless the targets are not single numbers.

    In cross-validation, each sample in a fold is a validation sample.
    """
    if len(data.targets) != 1:
        return None
    parts = data.targets[0].parts
    train, validation = parts["train"], parts.get("validation", parts["train"])
    if train.dtype.kind not in "iuf" or train.size != len(train):
        return None
    mean = float(train.mean(dtype=np.float64))
    return MeanGuess(mean, float(np.abs(validation - mean).mean(dtype=np.float64)))


def _class_name(label: np.generic, names: Sequence[str]) -> str:
    place = int(label)
    if place < len(names):
        return names[place]
    return f"{label:g}" if label.dtype.kind == "f" else str(label.item())


def _inputs_of(data: _CheckedData) -> dict[str, str]:
    """Describes each input in words, e.g. "images of 8 × 8, uint8"; for a table, its columns."""
    table = data.preparation.table
    if table is not None:
        return {"x": f"a table of {counted(len(table.columns), 'column')}", **table.treatments}
    inputs = {}
    for array in data.inputs:
        dtype, sample = array.train.dtype, array.train.shape[1:]
        if array.kind == "columns":
            inputs[array.name] = f"{counted(math.prod(sample), 'column')}, {dtype}"
        elif array.kind == "texts":
            inputs[array.name] = "texts"
        else:
            side = math.isqrt(sample[0]) if len(sample) == 1 else 0
            flat = f"{side} × {side}, as rows of " if side else ""
            inputs[array.name] = f"{array.kind} of {flat}{' × '.join(map(str, sample))}, {dtype}"
    return inputs


def _picture_of(data: _CheckedData, classes: Classes) -> tuple[bytes, str]:
    """Returns a PNG of at most 10 by 10 training samples, and the classes of its rows.

    Each row shows samples of one class. If the targets are no classes, there is one row. If no
    input holds images, the PNG is empty.
    """
    images = next((array for array in data.inputs if array.kind == "images"), None)
    if images is None:
        return b"", ""
    import tensorflow as tf

    target = data.targets[0] if len(data.targets) == 1 else None
    labels = None if target is None else class_labels(target.train)
    if target is None or labels is None:
        rows, row_names = [np.arange(min(data.counts["train"], _COLUMNS))], ""
    else:
        rows = [np.flatnonzero(labels == label)[:_COLUMNS] for label in np.unique(labels)[:_ROWS]]
        counts = classes[target.name]["train"] if classes else {}
        row_names = ", ".join([name for name, samples in counts.items() if samples][:_ROWS])
    samples = images.original(images.train[np.concatenate(rows)])
    first = image_of(samples[0])
    assert first is not None, "the first sample of images is an image"
    step = -(-max(first.shape[:2]) // _LARGEST_SIDE)
    pixels = pixels_of(samples.reshape(-1, *first.shape)[:, ::step, ::step, :3])
    height, width = pixels.shape[1:3]
    down, across = len(rows), max(map(len, rows))
    grid = np.full((down, across, height + _GAP, width + _GAP, 3), _WHITE, np.uint8)
    for place, row in enumerate(np.split(pixels, np.cumsum([len(row) for row in rows])[:-1])):
        grid[place, : len(row), :height, :width] = row
    picture = grid.swapaxes(1, 2).reshape(down * (height + _GAP), across * (width + _GAP), 3)
    return tf.io.encode_png(picture).numpy(), row_names


def _repeats(data: _CheckedData) -> Iterator[DataFinding]:
    counts, train = data.counts, data.counts["train"]
    hashes = {
        part: marks({array.name: array.parts[part] for array in data.inputs}) for part in counts
    }
    if (table := data.preparation.table) is not None:
        # Rare and new categories have no inputs. Rows that differ in these categories alone would
        # look repeated, so leave out all rows with such a category.
        (rows,) = data.inputs
        hashes = {part: h[~table.has_uncoded(rows.parts[part])] for part, h in hashes.items()}
    repeats = len(hashes["train"]) - len(np.unique(hashes["train"]))
    by_chance, leaks = repeats > _ALIKE_BY_CHANCE * train, False
    for other, part in itertools.combinations(hashes, 2):
        samples, of = int(np.isin(hashes[part], hashes[other]).sum()), counts[part]
        if not samples:
            continue
        leaks, name, first = True, PART_NAMES[part], PART_NAMES[other]
        amount = _share(samples, of) if samples < of else f"All {of:,}"
        effect = f": a model that only remembers gets them right, so {name} values are too good."
        advice = "Drop repeated samples before splitting, or name related samples by groups=."
        if by_chance:
            effect = ". But many training samples also equal each other, so this may be chance."
            advice = (
                "If several samples are of one case, e.g. one patient, name the cases by groups=."
            )
        yield DataFinding(
            "leaks",
            "problem" if samples > _OFTEN * of and not by_chance else "hint",
            f"Samples of the {name} part are in the {first} part too",
            f"{amount} {name} samples are {first} samples too{effect}",
            advice,
            {"part": part, "also_in": other, "samples": samples, "of": of},
        )
    if not leaks and len(hashes) > 1:
        verdict = "The parts share no samples."
        yield DataFinding("leaks", "ok", "No sample is in two parts", verdict)
    if repeats:
        unless = "or keep them in one fold" if data.folds else "unless they should count twice"
        in_folds = f", and a fold may validate on its training samples ({data.folds} folds)"
        yield DataFinding(
            "twins",
            "problem" if data.folds and repeats > _OFTEN * train and not by_chance else "hint",
            "Training samples occur twice",
            f"{_share(repeats, train)} training samples repeat an earlier one: they count "
            f"more than others{in_folds if data.folds else ''}.",
            f"Drop them, {unless}.",
            {"samples": repeats, "of": train},
        )


def _class_findings(classes: Classes) -> Iterator[DataFinding]:
    for name, parts in classes.items():
        of = f" of {_key_in(name)}" if len(classes) > 1 else ""
        for part, counts in parts.items():
            absent = [label for label, samples in counts.items() if not samples]
            learns = part == "train"
            effect = (
                "no model can learn them" if learns else "nothing shows how well they are learnt"
            )
            if absent:
                yield DataFinding(
                    "classes",
                    "problem",
                    f"The {PART_NAMES[part]} part lacks classes{of}",
                    f"The {PART_NAMES[part]} part has no sample of "
                    f"{listed(absent, most=_LISTED)}{of}: {effect}.",
                    "Split with stratify=True, or add such samples to the part.",
                )
        train = {label: samples for label, samples in parts["train"].items() if samples}
        usual, rare = max(train, key=train.__getitem__), min(train, key=train.__getitem__)
        if train[usual] >= _UNBALANCED * train[rare]:
            right = share(train[usual] / sum(train.values()))
            yield DataFinding(
                "balance",
                "hint",
                f"The classes{of} are unbalanced",
                f"Class {usual} has {train[usual]:,} training samples, class {rare} "
                f"{train[rare]:,}: a model that always says {usual} is right in {right}.",
                'Judge by a metric such as AUC, and try class_weight="balanced".',
            )


def _group_findings(preparation: Preparation) -> Iterator[DataFinding]:
    """Yields whether groups are whole, and the columns that look like names of groups."""
    if preparation.groups:
        yield DataFinding(
            "groups",
            "ok",
            "Each group is in one part",
            "All samples of a group are in the same part, and intervals count groups.",
        )
    table = preparation.table
    if table is None or table.groups is not None:
        return
    if names := [name for name, why in table.decisions.items() if GROUPED in why]:
        yield DataFinding(
            "groups",
            "hint",
            "Rows may belong together",
            f"{listed(names, most=_LISTED)} may name what rows belong to, such as a person, and "
            "rows of one are in several parts: if they depend on each other, all values are too "
            "good.",
            f"Keep them in one part by --groups {shlex.quote(names[0])} (groups={names[0]!r}).",
            {"columns": names},
        )


def _column_findings(data: _CheckedData) -> Iterator[DataFinding]:
    missing = _missing(data)
    if missing:
        worst = sorted(missing, key=missing.__getitem__, reverse=True)
        shares = listed((f"{name} ({share(missing[name])})" for name in worst), most=_LISTED)
        mostly = [name for name in worst if missing[name] > _MUCH]
        advice = "Unless values are missing by chance, add an input that marks missing values."
        if data.preparation.table is not None:
            advice = "Nothing needs to be done: the inputs say where values are missing."
        yield DataFinding(
            "missing",
            "problem" if missing[worst[0]] == 1 else "hint",
            "Values are missing",
            f"Training samples lack values in these columns: {shares}.",
            f"Leave out {listed(mostly, most=_LISTED)}, or find out why." if mostly else advice,
            {"shares": missing},
        )
    if targets := list(_constant(data.targets)):
        yield DataFinding(
            "target",
            "problem",
            "A target is always the same",
            f"In all training samples {listed(targets, most=_LISTED)} has one value: there is "
            "nothing to learn.",
            "See whether the right column is read.",
        )
    constant = [n for n in _constant(data.inputs) if missing.get(n.removeprefix("missing "), 0) < 1]
    if constant:
        one = len(constant) == 1
        yield DataFinding(
            "constant",
            "hint",
            f"{counted(len(constant), 'column')} {'is' if one else 'are'} always the same",
            f"In all training samples {listed(constant, most=_LISTED)} {'has' if one else 'have'} "
            "one value: nothing can be learnt from it.",
            "Leave out such a column, unless it varies in other data.",
            {"columns": constant},
        )


def _missing(data: _CheckedData) -> dict[str, float]:
    """Returns the share of missing values in columns of the training part, by column.

    Columns without missing values are left out.
    """
    shares: dict[str, float] = {}
    table = data.preparation.table
    for array in data.inputs:
        if array.kind == "texts":
            empty = [not any(map(str.strip, texts)) for texts in _texts(array.train)]
            shares[array.key] = float(np.mean(empty))
        elif table is not None:
            for column, values in table.columns_in(array.train).items():
                lacking = values == MISSING if values.dtype == object else np.isnan(values)
                shares[column] = float(lacking.mean())
    return {name: share for name, share in shares.items() if share}


def _constant(arrays: Sequence[_CheckedArray]) -> Iterator[str]:
    """Yields the columns that hold a single value in the training part."""
    for array in arrays:
        if array.kind == "texts":
            if bool((array.train == array.train[:1]).all()):
                yield array.key
        elif array.kind == "columns":
            rows = array.train.reshape(len(array.train), -1)
            # `rows == rows[0]` would need memory for a further array of this shape.
            same = rows.min(axis=0) == rows.max(axis=0)
            yield from itertools.compress(array.columns, same.tolist())


class _TwoSampleTest(NamedTuple):
    share: float  # The AUC of the classifier; 0.5 is chance.
    p: float


def told_apart(first: np.ndarray, second: np.ndarray, seed: int = 0) -> _TwoSampleTest:
    """Tests whether the rows of two arrays, of shape (n, features), have the same distribution.

    A classifier learns from half of the rows which array a row is from. Then it scores the other
    half. A Mann-Whitney test compares the scores of the first array's rows with those of the
    second array's rows, and gives the p-value. Source: Lopez-Paz and Oquab, "Revisiting Classifier
    Two-Sample Tests", ICLR 2017: https://arxiv.org/abs/1610.06545
    """
    from scipy.stats import mannwhitneyu
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.model_selection import train_test_split

    rows, labels = np.concatenate([first, second]), np.repeat([0, 1], [len(first), len(second)])
    x_train, x_test, y_train, y_test = train_test_split(
        rows, labels, test_size=0.5, stratify=labels, random_state=seed
    )
    # With max_features=None, each split of a tree considers all features. This finds relations
    # between a few of many features.
    forest = ExtraTreesClassifier(min_samples_leaf=5, max_features=None, random_state=seed)
    scores = forest.fit(x_train, y_train).predict_proba(x_test)[:, 1]
    test = mannwhitneyu(scores[y_test == 1], scores[y_test == 0], alternative="greater")
    pairs = int((y_test == 1).sum() * (y_test == 0).sum())
    return _TwoSampleTest(float(test.statistic) / pairs, float(test.pvalue))


def _changed_parts(data: _CheckedData) -> Iterator[DataFinding]:
    # Samples of a group are alike, so a classifier would tell the groups of a part from others.
    places = {
        part: np.random.default_rng(0).permutation(independent)[:_MOST_SAMPLES]
        for part, independent in data.independent.items()
    }
    for part in data.counts:
        samples = min(len(places["train"]), len(places[part]))
        if part == "train" or samples < _FEWEST_SAMPLES:
            continue
        drawn = {name: np.sort(places[name][:samples]) for name in ("train", part)}
        names, first, second = _numbers_at(data.inputs, drawn)
        right, p = told_apart(first, second)
        figures = {"part": part, "samples": samples, "share": right, "p": p}
        pair, chance = f"training and {PART_NAMES[part]}", f"p = {p:.3f}"
        verdict = (
            f"A classifier tells training samples from {PART_NAMES[part]} samples in "
            f"{share(right)} of pairs, where 50 % is chance "
            f"({chance if p >= _CERTAIN else 'p < 0.001'})"
        )
        if p > _CLEAR:
            title = f"The {pair} samples look alike"
            yield DataFinding("same distribution", "ok", title, f"{verdict}.", figures=figures)
        else:
            differing = _differing(names, first, second)
            most = f" They differ most in {listed(differing)}." if differing else ""
            yield DataFinding(
                "same distribution",
                "problem" if right >= _EASY and p < _CERTAIN else "hint",
                f"The {pair} samples are not from the same distribution",
                f"{verdict}: metrics of one part say little about the other.{most}",
                _REMEDY,
                {**figures, "columns": differing},
            )


def _numbers_at(
    inputs: Sequence[_CheckedArray], places: Mapping[str, np.ndarray]
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Returns samples of two parts as numbers: the columns' names, and the rows of each part.

    `places` has the places of as many samples in both parts, by the part's name.
    """
    names: list[str] = []
    columns: list[np.ndarray] = []
    samples = len(next(iter(places.values())))
    for checked in inputs:
        rows = [checked.parts[part][chosen] for part, chosen in places.items()]
        column_names, values = _numbers(checked, np.concatenate(rows))
        names += column_names
        columns.append(values)
    table = np.concatenate(columns, axis=1)
    return names, table[:samples], table[samples:]


def _numbers(array: _CheckedArray, rows: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Turns samples into columns of numbers. Returns the columns' names, and the columns.

    The names of columns that are pixels or words are empty.
    """
    if array.kind == "texts":
        from sklearn.feature_extraction.text import HashingVectorizer

        texts = [" ".join(row) for row in _texts(rows)]
        words = HashingVectorizer(
            n_features=_MOST_FEATURES, alternate_sign=False, token_pattern=r"\w+"
        )
        lengths = np.array([[len(text)] for text in texts])
        values = np.concatenate([words.transform(texts).toarray(), lengths], axis=1)
        return [""] * values.shape[1], values
    values = rows.reshape(len(rows), -1).astype(np.float32)
    one_by_one = array.kind == "columns"
    names = array.columns if one_by_one else [""] * values.shape[1]
    # An image's mean and deviation show brightness and contrast, which no single pixel shows.
    whole = [] if one_by_one else [values.mean(axis=1), values.std(axis=1)]
    whole_names = [] if one_by_one else [f"mean of {array.key}", f"deviation of {array.key}"]
    if values.shape[1] > _MOST_FEATURES:
        places = np.linspace(0, values.shape[1] - 1, _MOST_FEATURES).round().astype(int)
        values, names = values[:, places], [names[place] for place in places]
    return [*names, *whole_names], np.stack([*values.T, *whole], axis=1)


def _differing(names: Sequence[str], first: np.ndarray, second: np.ndarray) -> list[str]:
    """Returns the names of the columns that differ most, by the Kolmogorov-Smirnov test."""
    from scipy.stats import ks_2samp

    test = ks_2samp(first, second, method="asymp")
    clear = [
        (statistic, name)
        for statistic, p, name in zip(test.statistic, test.pvalue, names, strict=True)
        if name and p <= _CLEAR / len(names)
    ]
    return list(dict.fromkeys(name for _, name in sorted(clear, reverse=True)))[:_LISTED]


def _texts(array: np.ndarray) -> list[list[str]]:
    return [
        [text.decode(errors="replace") if isinstance(text, bytes) else str(text) for text in row]
        for row in array.reshape(len(array), -1).tolist()
    ]


def _share(samples: int, of: int) -> str:
    return f"{samples:,} of {of:,} ({share(samples / of)})"
