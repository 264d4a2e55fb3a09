"""What parameters refuse, and that each refusal quotes what was received."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

import search_spaces
from search_spaces import Parameter, SearchSpaceError
from search_spaces.errors import shown

# Without their types: these tests are about what a type checker would refuse as well.
Boolean: Any = search_spaces.Boolean
Choice: Any = search_spaces.Choice
Fixed: Any = search_spaces.Fixed
Float: Any = search_spaces.Float
Int: Any = search_spaces.Int

GOOD: dict[Any, dict[str, Any]] = {
    Float: {"low": 0.5, "high": 1.0},
    Int: {"low": 1, "high": 9},
    Choice: {"values": ["a", "b"]},
    Boolean: {},
    Fixed: {"value": 1},
}
NO_NUMBERS = ["0", True, [1], math.nan, -math.inf, 10**400]
NO_INTS = ["1", True, 1.0, 2.5, 2**60, None]
NO_VALUES = [math.nan, -math.inf, {1}, object, ({1}, 2)]
WRONG: dict[str, list[Any]] = {
    "name": ["", 3, None, " rate", "units ", "a=b", "a\nb", "a\x07b", "a\u2028b", "\ud800"],
    "scale": ["lgo", ["log"], "logarithmic", None],
    "role": ["nuisence", None, "fixed", 3],
    "when": ["sgd", ["a"], {3: "a"}, {"a": []}, {"a": math.nan}, {"a": [[{1}]]}],
    "values": [[], "relu", {"a", "b"}, {"a": 1}, 5, None, *([value] for value in NO_VALUES)],
    "value": NO_VALUES,
}


def wrong_arguments() -> Iterator[tuple[Any, str, Any]]:
    """Yields wrong values of each argument that a kind of parameter declares."""
    for kind in GOOD:
        for field in attrs.fields(kind):
            values = WRONG.get(field.alias, [])
            if field.alias in ("low", "high", "step"):
                values = NO_INTS if kind is Int else NO_NUMBERS
            yield from ((kind, field.alias, value) for value in values if field.init)


@pytest.mark.parametrize(("kind", "argument", "value"), wrong_arguments())
def test_each_argument_says_what_it_must_be(kind: Any, argument: str, value: Any) -> None:
    with pytest.raises(SearchSpaceError) as raised:
        kind(**{"name": "x", **GOOD[kind], argument: value})
    error = raised.value
    assert argument.removesuffix("s") in error.setting
    assert str(error).startswith(f"{error.setting} must be {error.expected}. Received: ")
    # A tuple, a list or a dict may be right, and hold what is not.
    assert error.received == shown(value) or isinstance(value, tuple | list | dict)


@pytest.mark.parametrize(
    ("argument", "value", "hint"),
    [
        ("name", " rate", "Write 'rate'."),
        ("scale", "lgo", "Did you mean 'log'?"),
        ("role", "nuisence", "Did you mean 'nuisance'?"),
        ("role", "fixed", "Fixed('x', value)"),
        ("when", "sgd", "when={'optimizer': 'sgd'}"),
    ],
)
def test_hints(argument: str, value: Any, hint: str) -> None:
    with pytest.raises(SearchSpaceError, match=re.escape(hint)):
        Float(**{"name": "x", **GOOD[Float], argument: value})


MakeParameter = Callable[[], Parameter]

REFUSED: list[tuple[MakeParameter, list[str]]] = [
    # Ranges.
    (lambda: Float("x", 0.5, 0.1), ["'x'", "low=0.5", "high=0.1", "exchange"]),
    (lambda: Float("x", 0.5, 0.5), ["low=0.5", "Fixed('x', 0.5)"]),
    (lambda: Int("x", 9, 3), ["low=9", "high=3"]),
    (lambda: Int("x", 3, 3), ["low=3", "Fixed('x', 3)"]),
    (lambda: Float("x", -1.7e308, 1.7e308), ["-1.7e+308", "narrow"]),
    (lambda: Float("x", 0, 1, scale="log"), ["low=0", "log", "above 0"]),
    (lambda: Float("x", -1.5, 1, scale="log"), ["low=-1.5"]),
    (lambda: Float("x", 0, 1, scale="reverse_log"), ["low=0", "reverse_log"]),
    (lambda: Int("x", 0, 4, scale="log"), ["low=0"]),
    (lambda: Int("x", -4, 4, scale="reverse_log"), ["low=-4"]),
    # Steps.
    (lambda: Float("x", 0, 1, step=0), ["step"]),
    (lambda: Float("x", 0, 1, step=-0.1), ["-0.1"]),
    (lambda: Float("x", 0, 1, step=0.3), ["step=0.3", "high=1.0", "fits is 0.9"]),
    (lambda: Float("x", 0, 1, step=5), ["step=5.0", "fits is 5.0"]),
    (lambda: Float("x", 0, 1, step=1e-9), ["1e-09", "1,000,000"]),
    (lambda: Float("x", 1e16, 1e16 + 8, step=0.5), ["0.5", "rounding"]),
    (lambda: Float("x", 1e-4, 1, scale="log", step=1.0), ["ratio"]),
    (lambda: Float("x", 1e-4, 1, scale="log", step=0.1), ["above 1"]),
    (lambda: Float("x", 1e-4, 0.5, scale="log", step=10), ["step=10.0", "fits is 1.0"]),
    (lambda: Float("x", 0.1, 1, scale="reverse_log", step=2), ["step=2", "reverse_log", "neither"]),
    (lambda: Int("x", 1, 9, step=0), ["step"]),
    (lambda: Int("x", 1, 9, step=-2), ["-2"]),
    (lambda: Int("x", 0, 10, step=3), ["step=3", "high=10", "fits is 9"]),
    (lambda: Int("x", 0, 11, step=3), ["fits is 12"]),
    (lambda: Int("x", 0, 5, step=10), ["fits is 10"]),
    (lambda: Int("x", 16, 500, scale="log", step=2), ["high=500", "fits is 512"]),
    (lambda: Int("x", 16, 260, scale="log", step=2), ["fits is 256"]),
    (lambda: Int("x", 16, 17, scale="log", step=2), ["fits is 32"]),
    (lambda: Int("x", 1, 9, scale="reverse_log", step=2), ["step=2", "reverse_log"]),
    # Values.
    (lambda: Choice("x", ["a", "b", "a"]), ["'a'", "twice", "['a', 'b', 'a']"]),
    (lambda: Choice("x", [0.0, -0.0]), ["twice"]),
    (lambda: Choice("x", [None, None]), ["None", "twice"]),
    # Defaults.
    (lambda: Float("x", 0, 1, default=2), ["default"]),
    (lambda: Float("x", 0, 1, default=True), ["True", "default"]),
    (lambda: Float("x", 0, 1, default=math.nan), ["nan", "default"]),
    (lambda: Float("x", 0, 1, step=0.1, default=0.25), ["0.25", "nearest", "default"]),
    (lambda: Int("x", 0, 9, default=10), ["10", "default"]),
    (lambda: Int("x", 0, 9, default=3.0), ["3.0"]),
    (lambda: Int("x", 0, 9, step=3, default=4), ["4", "nearest is 3"]),
    (lambda: Choice("x", ["adam", "sgd"], default="adma"), ["'adma'", "Did you mean 'adam'?"]),
    (lambda: Choice("x", [1, 2], default=1.0), ["1.0", "1, 2"]),
    (lambda: Choice("x", ["a"], default=None), ["None", "default"]),
    (lambda: Boolean("x", default=1), ["False, True"]),
    # Conditions.
    (lambda: Float("x", 0, 1, otherwise=0.0), ["otherwise=0.0", "always active"]),
    (lambda: Float("x", 0, 1, when={"a": 1}, otherwise=[0]), ["[0]", "otherwise"]),
]


@pytest.mark.parametrize(("make", "said"), REFUSED)
def test_refusals_quote_what_was_received(make: MakeParameter, said: list[str]) -> None:
    with pytest.raises(SearchSpaceError) as raised:
        make()
    for words in said:
        assert words in str(raised.value)


@pytest.mark.parametrize(
    ("parameter", "value", "said"),
    [
        (Float("x", 0, 1), 1.5, ["'x'", "0.0", "1.0", "1.5"]),
        (Float("x", 0, 1), True, ["True"]),
        (Float("x", 0, 1), "0.5", ["'0.5'"]),
        (Float("x", 0, 1), math.nan, ["nan"]),
        (Float("x", 0, 0.5, step=0.1), 0.1 + 0.2, ["0.30000000000000004", "nearest is 0.3"]),
        (Float("x", 1, 100, scale="log", step=10), 20.0, ["20.0", "times 10.0", "nearest is 10.0"]),
        (Int("x", 1, 9), 10, ["1", "9", "10"]),
        (Int("x", 1, 9), 3.0, ["3.0"]),
        (Int("x", 1, 9), True, ["True"]),
        (Int("x", 16, 512, scale="log", step=2), 100, ["100", "nearest is 128"]),
        (Choice("x", ["relu", "tanh"]), "rleu", ["'rleu'", "Did you mean 'relu'?"]),
        (Choice("x", [1, 2]), True, ["True"]),
        (Choice("x", [True, False]), 1, ["Received: 1."]),
        (Choice("x", [1.0]), 1, ["Received: 1."]),
        (Boolean("x"), "True", ["'True'"]),
        (Fixed("x", None), 0, ["None", "0"]),
    ],
)
def test_values_outside_are_told_why(parameter: Parameter, value: Any, said: list[str]) -> None:
    assert not parameter.contains(value)
    reason = parameter.reason_outside(value)
    assert reason is not None
    for words in said:
        assert words in reason
    with pytest.raises(SearchSpaceError):
        parameter.validate(value)
    with pytest.raises(SearchSpaceError):
        parameter.to_unit(value)
    with pytest.raises(SearchSpaceError):
        parameter.canonical(value)


@pytest.mark.parametrize("unit", [-0.1, 1.1, math.nan, "0.5", True, None])
@pytest.mark.parametrize(
    "parameter", [Float("x", 0, 1), Int("x", 1, 9), Choice("x", ["a"]), Boolean("x")]
)
def test_coordinates_outside_are_refused(parameter: Parameter, unit: Any) -> None:
    with pytest.raises(SearchSpaceError) as raised:
        parameter.from_unit(unit)
    assert repr(unit) in str(raised.value)


def test_parameters_can_not_be_changed() -> None:
    parameter = Float("x", 0, 1)
    with pytest.raises(AttributeError, match="x"):
        parameter.low = 0.5
    with pytest.raises(AttributeError, match="low"):
        del parameter.low
    choice = Choice("y", ["a"])
    for attribute in ("values", "default", "other"):
        with pytest.raises(AttributeError, match=f"Choice 'y' can't be changed .{attribute}=3"):
            setattr(choice, attribute, 3)
    with pytest.raises(TypeError):
        Float("y", 0, 1, when={"x": 1.0}).when["x"] = (0.0,)
    assert parameter.low == 0.0


def test_ints_count_as_floats_where_floats_are_meant() -> None:
    parameter = Float("x", 0, 4, step=2, default=2)
    assert repr((parameter.low, parameter.high, parameter.default)) == "(0.0, 4.0, 2.0)"
    assert parameter.contains(2)
    assert repr(parameter.canonical(2)) == "2.0"
    assert repr(parameter.canonical(-0.0)) == "0.0"


def test_subclasses_of_plain_types_become_plain() -> None:
    class Name(enum.StrEnum):
        ADAM = "adam"

    class Size(enum.IntEnum):
        BIG = 9

    parameter = Choice("x", [Name.ADAM, Size.BIG])
    assert [type(value) for value in parameter.values] == [str, int]
    assert parameter.values == ("adam", 9)
    assert parameter.canonical(Name.ADAM) == "adam"
    assert type(parameter.canonical(Name.ADAM)) is str
