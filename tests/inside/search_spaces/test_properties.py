"""What holds for every parameter and space; Optuna and Keras Tuner propose from each space."""

import copy
import json
import math
import pickle
import warnings
from typing import Any

import hypothesis.strategies as st
import keras_tuner
import optuna
import pytest
from hypothesis import HealthCheck, assume, given, settings

from kerastudy import Boolean, Choice, Fixed, Float, Hyperparameters, Int, SearchSpace
from search_spaces import KerasTunerSpace, OptunaSpace, Parameter

optuna.logging.set_verbosity(optuna.logging.ERROR)

# No database: tests leave no files behind. No limits of time: machines are shared.
PROPERTY = settings(
    deadline=None, database=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
OPTUNA_PROPERTY = settings(PROPERTY, max_examples=40)

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.0, 1.0, -1.0, 0.1, 1e300]),
    st.text(max_size=3),
)
OBJECTS = st.lists(SCALARS, max_size=2).map(tuple) | st.lists(st.tuples(SCALARS), max_size=2)


def key(value: Any) -> tuple[str, str]:
    """Returns the type and the spelling, which tell values apart."""
    return type(value).__name__, repr(value)


@st.composite
def floats(draw: st.DrawFn, /, name: str, **shared: Any) -> Float:
    """A continuous Float or one in steps, on any scale."""
    scale = draw(st.sampled_from(["linear", "log", "reverse_log"]))
    if scale == "linear" and draw(st.booleans()):
        # Decimal literals, as people write them.
        digits = draw(st.integers(0, 4))
        first, step = draw(st.integers(-50, 50)), draw(st.integers(1, 30))
        last = first + step * draw(st.integers(1, 40))
        unit = 10**digits
        return Float(name, first / unit, last / unit, step=step / unit, **shared)
    if scale == "log" and draw(st.booleans()):
        least = draw(st.sampled_from([1e-6, 0.001, 0.3, 1.0, 7.0]))
        ratio = draw(st.sampled_from([2.0, 10.0, 1.5, 10**0.5, 2**0.25]))
        most = least * ratio ** draw(st.integers(1, 12))
        return Float(name, least, most, scale="log", step=ratio, **shared)
    smallest = -1e6 if scale == "linear" else 1e-9
    numbers = st.floats(smallest, 1e6, allow_nan=False)
    low, high = sorted([draw(numbers), draw(numbers)])
    assume(high - low > 1e-9 * max(abs(low), abs(high), 1e-9))
    return Float(name, low, high, scale=scale, **shared)


@st.composite
def ints(draw: st.DrawFn, /, name: str, **shared: Any) -> Int:
    """An Int on any scale, with a step where there is one."""
    scale = draw(st.sampled_from(["linear", "log", "reverse_log", "step", "ratio"]))
    if scale == "step":
        low, step = draw(st.integers(-100, 100)), draw(st.integers(1, 50))
        return Int(name, low, low + step * draw(st.integers(1, 20)), step=step, **shared)
    if scale == "ratio":
        low, step = draw(st.integers(1, 9)), draw(st.integers(2, 5))
        high = low * step ** draw(st.integers(1, 10))
        return Int(name, low, high, scale="log", step=step, **shared)
    bounds = st.integers(-(2**40) if scale == "linear" else 1, 2**40) | st.integers(1, 50)
    low, high = sorted([draw(bounds), draw(bounds)])
    assume(low < high)
    return Int(name, low, high, scale=scale, **shared)


