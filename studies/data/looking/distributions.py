"""The values of columns and of targets, by part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from studies.data.looking.seen import Seen
from studies.data.parts.classes import class_labels
from tracking.records.data_findings import Distribution

MOST_ROWS = 20_000
"""Rows of a part that distributions are made of; more are sampled, with a fixed seed."""
MOST_COLUMNS = 200
_BINS = 20
_MOST_LABELS = 100
_FAR = 5
_NOTHING = 1e-6
_FEW = 20


def some(count: int, most: int) -> np.ndarray | slice:
    """Returns the places of a sample of rows, in order; all of them if there are few."""
    if count <= most:
        return slice(None)
    return np.sort(np.random.default_rng(0).choice(count, most, replace=False))


def columns_of(seen: Seen) -> Iterator[Distribution]:
    """Yields the columns of the inputs: of tables and texts each, of images all pixels as one."""
    for name, kind in seen.kinds().items():
        parts = {
            part: arrays[name][some(len(arrays[name]), MOST_ROWS)]
            for part, arrays in seen.x.items()
        }
        if kind == "texts":
            yield from _texts(name, parts)
            continue
        parts = {part: seen.original(name, rows) for part, rows in parts.items()}
        if kind != "columns":
            flat = {part: _fewer(rows.reshape(-1)) for part, rows in parts.items()}
            what = "pixels" if kind == "images" else "values"
            # A single pixel is no outlier.
            yield replace(numbers(f"{what} of {name}", flat), far=0)
            continue
        tables = {part: rows.reshape(len(rows), -1) for part, rows in parts.items()}
        names = column_names(seen, name)
        for place in range(min(len(names), MOST_COLUMNS)):
            yield numbers(names[place], {part: rows[:, place] for part, rows in tables.items()})


def column_names(seen: Seen, name: str) -> list[str]:
    """Returns the names of an input's columns."""
    array, known = seen.x["train"][name], seen.given.columns.get(name)
    count = int(np.prod(array.shape[1:]))
    own = own_name(name)
    if count == 1 and not known:
        return [own]
    if known and len(known) == count:
        return [column for column, _ in known]
    return [f"{'' if own == 'x' else f'{own} '}column {place}" for place in range(count)]


def own_name(name: str) -> str:
    """Returns an input's name without the dict around it: ``image`` of ``x['image']``."""
    return name.removeprefix("x['").removesuffix("']") if name.startswith("x['") else name


def targets_of(seen: Seen) -> Iterator[Distribution]:
    """Yields the targets; those of the test part are not looked at."""
    names = seen.given.class_names
    for name in seen.y.get("train", {}):
        parts = {part: arrays[name] for part, arrays in seen.y.items()}
        labels = {part: class_labels(array) for part, array in parts.items()}
        known = {part: each for part, each in labels.items() if each is not None}
        if len(known) == len(parts):
            own = names if isinstance(names, tuple) else names.get(name[3:-2], ())
            yield _classes(name, known, own)
        else:
            flat = {part: _fewer(rows.reshape(-1)) for part, rows in parts.items()}
            yield replace(numbers(name, flat), far=0)


def numbers(name: str, parts: Mapping[str, np.ndarray]) -> Distribution:
    """Returns the distribution of numbers, some of which may be missing (NaN)."""
    found = {part: values.astype(np.float64) for part, values in parts.items()}
    known = {part: values[np.isfinite(values)] for part, values in found.items()}
    missing = {part: len(found[part]) - len(known[part]) for part in found}
    train = known["train"]
    if not train.size:
        return Distribution(name, "numbers", missing=missing)
    low, high = float(train.min()), float(train.max())
    # Preprocessing that was undone leaves a little instead of 0.
    low, high = (0.0 if abs(end) < _NOTHING * (high - low) else end for end in (low, high))
    edges = _edges(train, low, high)
    inner = {part: np.clip(values, edges[0], edges[-1]) for part, values in known.items()}
    bars = {part: np.histogram(values, edges)[0].tolist() for part, values in inner.items()}
    return Distribution(
        name,
        "numbers",
        {part: tuple(each) for part, each in bars.items()},
        tuple(float(f"{edge:.6g}") for edge in edges),
        missing=missing,
        constant=low == high,
        low=low,
        high=high,
        mean=float(train.mean()),
        deviation=float(train.std()),
        far=_far(train),
    )


def _edges(train: np.ndarray, low: float, high: float) -> np.ndarray:
    if low == high:
        return np.array([low - 0.5, high + 0.5])
    # Some values far off would leave one bin for all others: those are drawn at the ends.
    quartiles = np.quantile(train, [0.25, 0.75])
    room = 4 * (quartiles[1] - quartiles[0])
    if room > 0:
        low, high = max(low, quartiles[0] - room), min(high, quartiles[1] + room)
    distinct = np.unique(train[:MOST_ROWS])
    bins = len(distinct) if len(distinct) < _BINS else _BINS
    return np.linspace(low, high, bins + 1)


def _far(train: np.ndarray) -> int:
    """Counts values further from the middle half than five times its width."""
    low, high = np.quantile(train, [0.25, 0.75])
    room = _FAR * (high - low)
    # Most values are the same: the others are no errors.
    return int(((train < low - room) | (train > high + room)).sum()) if room > 0 else 0


def _classes(
    name: str, parts: Mapping[str, np.ndarray], names: tuple[str, ...] = ()
) -> Distribution:
    labels = np.unique(np.concatenate(list(parts.values())))
    shown = [
        names[int(each)] if int(each) < len(names) else f"{each:g}" if each.dtype.kind == "f"
        else str(each.item())
        for each in labels
    ]  # fmt: skip
    bars = {
        part: tuple(np.bincount(np.searchsorted(labels, y), minlength=len(labels)).tolist())
        for part, y in parts.items()
    }
    return Distribution(
        name, "classes", bars, labels=tuple(shown), constant=sum(map(bool, bars["train"])) == 1
    )


def _texts(name: str, parts: Mapping[str, np.ndarray]) -> Iterator[Distribution]:
    """Yields how long texts are; how often each occurs, if they are categories."""
    own = own_name(name)
    flat = {part: list(map(text_of, rows.reshape(-1).tolist())) for part, rows in parts.items()}
    kinds = sorted(set(flat["train"]))
    empty = {part: sum(not each.strip() for each in texts) for part, texts in flat.items()}
    if len(kinds) <= min(_FEW, len(flat["train"]) // 5):
        labels = [
            *kinds,
            *({"(others)"} if any(set(t) - set(kinds) for t in flat.values()) else ()),
        ]
        places = {kind: place for place, kind in enumerate(kinds)}
        bars = {
            part: tuple(
                np.bincount([places.get(t, len(kinds)) for t in texts], minlength=len(labels))
                .tolist()
            )
            for part, texts in flat.items()
        }  # fmt: skip
        yield Distribution(
            own, "classes", bars, labels=tuple(labels), missing=empty, constant=len(kinds) == 1
        )
        return
    lengths = numbers(own, {p: np.array([len(t.split()) for t in ts]) for p, ts in flat.items()})
    yield replace(
        lengths, name=f"words of {own}", kind="texts", missing=empty, far=0, constant=False
    )


def text_of(value: object) -> str:
    """Returns a text, which arrays may hold as bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _fewer(values: np.ndarray) -> np.ndarray:
    most = 10 * MOST_ROWS
    return values[:: -(-len(values) // most)] if len(values) > most else values
