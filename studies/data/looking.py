"""Checks data before a model is trained on it, and describes what it finds in sentences."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from search_spaces.texts import counted, listed
from studies.data.arrays.parts import PART_NAMES, LoadedData, Part
from studies.data.arrays.samples import class_labels
from studies.data.arrays.structures import image_of, is_text, marks, named_arrays
from studies.data.column_values import MISSING
from studies.data.preprocessing import Preparation
from studies.data.splits import FoldedSplits
from studies.data.streams import first_samples
from tracking.records.data_findings import (
    DATA_SEVERITIES,
    Classes,
    ConstantGuess,
    DataFinding,
    DataFindings,
    most_frequent,
)

ByName = Mapping[str, np.ndarray]
_QUICK_BYTES = 64 * 2**20
_OFTEN = 0.01
# If a larger share of training samples is repeated, equal samples may be mere chance.
_ALIKE_ANYWAY = 0.1
_UNBALANCED = 10
_MUCH = 0.5
_LISTED = 3
# The most and the fewest samples of a part that a classifier gets. With more samples it would find
# differences that are too small to matter.
_MOST_SAMPLES, _FEWEST_SAMPLES = 1_000, 20
_MOST_FEATURES = 256
_CLEAR, _CERTAIN = 0.01, 0.001
_EASY = 0.65
_REMEDY = (
    "Shuffle before splitting, or collect data that is like what the model will meet. Only where "
    "the later part comes later in time is it to be expected."
)
# The picture of samples: sides and gaps in pixels, rows and columns in images.
_LARGEST_SIDE = 48
_ROWS, _COLUMNS, _GAP, _WHITE = 10, 10, 2, 255


def look_at(splits: LoadedData | FoldedSplits, name: str) -> DataFindings:
    """Runs all checks of a study's data. They take seconds, and longer for gigabytes."""
    return _looked(_seen_of(splits), splits, name, thorough=True)


def glance_at(splits: LoadedData | FoldedSplits, name: str) -> DataFindings | None:
    """Runs the fast checks of a study's data.

    Returns None for data in batches, which is slow to read.
    """
    if splits.streams:
        return None
    return _looked(_seen_of(splits), splits, name, thorough=False)


def guess_on(splits: LoadedData) -> ConstantGuess | None:
    """Returns the most frequent class of the validation part. Returns None for data in batches."""
    if splits.streams:
        return None
    return most_frequent(_class_counts(_seen_of(splits)), "validation")


def _looked(
    seen: _Seen, splits: LoadedData | FoldedSplits, name: str, *, thorough: bool
) -> DataFindings:
    classes = _class_counts(seen)
    findings = list(_class_findings(classes))
    if thorough or seen.bytes <= _QUICK_BYTES:
        findings += _repeats(seen)
    notes = list(seen.notes)
    if thorough:
        findings += [*_column_findings(seen), *_changed_parts(seen)]
        if "test" in seen.x:
            notes.append("Of the test part the inputs alone: its targets stay sealed.")
    picture, rows = _picture_of(seen, classes)
    return DataFindings(
        data=name,
        digest=splits.digest,
        sizes=dict(seen.sizes),
        inputs=_inputs_of(seen),
        classes=classes,
        findings=tuple(sorted(findings, key=lambda each: DATA_SEVERITIES.index(each.severity))),
        notes=" ".join(notes),
        thorough=thorough,
        picture=picture,
        picture_rows=rows,
    )


