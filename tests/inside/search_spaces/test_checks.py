"""Checks of settings: what they let pass, as plain values, and the one form of their refusals."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from search_spaces import DataError, KerastudyError, StudyError, checks


def count(value: object) -> int:
    return checks.whole_number("trials", value, StudyError)


def some(value: object) -> float:
    return checks.share("test", value, DataError)


def seconds(value: object) -> float:
    return checks.positive_number("timeout", value, StudyError, of="of seconds")


def seed(value: object) -> int:
    return checks.seed("seed", value, StudyError)


def verify(value: object) -> str:
    return checks.choice("verify", value, ("full", "some", "off"), StudyError)


@pytest.mark.parametrize(
    ("check", "value", "expected"),
    [
        (count, 1, 1), (count, np.int64(7), 7),
        (some, 0.2, 0.2), (some, np.float32(0.5), 0.5),
        (seconds, 3, 3), (seconds, 0.1, 0.1),
        (seed, 0, 0), (seed, 2**32 - 1, 2**32 - 1),
        (verify, "some", "some"),
    ],
)  # fmt: skip
def test_a_good_value_comes_back_as_a_plain_one(
    check: Callable[[object], Any], value: object, expected: object
) -> None:
    assert check(value) == expected
    if check is not seconds:
        assert type(check(value)) is type(expected)


@pytest.mark.parametrize(
    ("check", "value", "text"),
    [
        (count, 0, "trials must be a whole number of at least 1. Received: 0."),
        (count, True, "trials must be a whole number of at least 1. Received: True."),
        (count, 2.0, "trials must be a whole number of at least 1. Received: 2.0."),
        (count, "3", "trials must be a whole number of at least 1. Received: '3'."),
        (some, 1, "test must be a share between 0 and 1, both excluded. Received: 1."),
        (some, float("nan"), "test must be a share between 0 and 1, both excluded. Received: nan."),
        (seconds, -1, "timeout must be a number of seconds above 0. Received: -1."),
        (seconds, float("inf"), "timeout must be a number of seconds above 0. Received: inf."),
        (seed, 2**32, "seed must be a whole number from 0 to 2**32 - 1. Received: 4294967296."),
        (seed, np.zeros(9), "seed must be a whole number from 0 to 2**32 - 1. "
                            "Received: an object of type ndarray."),
        (verify, "ful", "verify must be one of 'full', 'some' or 'off'. Received: 'ful'. "
                        "Did you mean 'full'?"),
        (verify, None, "verify must be one of 'full', 'some' or 'off'. Received: None."),
    ],
)  # fmt: skip
def test_a_refusal_says_what_was_expected_and_what_was_received(
    check: Callable[[object], Any], value: object, text: str
) -> None:
    with pytest.raises(KerastudyError) as refused:
        check(value)
    assert str(refused.value) == text
    travelled = pickle.loads(pickle.dumps(refused.value))
    assert str(travelled) == text and travelled.setting == refused.value.setting != ""


def test_a_refusal_never_shows_a_whole_value() -> None:
    with pytest.raises(StudyError) as refused:
        count(list(range(10_000)))
    assert len(str(refused.value)) < 300
