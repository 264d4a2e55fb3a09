"""Domains, defaults, coordinates and grids of parameters, by example."""

from __future__ import annotations

import copy
import pickle

import pytest

from search_spaces import NOT_GIVEN, Boolean, Choice, Fixed, Float, Int, Parameter


def test_copies_read_the_same_otherwise() -> None:
    for parameter in (Float("x", 0, 1), Boolean("x", when={"a": [1.5, True]}, otherwise="off")):
        for again in (pickle.loads(pickle.dumps(parameter)), copy.deepcopy(parameter)):
            assert again.otherwise is parameter.otherwise or again.otherwise == "off"
            assert again.when == parameter.when


def test_parameters_compare_by_all_that_they_declare() -> None:
    assert Choice("x", [1]) != Choice("x", [1.0])
    assert Choice("x", [1]) != Choice("x", [True])
    assert Fixed("x", 0) != Fixed("x", False)
    assert Float("x", 0, 1) != Float("y", 0, 1)
    assert Float("x", 0, 1) != Float("x", 0, 1, role="scientific")
    assert Float("x", 0, 1) == Float("x", 0.0, 1.0, default=0.5)
    assert Float("x", 0, 1) != "x"


def test_the_order_in_a_condition_does_not_matter() -> None:
    one = Float("x", 0, 1, when={"a": ["p", "q"], "b": 1})
    other = Float("x", 0, 1, when={"b": (1,), "a": {"q", "p"}})
    assert one == other
    assert one.when == {"a": ("p", "q"), "b": (1,)}


def test_conditions_keep_types() -> None:
    parameter = Float("x", 0, 1, when={"a": [1, 1.0, True, None]})
    assert sorted(map(repr, parameter.when["a"])) == ["1", "1.0", "None", "True"]


def test_what_is_left_out() -> None:
    parameter = Float("x", 0, 1)
    assert parameter.role == "nuisance"
    assert not parameter.when
    assert parameter.otherwise is NOT_GIVEN
    assert Fixed("x", 1).role == "fixed"
    assert Float("x", 0, 1, when={"a": 1}, otherwise=None).otherwise is None


@pytest.mark.parametrize(
    ("parameter", "default"),
    [
        (Float("x", 0, 1), 0.5),
        (Float("x", 1e-4, 1, scale="log"), 0.01),
        # The middle, geometrically, of 0.01 to 0.99 is 0.0994987, and this is its mirror image.
        (Float("x", 0.01, 0.99, scale="reverse_log"), 0.900501),
        (Float("x", 0, 0.4, step=0.1), 0.2),
        (Float("x", 0, 0.5, step=0.1), 0.3),
        (Float("x", 1e-4, 1, scale="log", step=10), 0.01),
        (Int("x", 1, 9), 5),
        (Int("x", 0, 10, step=5), 5),
        (Int("x", 16, 256, scale="log"), 64),
        (Int("x", 16, 256, scale="log", step=2), 64),
        (Choice("x", ["b", "a"]), "b"),
        (Choice("x", [None, 1]), None),
        (Choice("x", ["b", None], default=None), None),
        (Boolean("x"), False),
        (Fixed("x", 7), 7),
        # A range narrower than six digits.
        (Float("x", 1.00000001, 1.00000002), 1.00000001),
    ],
)
def test_defaults(parameter: Parameter, default: object) -> None:
    assert parameter.default == default
    assert type(parameter.default) is type(default)
    assert parameter.contains(parameter.default)


