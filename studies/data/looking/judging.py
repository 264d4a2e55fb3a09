"""What is wrong with data, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from studies.data.looking.seen import Seen
from studies.data.looking.shifts import shifts
from tracking.records.data_findings import (
    DATA_SEVERITIES,
    DataFinding,
    Distribution,
    PartsCompared,
    Repeated,
)

NAMES = {"train": "training", "validation": "validation", "test": "test"}
_OFTEN = 0.01
# Of training samples: then rows are alike by chance, as those of a few small categories.
_ALIKE_ANYWAY = 0.1
_FEW_TO_JUDGE = 100
_FEW_OF_A_CLASS = 5
_UNBALANCED = 10
_MUCH = 0.5
_UNLIKE_SCALES = 100
_LISTED = 3


def judged(
    seen: Seen,
    repeated: Sequence[Repeated],
    contradicted: int,
    targets: Sequence[Distribution],
    columns: Sequence[Distribution],
    parts: Sequence[PartsCompared],
) -> tuple[DataFinding, ...]:
    """Returns what was found, the most severe first; without columns or parts, less of it."""
    found = [
        *_leaks(seen, repeated),
        *_twins(repeated, contradicted, seen),
        *(finding for each in targets for finding in _target(each, len(targets) > 1)),
        *_missing(columns, seen),
        *_constant(columns),
        *_far(columns),
        *_scales(columns if not seen.given.prepared and not seen.table else ()),
        *_sizes(seen),
        *shifts(parts, targets),
    ]
    return tuple(sorted(found, key=lambda each: DATA_SEVERITIES.index(each.severity)))


def counted(samples: int, of: int) -> str:
    """Returns so many of so many, with their share."""
    return f"{samples:,} of {of:,} ({100 * samples / of:.3g} %)"


def listed(names: Sequence[str], most: int = _LISTED) -> str:
    """Returns names, the first ones of many."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _leaks(seen: Seen, repeated: Sequence[Repeated]) -> Iterator[DataFinding]:
    anyway = next((each.share for each in repeated if each.part == each.also_in), 0.0)
    within = " of those that were looked at" if seen.partial else ""
    found = [each for each in repeated if each.part != each.also_in and each.samples]
    for each in found:
        part, other = NAMES[each.part], NAMES[each.also_in]
        samples = counted(each.samples, each.of) if each.samples < each.of else f"All {each.of:,}"
        told = f"{samples} {part} samples{within} are {other} samples too"
        if anyway > _ALIKE_ANYWAY:
            yield DataFinding(
                "leaks",
                "hint",
                f"Samples of the {part} part are in the {other} part too",
                f"{told}. But many training samples are alike among themselves as well.",
                "See whether a sample is a case of its own; if not, split by what it belongs to.",
            )
            continue
        yield DataFinding(
            "leaks",
            "problem" if each.share > _OFTEN else "hint",
            f"Samples of the {part} part are in the {other} part too",
            f"{told}: a model that only remembers gets them right, so {part} values are too good.",
            "Drop repeated samples before splitting, or keep what belongs together in one part.",
        )
    if not found and len(seen.x) > 1:
        yield DataFinding(
            "leaks",
            "ok",
            "No sample is in two parts",
            f"The parts share none{within}.",
        )


def _twins(repeated: Sequence[Repeated], contradicted: int, seen: Seen) -> Iterator[DataFinding]:
    own = next((each for each in repeated if each.part == each.also_in), None)
    if contradicted:
        yield DataFinding(
            "contradictions",
            "hint",
            "Equal samples have different classes",
            f"{counted(contradicted, seen.count('train'))} training samples have a twin of another "
            "class: no model can get both right.",
            "Look for wrong labels, or for an input that tells them apart.",
        )
    if own is None or not own.samples:
        return
    folds = f", and a fold may validate on what it trains on ({seen.folds} folds)"
    yield DataFinding(
        "twins",
        "problem" if seen.folds and _OFTEN < own.share <= _ALIKE_ANYWAY else "hint",
        "Training samples occur twice",
        f"{counted(own.samples, own.of)} training samples repeat an earlier one: they count "
        f"more{folds if seen.folds else ''}.",
        "Drop them, or keep them in one fold."
        if seen.folds
        else "Drop them, unless they should count more.",
    )


