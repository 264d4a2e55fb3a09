"""Texts as samples, for a model that turns them into numbers."""

from __future__ import annotations

import numpy as np

from search_spaces.errors import DataError


def is_text(array: np.ndarray) -> bool:
    """Returns whether an array holds texts: of numpy's own type, or Python's as objects."""
    if array.dtype.kind != "O":
        return array.dtype.kind in "UST"
    first = next(iter(array.ravel()[:1]), None)
    return isinstance(first, str | bytes)


def as_texts(array: np.ndarray, name: str) -> np.ndarray:
    """Returns texts as TensorFlow takes them: Python's, or numpy's with a fixed length.

    Bytes are read as UTF-8. Raises DataError if some entries are no texts, or no UTF-8.
    """
    if array.dtype.kind == "U":
        return array
    if array.dtype.kind == "T":
        return array.astype(object)
    entries = array.ravel().tolist()
    others = [i for i, entry in enumerate(entries) if not isinstance(entry, str | bytes)]
    if others:
        raise DataError(
            f"{name} holds texts, and {len(others)} value(s) that are none, the first at index "
            f"{others[0]}: {entries[others[0]]!r:.50}. Fill missing texts in. Columns of several "
            "kinds go into a dict: {'text': df['text'], 'numbers': df[['age', 'size']]}."
        )
    if not any(isinstance(entry, bytes) for entry in entries):
        return array
    try:
        decoded = [each.decode() if isinstance(each, bytes) else each for each in entries]
    except UnicodeDecodeError as error:
        raise DataError(f"{name} holds bytes that are no text in UTF-8: {error}.") from None
    texts = np.empty(len(decoded), dtype=object)
    texts[:] = decoded
    return texts.reshape(array.shape)
