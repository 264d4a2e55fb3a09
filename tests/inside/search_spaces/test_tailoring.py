"""The text form of a tailoring: what is read, what is refused, and how it travels."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Sequence

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
    Tailoring,
    spell_domain,
)

SPACE = SearchSpace(
    Float("momentum", 0.1, 0.9, when={"optimizer": ["sgd", "rmsprop"]}, otherwise=0.0),
    Choice("optimizer", ["adam", "sgd", "rmsprop"]),
    Boolean("nesterov", when={"optimizer": "sgd"}),
    Float("lookahead", 0.0, 1.0, when={"nesterov": True, "depth": [3, 4]}, otherwise=-1.0),
    Int("depth", 1, 4, role="scientific"),
    Float("rate", 1e-4, 1e-1, scale="log"),
    Float("warmup", 0.0, 1.0, when={"rate": [1e-4, 0.001]}),
    Fixed("loss", "mse"),
)


def refused(do: Callable[[], object], *words: str) -> None:
    with pytest.raises(SearchSpaceError) as raised:
        do()
    for word in words:
        assert word in str(raised.value)


def tailored(
    *, only: Sequence[str] = (), ranges: Sequence[str] = (), space: SearchSpace = SPACE
) -> SearchSpace:
    return Tailoring.from_arguments(only, ranges).apply(space)


MIXED = SearchSpace(
    Choice("any", [1, 1.0, True, "1", None, "a,b"]),
    Choice("words", ["adam", "null"]),
    Choice("sizes", [8, 16]),
    Choice("parts", [0.1, 1.0]),
    Boolean("flag"),
    Int("count", 1, 4),
    Float("share", 0.0, 1.0),
    Fixed("scale", 2.0),
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("any=1", 1),
        ("any=1.0", 1.0),
        ("any=true", True),
        ("any=True", True),
        ('any="1"', "1"),
        ("any=null", None),
        ("any=a,b", "a,b"),
        ("words=adam", "adam"),
        ("words=null", "null"),
        ("words=nadam", "nadam"),
        ("words=7", "7"),
        ("words=a=b", "a=b"),
        ("sizes=32", 32),
        ("parts=1", 1.0),
        ("parts=2", 2.0),
        ("flag=true", True),
        ("flag=False", False),
        ("flag=TRUE", True),
        ("count=7", 7),
        ("count = 7 ", 7),
        ("share=1e-3", 0.001),
        ("share=1", 1.0),
        ("scale=3", 3.0),
    ],
)
def test_values_are_read_as_their_parameter_has_them(text: str, value: object) -> None:
    space = tailored(ranges=[text], space=MIXED)
    found = space[text.partition("=")[0].strip()].default
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("share=high", ["Float 'share'", "a number", "'high'"]),
        ("share=nan", ["a number", "'nan'"]),
        ("share=", ["'share'", "no value"]),
        ("count=2.5", ["Int 'count'", "an int", "2.5"]),
        ("flag=yes", ["Boolean 'flag'", "true or false", "'yes'"]),
        ("sizes=big", ["Choice 'sizes'", "'big'", "int"]),
        ("cuont=2", ["'cuont'", "Did you mean 'count'?"]),
        ("count", ["--set", "NAME=VALUE", "'count'"]),
        ("=2", ["NAME=VALUE", "'=2'"]),
    ],
)
def test_values_that_can_not_be_read_are_quoted(text: str, words: list[str]) -> None:
    refused(lambda: tailored(ranges=[text], space=MIXED), *words)


WIDE = SearchSpace(
    Float("dropout", 0.0, 0.6, step=0.1, role="scientific"),
    Float("rate", 1e-4, 1e-1, scale="log", default=1e-3),
    Int("units", 16, 512, scale="log", step=2, default=256),
    Int("layers", 1, 9),
    Choice("optimizer", ["adam", "sgd", "rmsprop"], default="sgd", role="scientific"),
    Boolean("flag", default=True, when={"optimizer": "adam"}, otherwise=False),
    Fixed("patience", 3),
    Choice("sizes", [8, 16]),
)


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
        ("units=32..96:linear:16", Int("units", 32, 96, step=16)),
        ("units=9..81:3:log", Int("units", 9, 81, scale="log", step=3)),
        ("layers=2 .. 3", Int("layers", 2, 3)),
        ("layers=2,8", Choice("layers", [2, 8])),
        ("optimizer=adam,sgd", Choice("optimizer", ["adam", "sgd"], default="sgd",
                                      role="scientific")),
        ("optimizer=adam, lion", Choice("optimizer", ["adam", "lion"], role="scientific")),
        ('optimizer=["a,b", "sgd"]', Choice("optimizer", ["a,b", "sgd"], default="sgd",
                                            role="scientific")),
        ("optimizer=sgd", Fixed("optimizer", "sgd")),
        ("flag=true,false", Boolean("flag", default=True, when={"optimizer": "adam"},
                                    otherwise=False)),
        ("flag=false", Fixed("flag", False, when={"optimizer": "adam"}, otherwise=False)),
        ("patience=1..5", Int("patience", 1, 5)),
        ("sizes=4..32:log:2", Int("sizes", 4, 32, scale="log", step=2, default=8)),
        ("sizes=8,16,32", Choice("sizes", [8, 16, 32])),
    ],
)  # fmt: skip
def test_domains_keep_what_fits_of_the_declaration(text: str, parameter: Parameter) -> None:
    assert tailored(ranges=[text], space=WIDE)[parameter.name] == parameter


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dropout=0.5..0.1", ["'dropout'", "low", "high", "exchange"]),
        ("dropout=0.1..", ["LOW..HIGH", "'0.1..'"]),
        ("dropout=0.1..0.5:cubic", ["LOW..HIGH", "'0.1..0.5:cubic'", "reverse_log"]),
        ("dropout=0.1..0.5:0.1:0.2", ["LOW..HIGH", "'0.1..0.5:0.1:0.2'"]),
        ("dropout=0.1..0.5:0.3", ["'dropout'", "step"]),
        ("rate=0..1:log", ["'rate'", "log scale", "above 0"]),
        ("units=16..100:16:linear", ["'units'", "step=16"]),
        ("layers=0.5..2", ["Int 'layers'", "0.5"]),
        ("layers=2,many", ["Int 'layers'", "'many'"]),
        ("optimizer=1..2", ["Choice 'optimizer'", "no range", "'1..2'"]),
        ("optimizer=adam,", ["'optimizer'", "no value"]),
        ("optimizer=adam,adam", ["'optimizer'", "twice"]),
        ("optimizer=[adam]", ["JSON", "'[adam]'"]),
        ("sizes=[8, [16]]", ["'sizes'", "[16]"]),
        ("flag=0..1", ["Boolean 'flag'", "no range"]),
        ("droput=0..1", ["'droput'", "Did you mean 'dropout'?"]),
    ],
)
def test_domains_that_can_not_be_read_are_told(text: str, words: list[str]) -> None:
    refused(lambda: tailored(ranges=[text], space=WIDE), *words)


LISTS = SearchSpace(Choice("merge", ["a,b", "c", "d"]), Choice("range", ["1..2", "3..4", "x"]))


@pytest.mark.parametrize(
    ("text", "parameter"),
    [
        ("merge=a,b", Fixed("merge", "a,b")),
        ("merge=c,d", Choice("merge", ["c", "d"])),
        ("merge=e", Fixed("merge", "e")),
        ('merge=["a,b", "e"]', Choice("merge", ["a,b", "e"])),
        ("range=1..2", Fixed("range", "1..2")),
        ('range=["1..2", "5..6"]', Choice("range", ["1..2", "5..6"])),
    ],
)
def test_values_may_have_commas_and_dots_in_them(text: str, parameter: Parameter) -> None:
    assert tailored(ranges=[text], space=LISTS)[parameter.name] == parameter


def test_names_have_commas_between_or_in_them() -> None:
    space = SearchSpace(Float("a,b", 0, 1), Float("a", 0, 1), Float("c", 0, 1))
    assert tailored(only=["a,c"], space=space).dimensions == ("a", "c")
    assert tailored(only=["a,b"], space=space).dimensions == ("a,b",)
    assert tailored(only=["a,b", "c"], space=space).dimensions == ("a,b", "c")
    refused(lambda: tailored(only=["a,d"], space=space), "'d'")


def test_set_and_only_go_together() -> None:
    space = tailored(
        only=["momentum"], ranges=["optimizer=sgd", "momentum=0.5..0.9", "rate=0.01..0.05"]
    )
    assert space.dimensions == ("momentum",)
    assert space["momentum"] == Float("momentum", 0.5, 0.9, default=0.5)
    rate = space["rate"]
    assert rate.role == "fixed"
    assert 0.01 <= rate.default <= 0.05
    assert space == SPACE.replace(
        Float("momentum", 0.5, 0.9, default=0.5), Float("rate", 0.01, 0.05, scale="log")
    ).fix(optimizer="sgd").only("momentum")


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("(64,)", Fixed("hidden", (64,))),
        ("[64]", Fixed("hidden", (64,))),
        ("(64,), [32, 8]", Choice("hidden", [(64,), [32, 8]])),
        ("[[64], null]", Choice("hidden", [(64,), None])),
    ],
)
def test_tuples_and_lists_are_written_as_in_python_or_json(text: str, made: object) -> None:
    space = SearchSpace(Choice("hidden", [(64,), (64, 32), None]), Boolean("other"))
    assert tailored(ranges=[f"hidden={text}"], space=space)["hidden"] == made
    assert tailored(ranges=["hidden=(1, 2)"], space=space)["hidden"] == Fixed("hidden", (1, 2))


def test_what_is_asked_for_is_never_dropped_silently() -> None:
    refused(lambda: tailored(ranges=["optimizer=adam", "momentum=0.5"]), "'momentum'", "'adam'")
    refused(lambda: tailored(only=["momentum"], ranges=["optimizer=adam"]), "'momentum'", "'adam'")
    refused(lambda: Tailoring.from_arguments(ranges=["depth=1", "depth=2"]), "'depth'", "twice")


def test_a_tailoring_travels() -> None:
    tailoring = Tailoring.from_arguments(["rate"], ["depth=2", "rate=1e-3..1e-2"])
    assert pickle.loads(pickle.dumps(tailoring)) == tailoring
    assert Tailoring.from_dict(json.loads(json.dumps(tailoring.to_dict()))) == tailoring
    refused(lambda: Tailoring.from_dict({"only": None}), "only and ranges")


def test_an_empty_tailoring_changes_nothing() -> None:
    assert Tailoring().empty
    assert Tailoring.from_arguments([]).empty
    assert not Tailoring.from_arguments(ranges=["depth=2"]).empty
    assert Tailoring().apply(SPACE) is SPACE


ODD_DOMAINS = [
    *SPACE,
    Float("x", 1e-5, 1.0, scale="log"),
    Float("x", 0.0, 0.5, step=0.1),
    Float("x", 0.01, 0.99, scale="reverse_log", default=0.9),
    Int("x", 16, 512, scale="log", step=2),
    Choice("x", ["a", "b,c"]),
    Choice("x", [1, "1", True, None, 1.0]),
    Choice("x", [(64,), (64, 32)], role="scientific"),
    Choice("x", [(64,), "x"]),
    Choice("x", ["1..3", "x"]),
    Choice("x", ["", " a", "["]),
    Choice("x", ["true", "null", "3"], default="null"),
    Fixed("x", "[1]"),
    Fixed("x", (64, 32)),
    Fixed("x", "1,2"),
]


@pytest.mark.parametrize("parameter", ODD_DOMAINS, ids=repr)
def test_a_spelled_domain_reads_back(parameter: Parameter) -> None:
    space = SearchSpace(parameter) if not parameter.when else SPACE
    spelled = Tailoring.from_arguments(ranges=[f"{parameter.name}={spell_domain(parameter)}"])
    assert spelled.apply(space) == space
