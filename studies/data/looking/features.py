"""Samples as numbers, to compare parts."""

from __future__ import annotations

import numpy as np

from studies.data.arrays.texts import is_text
from studies.data.looking.distributions import column_names, own_name, some, text_of
from studies.data.looking.same_distribution import MOST_SAMPLES, told_apart
from studies.data.looking.seen import Seen
from tracking.records.data_findings import PartsCompared

_FEWEST = 20
_MOST_FEATURES = 256
_FEW = 50
_SIDE = 12
_NAMED = 3
_CLEAR = 0.01


def compared(seen: Seen) -> tuple[PartsCompared, ...]:
    """Compares the training part with the others by their inputs; see `same_distribution`.

    At most `MOST_SAMPLES` of each part, drawn with a fixed seed.
    """
    found = []
    for part in seen.x:
        samples = min(seen.count("train"), seen.count(part), MOST_SAMPLES)
        if part == "train" or samples < _FEWEST:
            continue
        columns: list[str] = []
        both: list[np.ndarray] = []
        for name in seen.x["train"]:
            rows = [seen.x[each][name] for each in ("train", part)]
            pooled = [array[some(len(array), samples)] for array in rows]
            names, values = _numbers(seen, name, np.concatenate(pooled))
            columns += names
            both.append(values)
        table = np.concatenate(both, axis=1)
        told = told_apart(table[:samples], table[samples:])
        differing = _differing(table, samples, columns) if told.p <= _CLEAR else ()
        found.append(PartsCompared("train", part, samples, told.accuracy, told.p, differing))
    return tuple(found)


def _numbers(seen: Seen, name: str, rows: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Returns some samples of an input as finite numbers, and the names of the columns, if any."""
    if is_text(rows):
        return _of_texts(name, rows)
    kind = seen.kind(name)
    values = rows.reshape(len(rows), -1).astype(np.float64)
    names = column_names(seen, name) if kind == "columns" else [""] * values.shape[1]
    if kind == "images":
        values = _smaller(rows.astype(np.float64))
        # Brightness and contrast, which no single pixel shows.
        values = np.stack([*values.T, values.mean(axis=1), values.std(axis=1)], axis=1)
        names = [""] * (values.shape[1] - 2) + ["brightness", "contrast"]
    if values.shape[1] > _MOST_FEATURES:
        chosen = np.linspace(0, values.shape[1] - 1, _MOST_FEATURES).round().astype(int)
        values, names = values[:, chosen], [names[place] for place in chosen]
    missing = ~np.isfinite(values)
    gaps = np.asarray(missing.any(axis=0))
    if gaps.any():
        middle = np.nanmedian(np.where(missing, np.nan, values), axis=0)
        values = np.where(missing, np.nan_to_num(middle), values)
        values = np.concatenate([values, missing[:, gaps]], axis=1)
        lacking = [f"missing {each}" for each, gap in zip(names, gaps.tolist(), strict=True) if gap]
        names = [*names, *lacking]
    return names, values


def _smaller(rows: np.ndarray) -> np.ndarray:
    """Returns images as rows of at most a few hundred pixels, by means of neighbours."""
    if rows.ndim == 2:
        side = round(rows.shape[1] ** 0.5)
        rows = rows.reshape(len(rows), side, side)
    for axis in (1, 2):
        step = max(1, rows.shape[axis] // _SIDE)
        whole = rows.shape[axis] // step
        rows = np.take(rows, range(whole * step), axis=axis)
        shape = (*rows.shape[:axis], whole, step, *rows.shape[axis + 1 :])
        rows = rows.reshape(shape).mean(axis=axis + 1)
    return rows.reshape(len(rows), -1)


def _of_texts(name: str, rows: np.ndarray) -> tuple[list[str], np.ndarray]:
    from sklearn.feature_extraction.text import HashingVectorizer

    found = [text_of(each) for each in rows.reshape(len(rows), -1)[:, 0].tolist()]
    kinds = sorted(set(found))
    if len(kinds) <= _FEW:
        places = np.array([kinds.index(each) for each in found])
        return [own_name(name)] * len(kinds), np.eye(len(kinds))[places]
    words = HashingVectorizer(n_features=_MOST_FEATURES - 1, alternate_sign=False)
    counted = words.transform(found).toarray()
    lengths = np.array([[len(each.split())] for each in found], np.float64)
    return [""] * counted.shape[1] + ["length of texts"], np.concatenate([counted, lengths], axis=1)


def _differing(table: np.ndarray, samples: int, names: list[str]) -> tuple[str, ...]:
    """Returns the columns that differ most, by the test of Kolmogorov and Smirnov."""
    from scipy.stats import ks_2samp

    found = []
    for name, column in zip(names, table.T, strict=True):
        if name:
            tested = ks_2samp(column[:samples], column[samples:])
            found.append((float(tested.statistic), name, float(tested.pvalue)))
    clear = [each for each in sorted(found, reverse=True) if each[2] <= _CLEAR / len(found)]
    return tuple(dict.fromkeys(name for _, name, _ in clear))[:_NAMED]
