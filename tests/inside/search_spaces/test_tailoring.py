"""The text form of a tailoring: what is read, what is refused, and how it travels."""

import json
import pickle
import re
from collections.abc import Sequence

import pytest

from kerastudy import Boolean, Choice, Fixed, Float, Int, SearchSpace
from search_spaces import Parameter, SearchSpaceError, Tailoring, spell_domain

SPACE = SearchSpace(
    Choice("any", [1, 1.0, True, "1", None, "a,b"]),
    Choice("words", ["adam", "null"]),
    Choice("parts", [0.1, 1.0]),
    Choice("hidden", [(64,), (64, 32), None]),
    Choice("optimizer", ["adam", "sgd", "rmsprop"], default="sgd", role="scientific"),
    Choice("sizes", [8, 16]),
    Choice("dots", ["1..2", "3..4", "x"]),
    Boolean("flag", default=True, when={"optimizer": "adam"}, otherwise=False),
    Float("momentum", 0.1, 0.9, when={"optimizer": ["sgd", "rmsprop"]}, otherwise=0.0),
    Float("dropout", 0.0, 0.6, step=0.1, role="scientific"),
    Float("rate", 1e-4, 1e-1, scale="log", default=1e-3),
    Int("units", 16, 512, scale="log", step=2, default=256),
    Int("layers", 1, 9),
    Fixed("patience", 3),
    Fixed("scale", 2.0),
)


def tailored(*ranges: str, only: Sequence[str] = (), space: SearchSpace = SPACE) -> SearchSpace:
    return Tailoring.from_arguments(only, ranges).apply(space)


VALUES = {
    "any=1": 1, "any=1.0": 1.0, "any=true": True, "any=True": True, 'any="1"': "1",
    "any=null": None, "any=a,b": "a,b", "words=null": "null", "words=nadam": "nadam",
    "words=7": "7", "words=a=b": "a=b", "sizes=32": 32, "parts=1": 1.0, "flag=TRUE": True,
    "layers = 7 ": 7, "rate=1e-3": 0.001, "dropout=1": 1.0, "scale=3": 3.0, "dots=1..2": "1..2",
    "hidden=(64,)": "(64,)", "hidden=[64]": "(64,)", "hidden=(1, 2)": "(1, 2)",
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), VALUES.items())
def test_values_are_read_as_their_parameter_has_them(text: str, value: object) -> None:
    parameter = tailored(text)[text.partition("=")[0].strip()]
    assert (parameter.role, repr(parameter.default)) == ("fixed", repr(value))


@pytest.mark.parametrize(
    ("text", "parameter"),
    [
        ("dropout=0.1..0.5", Float("dropout", 0.1, 0.5, step=0.1, role="scientific", default=0.3)),
        ("dropout=0.15..0.5", Float("dropout", 0.15, 0.5, default=0.3, role="scientific")),
        ("dropout=-1..1:0.5", Float("dropout", -1, 1, step=0.5, role="scientific")),
        ("rate=1e-3..1", Float("rate", 1e-3, 1.0, scale="log", default=1e-3)),
        ("rate=0..0.1", Float("rate", 0.0, 0.1, default=1e-3)),
        ("rate=0.1..1:linear", Float("rate", 0.1, 1.0)),
        ("units=32..128", Int("units", 32, 128, scale="log", step=2)),
        ("units=32..100", Int("units", 32, 100, scale="log")),
        ("units=9..81:3:log", Int("units", 9, 81, scale="log", step=3)),
        ("layers=2 .. 3", Int("layers", 2, 3)),
        ("layers=2,8", Choice("layers", [2, 8])),
        ("optimizer=adam, lion", Choice("optimizer", ["adam", "lion"], role="scientific")),
        ('optimizer=["a,b", "sgd"]', Choice("optimizer", ["a,b", "sgd"], default="sgd",
                                            role="scientific")),
        ("flag=true,false", SPACE["flag"]),
        ("flag=false", Fixed("flag", False, when={"optimizer": "adam"}, otherwise=False)),
        ("patience=1..5", Int("patience", 1, 5)),
        ("sizes=4..32:log:2", Int("sizes", 4, 32, scale="log", step=2, default=8)),
        ("hidden=(64,), [32, 8]", Choice("hidden", [(64,), [32, 8]])),
        ("hidden=[[64], null]", Choice("hidden", [(64,), None])),
    ],
)  # fmt: skip
def test_domains_keep_what_fits_of_the_declaration(text: str, parameter: Parameter) -> None:
    assert tailored(text)[parameter.name] == parameter


