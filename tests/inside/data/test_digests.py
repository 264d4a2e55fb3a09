"""Digests: the same for the same content, whatever its layout; another for any other content."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from search_spaces import DataError
from studies.data import array_digest, combined_digest
from studies.data.arrays import mapped as large

KNOWN = np.array([[0.0, 0.5, -1.0], [2.0, 3.25, 1e10]], dtype=np.float32)


def test_the_digest_of_a_known_array_never_changes() -> None:
    assert array_digest(KNOWN) == (
        "0a66cc26fc0ae7e2dd08a816b2395c81eac39e6e4783ece622fd18807d889544"
    )


def test_the_format_is_a_header_and_the_little_endian_bytes() -> None:
    expected = hashlib.sha256(b"<f4 (2, 3)\n" + KNOWN.astype("<f4").tobytes()).hexdigest()
    assert array_digest(KNOWN) == expected


@pytest.mark.parametrize(
    "same",
    [
        KNOWN.astype(">f4"),
        np.asfortranarray(KNOWN),
        np.repeat(KNOWN, 2, axis=1)[:, ::2],
        KNOWN[::-1].copy()[::-1],
    ],
    ids=["big-endian", "column order", "strided", "reversed"],
)
def test_layout_and_byte_order_do_not_count(same: np.ndarray) -> None:
    assert np.array_equal(same, KNOWN)
    assert array_digest(same) == array_digest(KNOWN)


@pytest.mark.parametrize(
    "other",
    [KNOWN.astype(np.float64), KNOWN.reshape(3, 2), KNOWN.ravel(), KNOWN.view(np.int32), -KNOWN],
    ids=["dtype", "shape", "rank", "same bytes", "values"],
)
def test_dtype_shape_and_values_count(other: np.ndarray) -> None:
    assert array_digest(other) != array_digest(KNOWN)


def test_arrays_hashed_in_blocks_get_the_digest_of_the_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    array = np.arange(1000, dtype=np.int64).reshape(100, 10)
    expected = array_digest(array)
    monkeypatch.setattr(large, "_BLOCK_BYTES", 333)
    assert array_digest(np.asfortranarray(array)) == expected
    assert array_digest(array.astype(">i8")) == expected


@pytest.mark.parametrize(
    "array",
    [np.array(3), np.zeros((0, 3)), np.array([True, False]), np.arange(3, dtype=np.float16)],
    ids=["scalar", "empty", "bool", "half"],
)
def test_unusual_arrays_have_digests(array: np.ndarray) -> None:
    assert len(array_digest(array)) == 64


@pytest.mark.parametrize("dtype", [object, "datetime64[s]", np.longdouble], ids=str)
def test_what_differs_between_machines_has_no_digest(dtype: Any) -> None:
    with pytest.raises(DataError, match=r"no digest that is the same on every machine.*Convert"):
        array_digest(np.zeros(3).astype(dtype))


def test_a_combined_digest_depends_on_names_and_order() -> None:
    one = combined_digest({"x": "aa", "y": "bb"})
    assert one == hashlib.sha256(b"x aa\ny bb\n").hexdigest()
    assert one != combined_digest({"y": "bb", "x": "aa"})
    assert one != combined_digest({"x": "bb", "y": "aa"})
