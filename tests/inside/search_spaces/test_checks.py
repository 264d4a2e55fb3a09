"""Checks of settings: what they let pass, as plain values, and the one form of their refusals."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from search_spaces import StudyError
from search_spaces import argument_checks as checks

CHECKS: dict[str, Any] = {
    "count": lambda value: checks.whole_number("trials", value, StudyError),
    "seconds": lambda value: checks.positive_number("timeout", value, StudyError, of="of seconds"),
    "seed": lambda value: checks.seed("seed", value, StudyError),
    "verify": lambda value: checks.choice("verify", value, ("full", "some", "off"), StudyError),
}


def test_a_good_value_comes_back_as_a_plain_one() -> None:
    values = {"count": np.int64(7), "seed": 2**32 - 1, "verify": "some"}
    checked = {name: CHECKS[name](value) for name, value in values.items()}
    assert repr(checked) == "{'count': 7, 'seed': 4294967295, 'verify': 'some'}"


@pytest.mark.parametrize(
    ("check", "value", "text"),
    [
        ("count", True, "trials must be a whole number of at least 1. Received: True."),
        ("seconds", float("inf"), "timeout must be a number of seconds above 0. Received: inf."),
        ("seed", np.zeros(9), "seed must be a whole number from 0 to 2**32 - 1. "
                              "Received: an object of type ndarray."),
        ("verify", "ful", "verify must be one of 'full', 'some' or 'off'. Received: 'ful'. "
                          "Did you mean 'full'?"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_was_expected_and_what_was_received(
    check: str, value: object, text: str
) -> None:
    with pytest.raises(StudyError) as refused:
        CHECKS[check](value)
    travelled = pickle.loads(pickle.dumps(refused.value))
    assert str(travelled) == str(refused.value) == text
    assert travelled.setting == refused.value.setting != ""
    with pytest.raises(StudyError) as refused:
        CHECKS[check](list(range(10_000)))
    assert len(str(refused.value)) < 300