@pytest.mark.parametrize(
    ("parameter", "written"),
    [
        (Float("x", 0, 0.5, step=0.1), "(0.0, 0.1, 0.2, 0.3, 0.4, 0.5)"),
        (Float("x", -0.3, 0.3, step=0.1), "(-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3)"),
        (Float("x", 0, 1, step=1 / 3), "(0.0, 0.3333333333333333, 0.6666666666666666, 1.0)"),
        (Float("x", 0.001, 10, scale="log", step=10), "(0.001, 0.01, 0.1, 1.0, 10.0)"),
        (
            Float("x", 0.01, 0.1, scale="log", step=10**0.5),
            "(0.01, 0.0316227766016838, 0.1)",
        ),
        (Float("x", 0.3, 2.4, scale="log", step=2), "(0.3, 0.6, 1.2, 2.4)"),
        (Int("x", 1, 7, step=3), "(1, 4, 7)"),
        (Int("x", 16, 128, scale="log", step=2), "(16, 32, 64, 128)"),
        (Int("x", 1, 4, scale="log"), "(1, 2, 3, 4)"),
        (Int("x", 1, 4, scale="reverse_log"), "(1, 2, 3, 4)"),
        (Choice("x", [1, 1.0, True, None]), "(1, 1.0, True, None)"),
        (Boolean("x"), "(False, True)"),
        (Fixed("x", "y"), "('y',)"),
    ],
)
def test_grids_are_the_literals_a_person_would_write(parameter: Parameter, written: str) -> None:
    values = parameter.grid_values()
    assert values is not None
    assert repr(tuple(values)) == written
    assert parameter.count == len(values)
    for value in values:
        assert parameter.contains(value)
        assert repr(parameter.from_unit(parameter.to_unit(value))) == repr(value)


@pytest.mark.parametrize(
    ("parameter", "unit", "value"),
    [
        (Float("x", 0, 10), 0.25, 2.5),
        (Float("x", 1e-4, 1, scale="log"), 0.25, 1e-3),
        (Float("x", 1e-4, 1, scale="log"), 0.75, 1e-1),
        # Keras Tuner's reverse_log: high + low - low * (high / low) ** (1 - unit).
        (Float("x", 1, 100, scale="reverse_log"), 0.25, 101 - 100**0.75),
        (Float("x", 0, 0.5, step=0.1), 0.2, 0.1),
        (Float("x", 1, 100, scale="log", step=10), 0.5, 10.0),
        (Int("x", 1, 4), 0.3, 2),
        (Int("x", 16, 512, scale="log", step=2), 0.5, 128),
        (Choice("x", ["a", "b", "c", "d"]), 0.74, "c"),
        (Boolean("x"), 0.49, False),
        (Boolean("x"), 0.5, True),
        (Fixed("x", "y"), 0.9, "y"),
    ],
)
def test_coordinates(parameter: Parameter, unit: float, value: object) -> None:
    found = parameter.from_unit(unit)
    if isinstance(value, float):
        assert found == pytest.approx(value, rel=1e-12)
    else:
        assert found == value
        assert type(found) is type(value)


def test_a_logarithmic_int_gives_each_order_of_magnitude_its_share() -> None:
    parameter = Int("x", 1, 10_000, scale="log")
    found = [parameter.from_unit((index + 0.5) / 1000) for index in range(1000)]
    assert found == sorted(found)
    below = [sum(value < bound for value in found) for bound in (10, 100, 1000, 10_000)]
    # The scale runs from 0.5 to 10,000.5, which is 4.3 orders of magnitude.
    assert below == pytest.approx([297, 535, 767, 1000], abs=5)


def test_a_reversed_int_is_finest_at_the_top() -> None:
    parameter = Int("x", 1, 1000, scale="reverse_log")
    assert parameter.from_unit(0.5) > 950
    shares = [parameter.to_unit(value) for value in (1, 2, 999, 1000)]
    assert shares[1] - shares[0] < shares[3] - shares[2]


def test_equal_shares_for_all_values_of_a_grid() -> None:
    parameter = Float("x", 1e-4, 1, scale="log", step=10)
    found = [parameter.from_unit((index + 0.5) / 500) for index in range(500)]
    assert [found.count(value) for value in parameter.grid_values() or ()] == [100] * 5


@pytest.mark.parametrize(
    ("parameter", "given", "nearest"),
    [
        (Float("x", 0, 0.5, step=0.1), 0.30000000000000004, 0.3),
        (Float("x", 0, 0.5, step=0.1), 99.0, 0.5),
        (Float("x", 0, 1), -0.1, 0.0),
        (Float("x", 0, 1), 0.7, 0.7),
        (Int("x", 1, 9, step=4), 8, 9),
        (Int("x", 16, 512, scale="log", step=2), 5000, 512),
        (Int("x", 16, 512, scale="log", step=2), 90, 64),
    ],
)
def test_nearest(parameter: Float | Int, given: float, nearest: float) -> None:
    assert repr(parameter.nearest(given)) == repr(nearest)