REFUSED = {
    "rate=high": "Float 'rate' takes a number. Received: 'high'",
    "rate=nan": "'nan'",
    "rate=": "'rate' has no value",
    "layers=2.5": "Int 'layers' takes an int. Received: 2.5",
    "flag=yes": "Boolean 'flag' takes true or false. Received: 'yes'",
    "sizes=big": "Choice 'sizes' takes an int. Received: 'big'",
    "layrs=2": "Did you mean 'layers'",
    "layers": "--set takes NAME=VALUE. Received: 'layers'",
    "=2": "NAME=VALUE. Received: '=2'",
    "dropout=0.5..0.1": "'dropout': low must be below high.*Exchange",
    "dropout=0.1..": "LOW..HIGH.*'0.1..'",
    "dropout=0.1..0.5:cubic": "reverse_log.*'0.1..0.5:cubic'",
    "dropout=0.1..0.5:0.3": "leads from 0.1 to 0.5. Received: 0.3",
    "rate=0..1:log": "'rate': low must be above 0 on a log scale",
    "layers=2,many": "'many'",
    "optimizer=1..2": "Choice 'optimizer' takes no range. Received: '1..2'",
    "optimizer=adam,": "no value",
    "optimizer=adam,adam": "twice",
    "optimizer=[adam]": r"JSON.*'\[adam\]'",
    "sizes=[8, [16]]": r"'sizes'.*\[16\]",
}


@pytest.mark.parametrize(("text", "message"), REFUSED.items())
def test_texts_that_can_not_be_read_are_refused(text: str, message: str) -> None:
    with pytest.raises(SearchSpaceError) as raised:
        tailored(text)
    assert re.search(message, str(raised.value)), raised.value


def test_what_is_asked_for_is_never_dropped_silently() -> None:
    for only, ranges, message in (
        ([], ["optimizer=adam", "momentum=0.5"], "'momentum' could never be active.*'adam'"),
        (["momentum"], ["optimizer=adam"], "'momentum' could never be active.*'adam'"),
        (["layers,d"], [], "'d' is not in"),
        ([], ["layers=1", "layers=2"], "'layers' twice"),
    ):
        with pytest.raises(SearchSpaceError, match=message):
            tailored(*ranges, only=only)


def test_set_and_only_go_together() -> None:
    ranges = ["optimizer=sgd", "momentum=0.5..0.9", "rate=0.01..0.05"]
    space = tailored(*ranges, only=["momentum"])
    assert space.dimensions == ("momentum",)
    assert space == SPACE.replace(
        Float("momentum", 0.5, 0.9, default=0.5), Float("rate", 0.01, 0.05, scale="log")
    ).fix(optimizer="sgd").only("momentum")
    commas = SearchSpace(Float("a,b", 0, 1), Float("a", 0, 1), Float("c", 0, 1))
    for only, varying in ((["a,c"], ("a", "c")), (["a,b", "c"], ("a,b", "c"))):
        assert tailored(only=only, space=commas).dimensions == varying


def test_a_tailoring_travels_and_an_empty_one_changes_nothing() -> None:
    tailoring = Tailoring.from_arguments(["rate"], ["layers=2", "rate=1e-3..1e-2"])
    assert pickle.loads(pickle.dumps(tailoring)) == tailoring and not tailoring.empty
    assert Tailoring.from_dict(json.loads(json.dumps(tailoring.to_dict()))) == tailoring
    assert Tailoring().empty and Tailoring().apply(SPACE) is SPACE


@pytest.mark.parametrize(
    "parameter",
    [
        *SPACE,
        Float("x", 0.01, 0.99, scale="reverse_log", default=0.9),
        Choice("x", [(64,), "x"]),
        Choice("x", ["", " a", "["]),
        Choice("x", ["true", "null", "3"], default="null"),
        Fixed("x", "[1]"),
        Fixed("x", (64, 32)),
        Fixed("x", "1,2"),
    ],
    ids=repr,
)
def test_a_spelled_domain_reads_back(parameter: Parameter) -> None:
    space = SPACE if parameter.name in SPACE else SearchSpace(parameter)
    assert tailored(f"{parameter.name}={spell_domain(parameter)}", space=space) == space
