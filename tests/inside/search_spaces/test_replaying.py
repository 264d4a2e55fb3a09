"""Whether a function would read the same of other hyperparameters."""

from __future__ import annotations

from typing import Any

import pytest

import search_spaces as ss
from search_spaces import RecordedHyperparameters, answers_alike

SPACE = ss.SearchSpace(
    ss.Int("window", 1, 9),
    ss.Boolean("noisy"),
    ss.Float("noise", 0.0, 1.0, when={"noisy": True}),
    ss.Choice("shape", [(1, 2), (3,)]),
    ss.Float("rate", 0.0, 1.0),
)


def hp_of(**values: Any) -> ss.Hyperparameters:
    given = {"window": 3, "noisy": False, "shape": (1, 2), "rate": 0.5, **values}
    given["shape"] = str(given["shape"])
    return ss.Hyperparameters(SPACE, given)


def reads(hp: Any) -> list[Any]:
    noise = hp["noise"] if hp.get("noisy") else 0.0
    with hp.name_scope("inner"):
        inline = hp.Int("depth", 1, 4)
    with hp.conditional_scope("window", [3, 4]):
        scoped = hp.Float("only here", 0.0, 1.0)
    return [hp["window"], noise, hp["shape"], "rate" in hp, inline, scoped, hp.number]


@pytest.mark.parametrize(
    ("values", "alike"),
    [
        ({}, True),
        ({"rate": 0.9}, True),
        ({"window": 4}, False),
        ({"noisy": True, "noise": 0.0}, False),
        ({"shape": (3,)}, False),
    ],
)
def test_it_reads_the_same_if_what_it_reads_has_the_same_values(
    values: dict[str, Any], alike: bool
) -> None:
    recorded = RecordedHyperparameters(hp_of())
    assert reads(recorded) == reads(hp_of())
    assert recorded.asked is not None
    assert answers_alike(recorded.asked, hp_of(**values)) is alike


def test_what_is_asked_again_counts_as_read_and_declared() -> None:
    recorded = RecordedHyperparameters(hp_of())
    reads(recorded)
    assert recorded.asked is not None
    called, replayed = hp_of(), hp_of()
    reads(called)
    assert answers_alike(recorded.asked, replayed)
    assert replayed.read == called.read == {"window", "noisy", "shape"}
    assert replayed.joined == called.joined
    assert [parameter.name for parameter in replayed.joined] == ["inner/depth", "only here"]
    # Whatever comes after another answer is up to the function.
    assert not answers_alike(recorded.asked, other := hp_of(window=9))
    assert [parameter.name for parameter in other.joined] == ["inner/depth"]
    assert "shape" not in other.read


def test_what_can_not_be_compared_is_not_said_to_be_alike() -> None:
    def catches(hp: Any) -> None:
        with pytest.raises(ss.HyperparameterError):
            hp["unknown"]

    for function in (catches, lambda hp: hp.space, lambda hp: hp.copy()):
        recorded = RecordedHyperparameters(hp_of())
        function(recorded)
        assert recorded.asked is None
    recorded = RecordedHyperparameters(hp_of(noisy=True, noise=0.1))
    recorded["noise"]
    assert recorded.asked is not None
    assert not answers_alike(recorded.asked, hp_of())


def test_it_is_read_as_a_mapping() -> None:
    hp, recorded = hp_of(), RecordedHyperparameters(hp_of())
    assert list(recorded) == list(hp) and len(recorded) == len(hp)
    assert dict(**recorded) == dict(**hp) and recorded.values == hp.values
