"""Parameters by example: defaults, coordinates, grids, nearest values, and equality."""

import enum
from typing import Any

import numpy as np
import pytest

from kerastudy import Boolean, Choice, Fixed, Float, Int

# A parameter, its default, its values as a person would write them, and values at coordinates.
DOMAINS: list[tuple[Any, object, str, dict[float, object]]] = [
    (Float("x", 0, 1), 0.5, "None", {0.25: 0.25}),
    (Float("x", 1e-4, 1, scale="log"), 0.01, "None", {0.25: 1e-3, 0.75: 1e-1}),
    # The geometric middle of 0.01 and 0.99 is 0.0994987. This is its mirror image.
    (Float("x", 0.01, 0.99, scale="reverse_log"), 0.900501, "None", {}),
    # Keras Tuner's reverse_log: high + low - low * (high / low) ** (1 - unit).
    (Float("x", 1, 100, scale="reverse_log"), 91.0, "None", {0.25: 101 - 100**0.75}),
    # A range narrower than six digits.
    (Float("x", 1.00000001, 1.00000002), 1.00000001, "None", {}),
    (Float("x", 0, 0.5, step=0.1), 0.3, "(0.0, 0.1, 0.2, 0.3, 0.4, 0.5)", {0.2: 0.1}),
    (Float("x", 0, 1, step=1 / 3), 0.6666666666666666,
     "(0.0, 0.3333333333333333, 0.6666666666666666, 1.0)", {}),
    (Float("x", 0.001, 10, scale="log", step=10), 0.1, "(0.001, 0.01, 0.1, 1.0, 10.0)", {}),
    (Float("x", 0.01, 0.1, scale="log", step=10**0.5), 0.0316227766016838,
     "(0.01, 0.0316227766016838, 0.1)", {}),
    (Int("x", 1, 7, step=3), 4, "(1, 4, 7)", {0.3: 1}),
    (Int("x", 16, 128, scale="log", step=2), 64, "(16, 32, 64, 128)", {0.4: 32}),
    (Int("x", 1, 4, scale="log"), 2, "(1, 2, 3, 4)", {}),
    (Int("x", 1, 4, scale="reverse_log"), 3, "(1, 2, 3, 4)", {}),
    (Choice("x", [1, 1.0, True, None]), 1, "(1, 1.0, True, None)", {0.74: True}),
    (Choice("x", ["b", None], default=None), None, "('b', None)", {}),
    (Boolean("x"), False, "(False, True)", {0.49: False, 0.5: True}),
    (Fixed("x", "y"), "y", "('y',)", {0.9: "y"}),
]  # fmt: skip


@pytest.mark.parametrize(("parameter", "default", "values", "at"), DOMAINS, ids=repr)
def test_a_domain(parameter: Any, default: object, values: str, at: dict[float, object]) -> None:
    assert repr(parameter.default) == repr(default)
    grid = parameter.grid_values()
    assert repr(grid and tuple(grid)) == values
    for unit, value in at.items():
        sample = parameter.from_unit(unit)
        assert type(sample) is type(value)
        assert sample == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value)


def test_scales_give_each_value_its_share() -> None:
    def draw(parameter: Any, count: int) -> list[Any]:
        return [parameter.from_unit((index + 0.5) / count) for index in range(count)]

    logarithmic = draw(Int("x", 1, 10_000, scale="log"), 1000)
    below = [sum(value < bound for value in logarithmic) for bound in (10, 100, 1000, 10_000)]
    # The scale runs from 0.5 to 10,000.5, which is 4.3 orders of magnitude.
    assert below == pytest.approx([297, 535, 767, 1000], abs=5)
    assert Int("x", 1, 1000, scale="reverse_log").from_unit(0.5) > 950
    stepped = Float("x", 1e-4, 1, scale="log", step=10)
    assert [draw(stepped, 500).count(value) for value in stepped.grid_values() or ()] == [100] * 5


def test_parameters_compare_by_all_that_they_declare_and_types_count() -> None:
    assert len({Choice("x", [1]), Choice("x", [1.0]), Choice("x", [True])}) == 3
    assert Fixed("x", 0) != Fixed("x", False)
    assert Float("x", 0, 1) == Float("x", 0.0, 1.0, default=0.5)
    assert Float("x", 0, 1) != Float("x", 0, 1, role="scientific")
    assert Float("x", 0, 1) != "x"
    one = Float("x", 0, 1, when={"a": ["p", "q"], "b": 1})
    assert one == Float("x", 0, 1, when={"b": (1,), "a": {"q", "p"}})
    assert one.when == {"a": ("p", "q"), "b": (1,)}
    typed = Float("x", 0, 1, when={"a": [1, 1.0, True, None]})
    assert sorted(map(repr, typed.when["a"])) == ["1", "1.0", "None", "True"]
    assert (Float("x", 0, 1).role, Fixed("x", 1).role) == ("nuisance", "fixed")


def test_values_become_plain() -> None:
    class Name(enum.StrEnum):
        ADAM = "adam"

    class Size(enum.IntEnum):
        BIG = 9

    ranged = Float("x", 0, 4, step=2, default=2)
    assert repr((ranged.low, ranged.default, ranged.canonical(-0.0))) == "(0.0, 2.0, 0.0)"
    choice = Choice("x", [Name.ADAM, Size.BIG])
    assert [type(value) for value in choice.values] == [str, int]
    assert type(choice.canonical(Name.ADAM)) is str
    ints: Any = Int("x", np.int64(1), 9, step=np.int8(4))
    assert repr((ints.low, ints.step)) == "(1, 4)"
