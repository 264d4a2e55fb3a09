"""What a builder reads of a space, and whether a function would read the same of another trial."""

from __future__ import annotations

from typing import Any

import pytest

import search_spaces as ss
from search_spaces import RecordedHyperparameters, answers_alike, reading_of

SPACE = ss.SearchSpace(
    ss.epochs(2, 4),
    ss.learning_rate(),
    ss.l2(),
    ss.Choice("optimizer", ["adam", "sgd"]),
    ss.Float("momentum", 0.0, 0.9, when={"optimizer": "sgd"}),
    ss.Int("layers", 1, 4),
    ss.Fixed("seed", 3),
)


def reads(hp: Any) -> None:
    hp["learning_rate"], hp["l2"], hp["layers"]
    if hp["optimizer"] == "sgd":
        hp["momentum"]


def test_what_is_read_only_under_some_values_is_found() -> None:
    reading = reading_of(reads, SPACE, read_elsewhere=["epochs"])
    assert reading.unread == reading.undeclared == ()
    assert reading.builds <= 3
    assert reading_of(reads, SPACE).unread == ("epochs",)
    # One build is enough if it reads all.
    narrow = SPACE.fix(optimizer="sgd").only("momentum")
    assert reading_of(lambda hp: hp.get("momentum"), narrow).builds == 1


def test_what_takes_two_values_at_once_is_looked_for() -> None:
    def build(hp: Any) -> None:
        reads(hp)
        if hp["layers"] == 3 and hp["optimizer"] == "adam":
            hp["epochs"]

    assert reading_of(build, SPACE).unread == ()


def test_what_is_never_read_or_declared_beside_the_space_is_told() -> None:
    def build(hp: Any) -> None:
        hp["learning_rate"]
        hp.Float("optimizer", 0, 1)
        if hp["layers"] > 2:
            hp.Float("drop", 0.0, 0.5)
            hp.Float("momentum", 0.0, 0.5)
        raise_for_one = {"adam": 1}
        raise_for_one[hp["optimizer"]]

    reading = reading_of(build, SPACE, read_elsewhere=["epochs"])
    assert reading.undeclared == ("drop",)
    assert reading.unread == ("use_l2", "l2")


ASKED = ss.SearchSpace(
    ss.Int("window", 1, 9),
    ss.Boolean("noisy"),
    ss.Float("noise", 0.0, 1.0, when={"noisy": True}),
    ss.Choice("shape", [(1, 2), (3,)]),
    ss.Float("rate", 0.0, 1.0),
)


def hp_of(**values: Any) -> ss.Hyperparameters:
    usual = {"window": 3, "noisy": False, "shape": "(1, 2)", "rate": 0.5}
    return ss.Hyperparameters(ASKED, usual | values)


def asks(hp: Any) -> list[Any]:
    noise = hp["noise"] if hp.get("noisy") else 0.0
    with hp.name_scope("inner"):
        inline = hp.Int("depth", 1, 4)
    with hp.conditional_scope("window", [3, 4]):
        scoped = hp.Float("only here", 0.0, 1.0)
    return [hp["window"], noise, hp["shape"], "rate" in hp, inline, scoped, hp.number]


@pytest.mark.parametrize(
    ("values", "alike"),
    [
        ({"rate": 0.9}, True),
        ({"window": 4}, False),
        ({"noisy": True, "noise": 0.0}, False),
        ({"shape": "(3,)"}, False),
    ],
)
def test_the_same_is_read_if_what_is_read_has_the_same_values(
    values: dict[str, Any], alike: bool
) -> None:
    recorded, called, replayed = RecordedHyperparameters(hp_of()), hp_of(), hp_of(**values)
    assert asks(recorded) == asks(called)
    assert recorded.asked is not None
    assert answers_alike(recorded.asked, replayed) is alike
    if alike:
        # What is asked again counts as read and declared.
        assert (replayed.read, replayed.joined) == (called.read, called.joined)


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