@st.composite
def parameters(draw: st.DrawFn, /, name: str = "x", **shared: Any) -> Parameter:
    """Any parameter."""
    kind = draw(st.sampled_from(["float", "int", "choice", "boolean", "fixed"]))
    if kind == "float":
        return draw(floats(name, **shared))
    if kind == "int":
        return draw(ints(name, **shared))
    if kind == "choice":
        values = st.lists(SCALARS | OBJECTS, min_size=1, max_size=6, unique_by=key)
        return Choice(name, draw(values), **shared)
    return Boolean(name, **shared) if kind == "boolean" else Fixed(name, draw(SCALARS), **shared)


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    """Any space, with conditions on up to two parents, shuffled."""
    declared: list[Parameter] = []
    for index in range(draw(st.integers(1, 6))):
        shared: dict[str, Any] = {}
        parents = draw(st.lists(st.sampled_from(declared), max_size=2)) if declared else []
        if parents:
            values = st.floats(0, 1).map
            shared["when"] = {
                parent.name: draw(
                    st.lists(values(parent.from_unit), min_size=1, max_size=3)
                    if draw(st.booleans())
                    else values(parent.from_unit)
                )
                for parent in parents
            }
            if draw(st.booleans()):
                shared["otherwise"] = draw(SCALARS)
        declared.append(draw(parameters(f"p{index}", **shared)))
    return SearchSpace(draw(st.permutations(declared)))


@st.composite
def spaces_and_values(draw: st.DrawFn) -> tuple[SearchSpace, dict[str, Any]]:
    """A space and values in it."""
    space = draw(spaces())
    point = {name: draw(st.floats(0, 1)) for name in space.dimensions}
    return space, space.from_unit(point)


@PROPERTY
@given(parameters(), st.floats(0, 1), st.floats(0, 1))
def test_a_coordinate_leads_into_the_domain_and_back(
    parameter: Parameter, unit: float, other: float
) -> None:
    value = parameter.from_unit(unit)
    if isinstance(parameter, Float | Int):
        assert sorted([value, parameter.from_unit(other)])[0] == parameter.from_unit(
            min(unit, other)
        )
    assert parameter.contains(value)
    assert 0.0 <= parameter.to_unit(value) <= 1.0
    again = parameter.from_unit(parameter.to_unit(value))
    if isinstance(parameter, Float) and parameter.step is None:
        width = parameter.high - parameter.low if parameter.scale != "log" else abs(value)
        # On a linear scale, the tolerance is relative to the range and to the rounding of its ends.
        assert abs(again - value) <= 1e-12 * max(width, abs(parameter.low), abs(parameter.high))
        if parameter.scale == "log":
            assert again == pytest.approx(value, rel=1e-12)
    else:
        assert key(again) == key(value)


@PROPERTY
@given(parameters())
def test_default_ends_and_copies(parameter: Parameter) -> None:
    assert parameter.contains(parameter.default)
    values = parameter.grid_values() or (parameter.low, parameter.high)
    assert (parameter.from_unit(0.0), parameter.from_unit(1.0)) == (values[0], values[-1])
    copies = pickle.loads(pickle.dumps(parameter)), copy.deepcopy(parameter), eval(repr(parameter))
    assert [*map(hash, copies)] == [hash(parameter)] * 3
    assert all(copy == parameter for copy in copies)


@PROPERTY
@given(st.integers(-(10**6), 10**6), st.integers(1, 10**4), st.integers(1, 300), st.integers(0, 6))
def test_steps_of_decimal_literals_make_decimal_literals(
    low: int, step: int, count: int, digits: int
) -> None:
    def literal(number: int) -> float:
        return float(f"{number}e-{digits}")

    parameter = Float("x", literal(low), literal(low + step * count), step=literal(step))
    assert parameter.grid_values() == tuple(literal(low + step * i) for i in range(count + 1))


@PROPERTY
@given(spaces_and_values())
def test_values_of_a_point_are_in_the_space(
    space_and_values: tuple[SearchSpace, dict[str, Any]],
) -> None:
    space, values = space_and_values
    assert space.contains(values)
    assert set(space.active(values)) == set(values)
    assert list(values) == [name for name in space.names if name in values]
    point = space.to_unit(values)
    again = space.from_unit({name: point.get(name, 0.5) for name in space.dimensions})
    exact = {
        name: value
        for name, value in values.items()
        if not (isinstance(space[name], Float) and space[name].count is None)
    }
    # A continuous parent may come back a rounding away from the value that a condition names.
    if not any(space[p].count is None for parameter in space for p in parameter.when):
        assert {name: key(again[name]) for name in exact} == {n: key(v) for n, v in exact.items()}
    hp = Hyperparameters(space, values)
    assert {name: hp[name] for name in values} == {
        name: space[name].opened(value) for name, value in values.items()
    }


