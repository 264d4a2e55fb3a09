"""Which parameters of a space a builder reads."""

from typing import Any

import search_spaces as ss
from search_spaces import reading_of

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