@dataclass(frozen=True, eq=False)
class _Seen:
    """The samples that are checked.

    Attributes:
        x: For each part, the inputs by name.
        y: For each part but the test part, the targets by name.
        sizes: The number of samples of each part, if known.
        preparation: How the samples were preprocessed.
        partial: Whether only the first samples are checked.
        folds: The number of folds that the training part is split into; 0: none.
        notes: Sentences that say what is not checked.
    """

    x: Mapping[str, ByName]
    y: Mapping[str, ByName]
    sizes: Mapping[str, int]
    preparation: Preparation = field(default_factory=Preparation)
    partial: bool = False
    folds: int = 0
    notes: tuple[str, ...] = ()

    def count(self, part: str) -> int:
        return len(next(iter(self.x[part].values())))

    @property
    def bytes(self) -> int:
        return sum(array.nbytes for arrays in self.x.values() for array in arrays.values())

    def kind(self, name: str) -> str:
        """Returns the kind of an input: "images", "texts", "columns" or "arrays"."""
        array = self.x["train"][name]
        if is_text(array):
            return "texts"
        if self.preparation.table is not None:
            return "columns"
        first = self.original(name, array[:1])[0]
        image = None if name in self.preparation.columns else image_of(first)
        # Negative numbers are no pixels, but e.g. measurements over time.
        if image is not None and image.min() >= 0:
            return "images"
        return "columns" if array.ndim <= 2 else "arrays"

    def original(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Undoes the scaling of an input's samples, if there was one."""
        prepared = self.preparation.prepared.get(name)
        return rows if prepared is None else prepared.undone(rows)

    def labels(self, part: str) -> np.ndarray | None:
        """Returns the class of each sample of a part, if the targets are one array of classes."""
        y = self.y.get(part, {})
        return class_labels(next(iter(y.values()))) if len(y) == 1 else None

    def columns(self, name: str) -> list[str]:
        array, table = {**self.y.get("train", {}), **self.x["train"]}[name], self.preparation.table
        if table is not None and name == "x":
            return table.names
        count, known = math.prod(array.shape[1:]), self.preparation.columns.get(name, ())
        if len(known) == count:
            return [column for column, _ in known]
        own = _own_name(name)
        called = "column" if own == "x" else f"{own} column"
        return [own] if count == 1 else [f"{called} {place}" for place in range(count)]


def _own_name(name: str) -> str:
    """Returns "image" for "x['image']", and any other name as it is."""
    return name[3:-2] if name[1:3] == "['" else name


def _seen_of(splits: LoadedData | FoldedSplits) -> _Seen:
    """Returns the samples to check. Of the test part these are only the inputs."""
    sizes, notes, preparation = dict(splits.sizes), [], Preparation()
    parts: dict[str, Part] = {}
    for name, stream in splits.streams.items():
        parts[name], whole = first_samples(stream)
        if not whole:
            count = len(parts[name])
            notes.append(f"The data comes in batches: the first {count:,} {name} samples.")
    partial, test = bool(notes), None
    if not splits.streams:
        arrays = splits.whole.arrays
        preparation, test = arrays.preparation, arrays.unseal_test_inputs()
        parts = {"train": arrays.train, "validation": arrays.validation}
    if splits.folds:
        parts.pop("validation")
        sizes.pop("validation")
        notes.append(
            f"The data is split into {splits.folds} folds: all samples that are split are looked "
            "at together, as the training part."
        )
    x = {name: named_arrays(part.x, "x") for name, part in parts.items()}
    y = {name: named_arrays(part.y, "y") for name, part in parts.items() if part.has_targets}
    y.pop("test", None)
    if test is not None:
        x["test"] = named_arrays(test, "x")
    return _Seen(x, y, sizes, preparation, partial, splits.folds, tuple(notes))


def _class_counts(seen: _Seen) -> Classes:
    """Counts samples by target, part and class. Targets that are no classes are left out."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    names = seen.preparation.class_names
    for name in seen.y.get("train", {}):
        labels = {part: class_labels(arrays[name]) for part, arrays in seen.y.items()}
        if any(each is None for each in labels.values()):
            continue
        own = names if isinstance(names, tuple) else names.get(_own_name(name), ())
        every = np.unique(np.concatenate(list(labels.values())))
        counts[name] = {
            part: {_shown(label, own): int((each == label).sum()) for label in every}
            for part, each in labels.items()
        }
    return counts


def _shown(label: np.generic, names: Sequence[str]) -> str:
    place = int(label)
    if place < len(names):
        return names[place]
    return f"{label:g}" if label.dtype.kind == "f" else str(label.item())


def _inputs_of(seen: _Seen) -> dict[str, str]:
    """Describes each input in words. For a table, also says how its columns are preprocessed."""
    table = seen.preparation.table
    if table is not None:
        return {"x": f"a table of {counted(len(table.columns), 'column')}", **table.treatments}
    inputs = {}
    for name, array in seen.x["train"].items():
        kind, sample = seen.kind(name), array.shape[1:]
        if kind == "columns":
            inputs[name] = f"{counted(math.prod(sample), 'column')}, {array.dtype}"
        elif kind == "texts":
            inputs[name] = "texts"
        else:
            side = math.isqrt(sample[0]) if len(sample) == 1 else 0
            flat = f"{side} × {side}, as rows of " if side else ""
            inputs[name] = f"{kind} of {flat}{' × '.join(map(str, sample))}, {array.dtype}"
    return inputs


def _picture_of(seen: _Seen, classes: Classes) -> tuple[bytes, str]:
    """Returns a PNG of at most 10 by 10 training samples, and the classes in its rows.

    Each row shows samples of one class. Without classes, there is one row. If no input is images,
    the PNG is empty.
    """
    name = next((each for each in seen.x["train"] if seen.kind(each) == "images"), None)
    if name is None:
        return b"", ""
    import tensorflow as tf

    array, labels, shown = seen.x["train"][name], seen.labels("train"), ""
    rows = [np.arange(min(len(array), _COLUMNS))]
    if labels is not None:
        rows = [np.flatnonzero(labels == each)[:_COLUMNS] for each in np.unique(labels)[:_ROWS]]
        shown = ", ".join(list(next(iter(classes.values()))["train"])[:_ROWS]) if classes else ""
    first = image_of(seen.original(name, array[:1])[0])
    assert first is not None, "an input of images begins with one"
    step = -(-max(first.shape[:2]) // _LARGEST_SIDE)
    tiles = [seen.original(name, array[row]).reshape(-1, *first.shape) for row in rows]
    tiles = [each[:, ::step, ::step, :3].astype(np.float64) for each in tiles]
    low, high = min(each.min() for each in tiles), max(each.max() for each in tiles)
    if low < 0 or high > _WHITE or (high <= 1 and first.dtype != np.uint8):
        low = min(low, 0)
        tiles = [(each - low) * (_WHITE / (max(high, 1) - low)) for each in tiles]
    height, width = tiles[0].shape[1:3]
    across = max(map(len, tiles))
    grid = np.full((len(tiles), across, height + _GAP, width + _GAP, 3), _WHITE, np.uint8)
    for row, each in enumerate(tiles):
        grid[row, : len(each), :height, :width] = each.round()
    down = len(tiles) * (height + _GAP)
    pixels = grid.transpose(0, 2, 1, 3, 4).reshape(down, across * (width + _GAP), 3)
    return tf.io.encode_png(pixels).numpy(), shown


def _repeats(seen: _Seen) -> Iterator[DataFinding]:
    bits = {part: marks(arrays) for part, arrays in seen.x.items()}
    train, within = len(bits["train"]), " of those that were looked at" if seen.partial else ""
    own = train - len(np.unique(bits["train"]))
    alike_anyway, leaks = own > _ALIKE_ANYWAY * train, False
    for other, part in itertools.combinations(bits, 2):
        samples, of = int(np.isin(bits[part], bits[other]).sum()), len(bits[part])
        if not samples:
            continue
        leaks, name, first = True, PART_NAMES[part], PART_NAMES[other]
        amount = _share(samples, of) if samples < of else f"All {of:,}"
        effect = ": a model that only remembers gets them right, so {} values are too good."
        advice = (
            "Drop repeated samples before splitting, or keep what belongs together in one part."
        )
        if alike_anyway:
            effect = ". But many training samples are alike among themselves as well."
            advice = (
                "See whether a sample is a case of its own; if not, split by what it belongs to."
            )
        yield DataFinding(
            "leaks",
            "problem" if samples > _OFTEN * of and not alike_anyway else "hint",
            f"Samples of the {name} part are in the {first} part too",
            f"{amount} {name} samples{within} are {first} samples too{effect.format(name)}",
            advice,
            {"part": part, "also_in": other, "samples": samples, "of": of},
        )
    if not leaks and len(bits) > 1:
        verdict = f"The parts share none{within}."
        yield DataFinding("leaks", "ok", "No sample is in two parts", verdict)
    if own:
        unless = "or keep them in one fold" if seen.folds else "unless they should count twice"
        in_folds = f", and a fold may validate on what it trains on ({seen.folds} folds)"
        yield DataFinding(
            "twins",
            "problem" if seen.folds and own > _OFTEN * train and not alike_anyway else "hint",
            "Training samples occur twice",
            f"{_share(own, train)} training samples repeat an earlier one: they count "
            f"more{in_folds if seen.folds else ''}.",
            f"Drop them, {unless}.",
            {"samples": own, "of": train},
        )


def _class_findings(classes: Classes) -> Iterator[DataFinding]:
    for name, parts in classes.items():
        of = f" of {_own_name(name)}" if len(classes) > 1 else ""
        for part, counts in parts.items():
            absent = [label for label, samples in counts.items() if not samples]
            effect = "nothing shows how well they are learnt"
            effect = "no model can learn them" if part == "train" else effect
            if absent:
                yield DataFinding(
                    "classes",
                    "problem",
                    f"The {PART_NAMES[part]} part lacks classes{of}",
                    f"The {PART_NAMES[part]} part has no sample of "
                    f"{listed(absent, most=_LISTED)}{of}: {effect}.",
                    "Split with stratify=True, or give the part such samples.",
                )
        train = {label: samples for label, samples in parts["train"].items() if samples}
        usual, rare = max(train, key=train.__getitem__), min(train, key=train.__getitem__)
        if train[usual] >= _UNBALANCED * train[rare]:
            share = 100 * train[usual] / sum(train.values())
            yield DataFinding(
                "balance",
                "hint",
                f"The classes{of} are unbalanced",
                f"Class {usual} has {train[usual]:,} training samples, class {rare} "
                f"{train[rare]:,}: who always says {usual} is right in {share:.3g} %.",
                'Judge by a metric that sees it, such as AUC, and try class_weight="balanced".',
            )


def _column_findings(seen: _Seen) -> Iterator[DataFinding]:
    missing = _missing(seen)
    if missing:
        worst = sorted(missing, key=missing.__getitem__, reverse=True)
        shares = listed((f"{name} ({100 * missing[name]:.2g} %)" for name in worst), most=_LISTED)
        mostly = [name for name in worst if missing[name] > _MUCH]
        advice = "See whether they are missing by chance; that one is missing can be an input too."
        yield DataFinding(
            "missing",
            "problem" if missing[worst[0]] == 1 else "hint",
            "Values are missing",
            f"The share of training samples without a value: {shares}.",
            f"Leave out {listed(mostly, most=_LISTED)}, or see why." if mostly else advice,
            {"shares": missing},
        )
    if targets := list(_constant(seen, "y")):
        yield DataFinding(
            "target",
            "problem",
            "A target is always the same",
            f"In all training samples {listed(targets, most=_LISTED)} has one value: there is "
            "nothing to learn.",
            "See how the target is read.",
        )
    constant = [n for n in _constant(seen, "x") if missing.get(n.removeprefix("missing "), 0) < 1]
    if constant:
        one = len(constant) == 1
        yield DataFinding(
            "constant",
            "hint",
            f"{counted(len(constant), 'column')} {'is' if one else 'are'} always the same",
            f"In all training samples {listed(constant, most=_LISTED)} {'has' if one else 'have'} "
            "one value: nothing can be learnt from it.",
            "Leave it out, unless other data will differ there.",
            {"columns": constant},
        )


def _missing(seen: _Seen) -> dict[str, float]:
    """Returns the share of missing values, for each column of the training part that has some."""
    shares: dict[str, float] = {}
    table = seen.preparation.table
    for name, array in seen.x["train"].items():
        if is_text(array):
            empty = [not any(map(str.strip, texts)) for texts in _texts(array)]
            shares[_own_name(name)] = float(np.mean(empty))
        elif table is not None:
            for column, values in table.columns_in(array).items():
                lacking = values == MISSING if values.dtype == object else np.isnan(values)
                shares[column] = float(lacking.mean())
    return {name: share for name, share in shares.items() if share}


def _constant(seen: _Seen, arrays: str) -> Iterator[str]:
    """Yields the columns of the training part that hold a single value. `arrays` is "x" or "y"."""
    for name, array in (seen.x if arrays == "x" else seen.y).get("train", {}).items():
        if is_text(array):
            if bool((array == array[:1]).all()):
                yield _own_name(name)
        elif arrays == "y" or seen.kind(name) == "columns":
            rows = array.reshape(len(array), -1)
            # `rows == rows[0]` would be an array as large as the data.
            same = rows.min(axis=0) == rows.max(axis=0)
            yield from itertools.compress(seen.columns(name), same.tolist())


class _Told(NamedTuple):
    """How well a classifier tells which of two arrays a row is from.

    Attributes:
        share: The AUC of the classifier; 0.5 is chance.
        p: The p-value of a Mann-Whitney test of its scores.
    """

    share: float
    p: float


def told_apart(first: np.ndarray, second: np.ndarray, seed: int = 0) -> _Told:
    """Tests whether two arrays, of shape (n, features), have the same distribution.

    A classifier learns from half of the rows which array a row is from. A Mann-Whitney test of its
    scores on the other half gives the p-value. Lopez-Paz and Oquab, "Revisiting Classifier
    Two-Sample Tests", ICLR 2017: https://arxiv.org/abs/1610.06545
    """
    from scipy.stats import mannwhitneyu
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.model_selection import train_test_split

    rows, labels = np.concatenate([first, second]), np.repeat([0, 1], [len(first), len(second)])
    learnt, judged, answers, truth = train_test_split(
        rows, labels, test_size=0.5, stratify=labels, random_state=seed
    )
    # With max_features=None, each split of a tree considers all features. This finds relations
    # between a few of many features.
    forest = ExtraTreesClassifier(min_samples_leaf=5, max_features=None, random_state=seed)
    scores = forest.fit(learnt, answers).predict_proba(judged)[:, 1]
    tested = mannwhitneyu(scores[truth == 1], scores[truth == 0], alternative="greater")
    pairs = int((truth == 1).sum() * (truth == 0).sum())
    return _Told(float(tested.statistic) / pairs, float(tested.pvalue))


def _changed_parts(seen: _Seen) -> Iterator[DataFinding]:
    for part in seen.x:
        samples = min(seen.count("train"), seen.count(part), _MOST_SAMPLES)
        if part == "train" or samples < _FEWEST_SAMPLES:
            continue
        names, first, second = _drawn(seen, seen.x, part, samples)
        share, p = told_apart(first, second)
        figures = {"part": part, "samples": samples, "share": share, "p": p}
        pair, chance = f"training and {PART_NAMES[part]}", f"p = {p:.3f}"
        verdict = (
            f"Of a training and a {PART_NAMES[part]} sample, a classifier knows in "
            f"{100 * share:.0f} % of cases which is which, where 50 % is chance "
            f"({chance if p >= _CERTAIN else 'p < 0.001'})"
        )
        if p > _CLEAR:
            title = f"The {pair} samples look alike"
            yield DataFinding("same distribution", "ok", title, f"{verdict}.", figures=figures)
        else:
            differing = _differing(names, first, second)
            most = f" They differ most in {', '.join(differing)}." if differing else ""
            yield DataFinding(
                "same distribution",
                "problem" if share >= _EASY and p < _CERTAIN else "hint",
                f"The {pair} samples are not from the same distribution",
                f"{verdict}: values on one say little of the other.{most}",
                _REMEDY,
                {**figures, "columns": differing},
            )
        targets = _differing(*_drawn(seen, seen.y, part, samples)) if part in seen.y else []
        if targets:
            yield DataFinding(
                "same distribution",
                "hint",
                f"The targets differ between {pair}",
                f"{', '.join(targets)}: distributed differently in the two parts.",
                _REMEDY,
                {"part": part, "targets": targets},
            )


def _drawn(
    seen: _Seen, arrays: Mapping[str, ByName], part: str, samples: int
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Returns names of columns, `samples` rows of the training part, and as many of `part`."""
    names: list[str] = []
    columns: list[np.ndarray] = []
    for name, first in arrays["train"].items():
        rows = [
            each[np.sort(np.random.default_rng(0).permutation(len(each))[:samples])]
            for each in (first, arrays[part][name])
        ]
        own, values = _numbers(seen, name, np.concatenate(rows))
        names += own
        columns.append(values)
    table = np.concatenate(columns, axis=1)
    return names, table[:samples], table[samples:]


def _numbers(seen: _Seen, name: str, rows: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Turns samples into columns of numbers. Returns their names, empty for pixels, and values."""
    own = _own_name(name)
    if is_text(rows):
        from sklearn.feature_extraction.text import HashingVectorizer

        texts = [" ".join(each) for each in _texts(rows)]
        words = HashingVectorizer(
            n_features=_MOST_FEATURES, alternate_sign=False, token_pattern=r"\w+"
        )
        lengths = np.array([[len(each)] for each in texts])
        values = np.concatenate([words.transform(texts).toarray(), lengths], axis=1)
        return [*[f"words of {own}"] * _MOST_FEATURES, f"length of {own}"], values
    values = rows.reshape(len(rows), -1).astype(np.float32)
    one_by_one = name not in seen.x["train"] or seen.kind(name) == "columns"
    names = seen.columns(name) if one_by_one else [""] * values.shape[1]
    # An image's mean and deviation are columns too: no single pixel shows brightness and contrast.
    whole = [] if one_by_one else [values.mean(axis=1), values.std(axis=1)]
    if values.shape[1] > _MOST_FEATURES:
        chosen = np.linspace(0, values.shape[1] - 1, _MOST_FEATURES).round().astype(int)
        values, names = values[:, chosen], [names[place] for place in chosen]
    names = [*names, *([] if one_by_one else [f"mean of {own}", f"deviation of {own}"])]
    return names, np.stack([*values.T, *whole], axis=1)


def _differing(names: Sequence[str], first: np.ndarray, second: np.ndarray) -> list[str]:
    """Returns the columns that differ most, by the Kolmogorov-Smirnov test."""
    from scipy.stats import ks_2samp

    tested = ks_2samp(first, second, method="asymp")
    clear = [
        (statistic, name)
        for statistic, p, name in zip(tested.statistic, tested.pvalue, names, strict=True)
        if name and p <= _CLEAR / len(names)
    ]
    return list(dict.fromkeys(name for _, name in sorted(clear, reverse=True)))[:_LISTED]


def _texts(array: np.ndarray) -> list[list[str]]:
    return [
        [each.decode(errors="replace") if isinstance(each, bytes) else str(each) for each in row]
        for row in array.reshape(len(array), -1).tolist()
    ]


def _share(samples: int, of: int) -> str:
    return f"{samples:,} of {of:,} ({100 * samples / of:.3g} %)"