@PROPERTY
@given(spaces(), st.randoms(use_true_random=False))
def test_json_and_digest(space: SearchSpace, random: Any) -> None:
    again = SearchSpace.from_dict(json.loads(json.dumps(space.to_dict())))
    assert again == pickle.loads(pickle.dumps(space)) == space
    assert repr(again) == repr(space)
    shuffled = list(space.parameters)
    random.shuffle(shuffled)
    turned = SearchSpace(shuffled)
    assert turned == space
    assert turned.digest == again.digest == space.digest
    assert space.differences(turned) == []


@PROPERTY
@given(spaces(), spaces())
def test_spaces_are_equal_if_nothing_differs(one: SearchSpace, other: SearchSpace) -> None:
    assert (one == other) is (one.digest == other.digest) is (one.differences(other) == [])


@OPTUNA_PROPERTY
@given(spaces(), st.integers(0, 1000), st.sampled_from(["random", "tpe"]))
def test_optuna_suggests_what_the_space_holds(space: SearchSpace, seed: int, engine: str) -> None:
    translated = OptunaSpace(space)
    sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed=seed)
    if engine == "tpe":
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=2)
    study = optuna.create_study(sampler=sampler)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for index in range(5):
            trial = study.ask()
            values = translated.suggest(trial)
            study.tell(trial, float(index % 3))
            frozen = study.trials[-1]
            assert space.contains(values)
            again = translated.suggest(optuna.trial.FixedTrial(frozen.params))
            assert {n: key(v) for n, v in again.items()} == {n: key(v) for n, v in values.items()}
            params, distributions = translated.encode(values)
            assert distributions == frozen.distributions
            assert list(params) == list(frozen.params)
            for name, stored in frozen.params.items():
                if name.endswith("(reversed)") and isinstance(stored, float):
                    parameter = space[name.removesuffix(" (reversed)")]
                    assert math.isclose(params[name], stored, abs_tol=1e-15 * parameter.high)
                else:
                    assert key(params[name]) == key(stored)
            # Optuna itself takes the encoded values.
            optuna.trial.create_trial(params=params, distributions=distributions, value=0.0)


@OPTUNA_PROPERTY
@given(spaces_and_values())
def test_known_values_come_back_from_optuna(
    space_and_values: tuple[SearchSpace, dict[str, Any]],
) -> None:
    space, values = space_and_values
    translated = OptunaSpace(space)
    params, _ = translated.encode(values)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        study.enqueue_trial(params)
        continuous_parents = any(space[p].count is None for child in space for p in child.when)
        suggested = translated.suggest(study.ask())
        if continuous_parents and suggested.keys() != values.keys():
            # A mirrored value may come back a rounding away from the one that a condition names.
            return
    for name, value in values.items():
        parameter = space[name]
        if isinstance(parameter, Float) and parameter.scale == "reverse_log":
            assert suggested[name] == pytest.approx(value, abs=2e-16 * 2 * parameter.high)
        else:
            assert key(suggested[name]) == key(value)


@OPTUNA_PROPERTY
@given(spaces(), st.randoms(use_true_random=False))
def test_keras_tuner_proposes_what_the_space_holds(space: SearchSpace, source: Any) -> None:
    """Its random search draws parents first, and only active hyperparameters."""
    # A mirrored value may come back a rounding away from the one that a condition names.
    assume(not any(space[name].count is None for conditional in space for name in conditional.when))
    translated = KerasTunerSpace(space)
    keras_tuner_values = keras_tuner.HyperParameters()
    for hyperparameter in translated.hyperparameters().space:
        if keras_tuner_values.is_active(hyperparameter):
            keras_tuner_values.values[hyperparameter.name] = hyperparameter.prob_to_value(
                source.random()
            )
    values = translated.decode(keras_tuner_values.values)
    assert space.contains(values)
    again = translated.decode(translated.encode(values))
    assert {n: key(v) for n, v in again.items()} == {n: key(v) for n, v in values.items()}