def _target(target: Distribution, several: bool) -> Iterator[DataFinding]:
    name = f" {target.name}" if several else ""
    if target.constant:
        yield DataFinding(
            "target",
            "problem",
            f"The target{name} is always the same",
            f"All training targets{name} are {target.labels[0] if target.labels else target.low}: "
            "there is nothing to learn.",
            "See how the target is read.",
        )
    if target.kind != "classes":
        return
    train = target.bars["train"]
    for part, bars in target.bars.items():
        absent = [label for label, n in zip(target.labels, bars, strict=True) if not n]
        if absent:
            what = "class" if len(absent) == 1 else f"{len(absent)} classes"
            effect = (
                "nothing shows how well they are learnt"
                if part == "validation"
                else "no model can learn them"
            )
            yield DataFinding(
                "classes",
                "problem",
                f"The {NAMES[part]} part{name} lacks {what}",
                f"The {NAMES[part]} part{name} has no sample of {listed(absent)}: {effect}.",
                "Split with stratify=True, or give the part such samples.",
            )
        few = [
            label
            for label, n in zip(target.labels, bars, strict=True)
            if 0 < n < _FEW_OF_A_CLASS and part == "validation"
        ]
        if few:
            yield DataFinding(
                "classes",
                "hint",
                "Few validation samples of a class",
                f"The validation part{name} has fewer than {_FEW_OF_A_CLASS} samples of "
                f"{listed(few)}.",
                "Make it larger, or cross-validate (cross_validation=5).",
            )
    most, least = max(train), min(n for n in train if n) if any(train) else 0
    if least and most / least >= _UNBALANCED:
        rare, usual = target.labels[train.index(least)], target.labels[train.index(most)]
        yield DataFinding(
            "balance",
            "hint",
            f"The classes{name} are unbalanced",
            f"Class {usual} has {most:,} training samples, class {rare} {least:,}: who always says "
            f"{usual} is right in {100 * most / sum(train):.3g} %.",
            'Judge by a metric that sees it, such as AUC, and try class_weight="balanced".',
        )


def _missing(columns: Sequence[Distribution], seen: Seen) -> Iterator[DataFinding]:
    lacking = [each for each in columns if sum(each.missing.values())]
    if not lacking:
        return
    of_train = {each.name: each.missing.get("train", 0) for each in lacking}
    rows = min(seen.count("train"), max((sum(c.bars.get("train", ())) + c.missing.get("train", 0)
                                         for c in lacking), default=1))  # fmt: skip
    worst = sorted(lacking, key=lambda each: -of_train[each.name])
    mostly = [each.name for each in worst if of_train[each.name] > _MUCH * rows]
    told = [f"{c.name} ({100 * of_train[c.name] / max(rows, 1):.2g} %)" for c in worst]
    yield DataFinding(
        "missing",
        "problem" if any(of_train[name] == rows for name in mostly) else "hint",
        "Values are missing",
        f"The share of training samples without a value: {listed(told)}.",
        f"Leave out {listed(mostly)}, or see why."
        if mostly
        else "See whether they are missing by chance; that one is missing can be an input too.",
    )


def _constant(columns: Sequence[Distribution]) -> Iterator[DataFinding]:
    found = [each.name for each in columns if each.constant]
    if found:
        what = "A column is" if len(found) == 1 else f"{len(found):,} columns are"
        yield DataFinding(
            "constant",
            "hint",
            f"{what} always the same",
            f"In all training samples {listed(found)} {'has' if len(found) == 1 else 'have'} one "
            "value: nothing can be learnt from it.",
            "Leave it out, unless other data will differ there.",
        )


def _far(columns: Sequence[Distribution]) -> Iterator[DataFinding]:
    found = [each for each in columns if each.far]
    if found:
        worst = sorted(found, key=lambda each: -each.far)
        told = [f"{c.name} ({c.far:,}; up to {_furthest(c):.4g})" for c in worst]
        what = "a column" if len(found) == 1 else f"{len(found):,} columns"
        yield DataFinding(
            "outliers",
            "hint",
            f"Values far from the others in {what}",
            f"Further from the middle half than five times its width: {listed(told)}.",
            "See whether they are errors. If not, a logarithm or clipping tames them.",
        )


def _furthest(column: Distribution) -> float:
    assert column.low is not None and column.high is not None and column.mean is not None
    return max(column.low, column.high, key=lambda end: abs(end - (column.mean or 0.0)))


def _scales(columns: Sequence[Distribution]) -> Iterator[DataFinding]:
    wide = [c for c in columns if c.kind == "numbers" and c.deviation and not c.constant]
    if len(wide) < 2:
        return
    least = min(wide, key=lambda each: each.deviation or 0.0)
    most = max(wide, key=lambda each: each.deviation or 0.0)
    factor = (most.deviation or 0.0) / (least.deviation or 1.0)
    if factor >= _UNLIKE_SCALES:
        yield DataFinding(
            "scales",
            "hint",
            "Columns differ in scale",
            f"{most.name} varies by {most.deviation:.3g}, {least.name} by {least.deviation:.3g}: "
            f"a factor of {factor:,.3g}.",
            'Scale them: preprocess="standardize", or a Normalization layer.',
        )


def _sizes(seen: Seen) -> Iterator[DataFinding]:
    samples = seen.sizes.get("validation", 0)
    if 0 < samples < _FEW_TO_JUDGE:
        known = f"It has {samples} samples"
        if seen.labels("validation") is not None:
            wide = 196 * (0.9 * 0.1 / samples) ** 0.5
            known = f"On {samples} samples an accuracy of 90 % is only known to ± {wide:.0f} points"
        yield DataFinding(
            "sizes",
            "hint",
            "The validation part is small",
            f"{known}: small differences between trials are chance.",
            "Make it larger, or cross-validate (cross_validation=5).",
        )
