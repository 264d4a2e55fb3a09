"""A space as JSON, its digest, and what differs between two."""

from __future__ import annotations

from typing import Any

import pytest

from search_spaces import (
    Boolean,
    Choice,
    Fixed,
    Float,
    Int,
    Parameter,
    SearchSpace,
    SearchSpaceError,
)

PARAMETERS: list[Parameter] = [
    Float("learning_rate", 1e-4, 1e-1, scale="log", default=1e-3, role="scientific"),
    Float("dropout", 0, 0.5, step=0.1),
    Float("momentum", 0.01, 0.99, scale="reverse_log", when={"mixed": [1, True]}, otherwise=None),
    Int("units", 16, 512, scale="log", step=2),
    Choice("mixed", [1, 1.0, True, None, "1", "é"]),
    Boolean("use_l2", when={"mixed": None}),
    Fixed("loss", "mse", when={"use_l2": True}, otherwise=False),
]

DIGEST = "c31a3bb469b4e2c928ec24f37c5ec893b5bbc8ac66a40f8cc96d82c0ab9b8233"


def test_the_digest_is_the_same_everywhere() -> None:
    # Studies are recorded under it: a change here makes every recorded study's space "changed".
    assert SearchSpace(PARAMETERS).digest == DIGEST
    assert SearchSpace(reversed(PARAMETERS)).digest == DIGEST
    assert SearchSpace.from_json(SearchSpace(PARAMETERS).to_json()).digest == DIGEST


@pytest.mark.parametrize(
    "changed",
    [
        Float("dropout", 0, 0.4, step=0.1),
        Float("dropout", 0, 0.5, step=0.25),
        Float("dropout", 0, 0.5),
        Float("dropout", 0, 0.5, step=0.1, default=0.1),
        Float("dropout", 0, 0.5, step=0.1, role="scientific"),
        Float("dropout", 0, 0.5, step=0.1, when={"mixed": 1}),
        Float("dropout", 0, 0.5, step=0.1, when={"mixed": 1.0}),
        Float("dropout", 0, 0.5, step=0.1, when={"mixed": True}),
        Float("dropout", 0, 0.5, step=0.1, when={"mixed": 1}, otherwise=0.0),
        Float("dropout", 0, 0.5, step=0.1, when={"mixed": 1}, otherwise=0),
        Float("drop", 0, 0.5, step=0.1),
        Fixed("dropout", 0.5),
    ],
)
def test_the_digest_depends_on_all_that_is_declared(changed: Parameter) -> None:
    others = [parameter for parameter in PARAMETERS if parameter.name != "dropout"]
    assert SearchSpace(others, changed).digest != DIGEST
    assert SearchSpace(others, changed) != SearchSpace(PARAMETERS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ["JSON", "''"]),
        ('{"version": 1, "param', ["JSON", "cut short"]),
        ("[]", ["JSON object", "[]"]),
        ("null", ["None"]),
        ("{}", ["version", "None"]),
        ('{"version": 2, "parameters": []}', ["version", "2"]),
        ('{"version": true, "parameters": []}', ["version", "True"]),
        ('{"version": "1", "parameters": []}', ["version", "'1'"]),
        ('{"version": 1}', ["'parameters'"]),
        ('{"version": 1, "parameters": {}}', ["'parameters'", "{}"]),
        ('{"version": 1, "parameters": []}', ["empty"]),
        ('{"version": 1, "parameters": [], "name": "x"}', ["'name'"]),
        ('{"version": 1, "parameters": [3]}', ["JSON object", "3"]),
        ('{"version": 1, "parameters": [{"kind": "flaot"}]}', ["'flaot'", "'float'"]),
        ('{"version": 1, "parameters": [{"name": "x"}]}', ["The kind", "None"]),
        ('{"version": 1, "parameters": [{"kind": "boolean", "name": "x"}]}', ["'default'"]),
        (
            '{"version":1,"parameters":[{"kind":"fixed","name":"x","value":1,"vlaue":2}]}',
            ["'vlaue'", "'value'"],
        ),
        (
            '{"version": 1, "parameters": [{"kind": "fixed", "name": "x", "value": NaN}]}',
            ["nan", "finite"],
        ),
        (
            '{"version": 1, "parameters": [{"kind": "fixed", "name": "x", "value": 1e999}]}',
            ["inf", "finite"],
        ),
    ],
)
def test_bad_json_is_refused_in_words(text: str, said: list[str]) -> None:
    with pytest.raises(SearchSpaceError) as raised:
        SearchSpace.from_json(text)
    for words in said:
        assert words in str(raised.value)


@pytest.mark.parametrize("text", [None, 3])
def test_what_is_not_text_is_refused_too(text: Any) -> None:
    with pytest.raises(SearchSpaceError, match=repr(text)):
        SearchSpace.from_json(text)


def test_differences_in_words() -> None:
    before = SearchSpace(
        Int("units", 16, 512),
        Float("dropout", 0, 0.5),
        Choice("flag", [1, 2]),
        Boolean("same"),
        Float("rate", 0, 1),
    )
    after = SearchSpace(
        Int("units", 16, 256, default=100),
        Choice("flag", [True, 2]),
        Boolean("same"),
        Choice("rate", ["low", "high"]),
        Float("l2", 1e-6, 0.1, when={"same": True}),
    )
    assert before.differences(after) == [
        "'dropout' is gone; it was Float('dropout', 0.0, 0.5).",
        "'l2' is new: Float('l2', 1e-06, 0.1, when={'same': True}).",
        "'units': high was 512, and is now 256.",
        "'units': default was 264, and is now 100.",
        "'flag': values was [1, 2], and is now [True, 2].",
        "'flag': default was 1, and is now True.",
        "'rate' was Float('rate', 0.0, 1.0), and is now Choice('rate', ['low', 'high']).",
    ]
    condition = SearchSpace(Boolean("a"), Float("x", 0, 1, when={"a": True}, otherwise=0.0))
    without = SearchSpace(Float("x", 0, 1), Boolean("a"))
    assert condition.differences(without) == [
        "'x': when was {'a': [True]}, and is now not given.",
        "'x': otherwise was 0.0, and is now not given.",
    ]
    assert before.differences(before) == []
    assert before.differences(SearchSpace(reversed(before.parameters))) == []
