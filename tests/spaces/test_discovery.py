"""The search space of a builder, found by running it."""

import itertools
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

import kerastudy as ks
from kerastudy import Boolean, Choice, Fixed, Float, Hyperparameters, Int, SearchSpace, discover

# No database: tests leave no files behind. No limits of time: machines are shared.
PROPERTY = settings(
    deadline=None, database=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow]
)


def everywhere(space: SearchSpace) -> list[dict[str, Any]]:
    """Returns configurations from all over a space."""
    source = random.Random(0)
    return [space.from_unit({n: source.random() for n in space.dimensions}) for _ in range(40)]


def test_a_builder_without_branches_takes_few_builds() -> None:
    def build(hp: Any) -> None:
        hp.Int("units", 32, 512, step=32)
        hp.Float("lr", 1e-4, 1e-2, sampling="log")
        hp.Choice("activation", ["relu", "tanh", "gelu"])
        hp.Int("layers", 1, 3)
        hp.Boolean("dropout", default=True)
        assert hp["dropout"] is hp.values["dropout"] is hp.params["dropout"]
        assert (hp.get("absent"), hp.number, hp.should_prune()) == (None, 0, False)
        hp.Fixed("loss", "mse")

    discovery = discover(build)
    assert discovery.space == SearchSpace(
        Int("units", 32, 512, step=32, default=32),
        Float("lr", 1e-4, 1e-2, scale="log", default=1e-4),
        Choice("activation", ["relu", "tanh", "gelu"]),
        Int("layers", 1, 3, default=1),
        Boolean("dropout", default=True),
        Fixed("loss", "mse"),
    )
    assert discovery.space.names == ("units", "lr", "activation", "layers", "dropout", "loss")
    assert (discovery.builds <= 25, discovery.complete, discovery.notes) == (True, True, ())


def test_keras_tuners_scopes_are_taken_as_they_are() -> None:
    def build(hp: Any) -> None:
        model = hp.Choice("model", ["mlp", "cnn", "linear"])
        with hp.conditional_scope("model", ["mlp"]):
            hp.Int("units", 16, 64)
            if model == "mlp" and hp.Boolean("dropout"):
                hp.Float("rate", 0.1, 0.5)
        with hp.conditional_scope("model", ["cnn"]), hp.name_scope("cnn"):
            hp.Int("kernel", 3, 7, step=2)
            hp.Float("stretch", 0.0, 1.0, parent_name="kernel", parent_values=[5.0, 7.0])
        depth = hp.Int("depth", 1, 1000)
        with hp.conditional_scope("depth", [777]):
            hp.Boolean("rare")
            # The code under a scope on a rare value is run, too.
            if depth == 777:
                hp.Boolean("deep")
        hp.Boolean("never", parent_name="depth", parent_values=[0])

    discovery = discover(build)
    assert discovery.space == SearchSpace(
        Choice("model", ["mlp", "cnn", "linear"]),
        Int("units", 16, 64, default=16, when={"model": "mlp"}),
        Boolean("dropout", when={"model": "mlp"}),
        Float("rate", 0.1, 0.5, default=0.1, when={"dropout": True}),
        Int("cnn/kernel", 3, 7, step=2, default=3, when={"model": "cnn"}),
        Float("cnn/stretch", 0.0, 1.0, default=0.0, when={"cnn/kernel": [5, 7]}),
        Int("depth", 1, 1000, default=1),
        Boolean("rare", when={"depth": 777}),
        Boolean("deep", when={"depth": 777}),
    )
    assert len(discovery.notes) == 1 and "'never'" in discovery.notes[0]


def test_long_loops_are_bisected() -> None:
    def build(hp: Any) -> None:
        for i in range(hp.Int("layers", 0, 12)):
            hp.Float(f"rate_{i}", 0.0, 0.5)
        if hp.Int("units", 1, 1000) > 600:
            hp.Boolean("wide")

    discovery = discover(build)
    for i in range(12):
        assert discovery.space[f"rate_{i}"].when == {"layers": tuple(range(i + 1, 13))}
    assert discovery.space["wide"].when == {"units": tuple(range(601, 1001))}
    assert discovery.builds <= 60


def test_a_condition_that_can_not_be_said_is_loosened() -> None:
    def build(hp: Any) -> None:
        one, other = hp.Boolean("one"), hp.Boolean("other")
        if one or other:
            hp.Float("either", 0.0, 1.0)

    assert discover(build).space["either"].when == {}


# A builder that raises, is wrong, or takes more builds.


def test_values_for_which_the_builder_raises_are_noted() -> None:
    def build(hp: Any) -> None:
        size = hp.Choice("size", [0, 1, 2, 3])
        if size == 0:
            raise ValueError("no default")
        if size == 3:
            hp.Boolean("before")
            raise ValueError("no threes")
        hp.Int("after", 1, 5)

    discovery = discover(build)
    assert set(discovery.space.names) == {"size", "after", "before"}
    # The build of 0 ended before it might have declared it.
    assert discovery.space["before"].when == {"size": (0, 3)}
    # Its absence after an error proves nothing.
    assert discovery.space["after"].when == {}
    assert discovery.complete
    first, second = discovery.notes
    assert first.startswith("The builder raised ValueError: no default with its defaults")
    assert "no threes with size=3" in second and "infeasible" in second


def test_what_stops_it_is_raised_as_it_is_and_before_is_called_before_each_build() -> None:
    calls: list[str] = []

    def build(hp: Any) -> None:
        calls.append("build")
        hp.Int("size", 1, 5)
        if calls.count("build") == 2:
            raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        discover(
            build,
            before=lambda: calls.append("before"),
            stops=lambda error: isinstance(error, LookupError),
        )
    assert calls == ["before", "build"] * 2


def raises(hp: Any) -> None:
    hp.Boolean("bias")
    raise ZeroDivisionError("float division by zero")


def reads_undeclared(hp: Any) -> None:
    if hp.Choice("optimizer", ["adam", "sgd"]) == "sgd":
        hp.Float("momentum", 0.0, 0.9)
    hp["momentum"]


def declares_two_kinds(hp: Any) -> None:
    hp.Int("units", 1, 8)
    hp.Choice("units", ["few", "many"])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (raises, "error in each of .*ZeroDivisionError: float division by zero"),
        (lambda hp: None, r"declares no hyperparameters.*hp\.Float\("),
        (reads_undeclared, "'momentum' is read where it has not been declared"),
        (declares_two_kinds, r"Int\('units', 1, 8, default=1\) and as Choice\(.* name_scope"),
        (lambda hp: hp.Choice("size", [object()]), "'size'"),
    ],
)
def test_wrong_builders_are_refused(build: Callable[[Any], None], message: str) -> None:
    with pytest.raises(ks.errors.SearchSpaceError, match=message):
        discover(build)


def test_at_the_limit_what_is_not_known_is_not_ruled_out() -> None:
    def build(hp: Any) -> None:
        for i in range(hp.Int("layers", 1, 12)):
            hp.Boolean(f"norm_{i}")

    for limit in range(1, discover(build).builds):
        discovery = discover(build, limit=limit)
        assert not discovery.complete and discovery.builds == limit
        assert f"limit of {limit} builds" in discovery.notes[-1]
        for name in discovery.space.names[2:]:
            allowed = discovery.space[name].when.get("layers", range(1, 13))
            assert set(allowed) >= set(range(int(name.removeprefix("norm_")) + 1, 13))
    hp = Hyperparameters(discover(build, limit=1).space, {"layers": 2, "norm_0": True})
    build(hp)
    assert hp.defaulted == (Boolean("norm_1"),)
    with pytest.raises(ks.errors.SearchSpaceError, match="limit must be"):
        discover(build, limit=0)


# One name with several domains.


def by_optimizer(hp: Any) -> None:
    if hp.Choice("optimizer", ["adam", "sgd", "rmsprop"]) == "adam":
        assert hp.Float("rate", 1e-4, 1e-2, sampling="log") <= 1e-2
    else:
        assert hp.Float("rate", 0.1, 1.0, sampling="log") >= 0.1


def in_scopes(hp: Any) -> None:
    adam = hp.Choice("optimizer", ["adam", "sgd", "rmsprop"]) == "adam"
    with hp.conditional_scope("optimizer", "adam"):
        assert (hp.Float("rate", 1e-4, 1e-2, sampling="log") is not None) is adam
    with hp.conditional_scope("optimizer", ["sgd", "rmsprop"]):
        assert (hp.Float("rate", 0.1, 1.0, sampling="log") is None) is adam


@pytest.mark.parametrize("build", [by_optimizer, in_scopes])
def test_domains_under_conditions_are_parameters_of_their_own(build: Callable[[Any], None]) -> None:
    discovery = discover(build)
    assert discovery.notes == ()
    assert discovery.space == SearchSpace(
        Choice("optimizer", ["adam", "sgd", "rmsprop"]),
        Float("rate when optimizer is adam", 1e-4, 1e-2, scale="log", default=1e-4,
              when={"optimizer": "adam"}),
        Float("rate when optimizer is sgd or rmsprop", 0.1, 1.0, scale="log", default=0.1,
              when={"optimizer": ["sgd", "rmsprop"]}),
    )  # fmt: skip
    for values in everywhere(discovery.space):
        hp = Hyperparameters(discovery.space, values)
        build(hp)
        assert (hp.defaulted, hp.read) == ((), set(values))


@pytest.mark.parametrize(
    ("first", "second", "parameter"),
    [
        ("hp.Float('x', 0.0, 0.3)", "hp.Float('x', 0.0, 0.5)", Float("x", 0, 0.5, default=0)),
        ("hp.Int('x', 1, 4)", "hp.Int('x', 3, 9)", Int("x", 1, 9, default=1)),
        ("hp.Int('x', 0, 4, 2)", "hp.Int('x', 2, 8, 2)", Int("x", 0, 8, step=2, default=0)),
        ("hp.Choice('x', ['a', 'b'])", "hp.Choice('x', ['c', 'b'])", Choice("x", ["a", "b", "c"])),
        ("hp.Choice('x', [(1,)])", "hp.Choice('x', [(2,), (1,)])", Choice("x", [(1,), (2,)])),
    ],
)
def test_without_a_condition_one_domain_holds_all(first: str, second: str, parameter: Any) -> None:
    discovery = discover(lambda hp: [eval(code, {"hp": hp}) for code in (first, second)])
    domain = discovery.space["x"].domain()
    assert domain == parameter.domain()
    assert "'x' is declared with several domains" in discovery.notes[0]


def test_bounds_that_follow_from_other_values_are_as_wide_as_they_get() -> None:
    def build(hp: Any) -> None:
        units = hp.Int("units_0", 32, 512, step=32)
        for i in range(1, hp.Int("layers", 1, 3)):
            units = hp.Int(f"units_{i}", 16, min(units, 256), step=16)

    discovery = discover(build)
    for name, needed in (("units_1", (2, 3)), ("units_2", (3,))):
        assert discovery.space[name].domain() == Int(name, 16, 256, step=16).domain()
        assert discovery.space[name].when == {"layers": needed}


def test_what_is_declared_beside_a_space_follows_it() -> None:
    space = SearchSpace(
        Float("learning_rate", 1e-4, 1.0, scale="log"), Choice("optimizer", ["adam", "sgd"])
    )

    def build(hp: Any) -> None:
        assert hp.Float("learning_rate", 7.0, 8.0) <= 1
        if hp["optimizer"] == "sgd":
            hp.Boolean("nesterov")
            hp.Int("window", 1, 9)
        else:
            hp.Int("window", 1, 5)

    assert discover(build, space=space).space.parameters == (
        *space,
        Int("window when optimizer is adam", 1, 5, default=1, when={"optimizer": "adam"}),
        Boolean("nesterov", when={"optimizer": "sgd"}),
        Int("window when optimizer is sgd", 1, 9, default=1, when={"optimizer": "sgd"}),
    )


# Builders that hypothesis makes.


class Declare(NamedTuple):
    """A declaration of one of four kinds; `size` says how many values it has."""

    name: str
    kind: str
    size: int


class Branch(NamedTuple):
    """Statements that run only if each of the names has one of its values, by index."""

    tests: tuple[tuple[str, tuple[int, ...]], ...]
    body: tuple[Any, ...]


class Loop(NamedTuple):
    """A loop of as many declarations as an Int says."""

    name: str
    size: int


KINDS = {
    "Boolean": lambda hp, name, size: hp.Boolean(name),
    "Choice": lambda hp, name, size: hp.Choice(name, [f"v{i}" for i in range(size)]),
    "Int": lambda hp, name, size: hp.Int(name, 0, size - 1),
    "suggest": lambda hp, name, size: hp.suggest_categorical(name, list(range(size))),
}


def run(hp: Any, statements: tuple[Any, ...], parents: dict[str, int]) -> None:
    for part in statements:
        if isinstance(part, Declare):
            value = KINDS[part.kind](hp, part.name, part.size)
            parents[part.name] = int(value.strip("v")) if isinstance(value, str) else int(value)
        elif isinstance(part, Loop):
            for index in range(hp.Int(part.name, 0, part.size)):
                hp.Float(f"{part.name}_{index}", 0.0, 1.0, step=1.0)
        elif all(parents.get(name) in values for name, values in part.tests):
            run(hp, part.body, parents)


@st.composite
def programs(draw: st.DrawFn, most_tests: int) -> tuple[Any, ...]:
    """Statements nested up to three deep; a branch tests names declared around or before it.

    Every body begins with a declaration, and only an outermost branch tests two names: no more
    than two parameters have to have some value at once before something new shows.
    """
    counter = itertools.count()

    def test_of(declare: Declare) -> tuple[str, tuple[int, ...]]:
        values = st.sets(st.integers(0, declare.size - 1), min_size=1, max_size=declare.size - 1)
        return declare.name, tuple(sorted(draw(values)))

    def statements(depth: int, visible: list[Declare]) -> tuple[Any, ...]:
        visible, body = list(visible), list[Any]()

        def declare(kind: str, size: int) -> None:
            body.append(Declare(f"p{next(counter)}", kind, size))
            visible.append(body[-1])

        if depth:
            declare(draw(st.sampled_from(list(KINDS))), 2)
        for _ in range(draw(st.integers(1, 3 if depth < 2 else 1))):
            kind = draw(st.sampled_from([*KINDS, "branch", "loop"]))
            if kind == "loop":
                body.append(Loop(f"n{next(counter)}", draw(st.integers(1, 3))))
            elif kind == "branch" and visible and depth < 3:
                most = 1 if depth else most_tests
                names = st.lists(st.sampled_from(visible), min_size=1, max_size=most, unique=True)
                tests = tuple(map(test_of, draw(names)))
                body.append(Branch(tests, statements(depth + 1, visible)))
            elif kind != "branch":
                declare(kind, 2 if kind == "Boolean" else draw(st.integers(2, 3)))
        return tuple(body)

    first = Declare("first", draw(st.sampled_from(["Boolean", "suggest"])), 2)
    return first, *statements(0, [first])


@PROPERTY
@given(programs(most_tests=1))
def test_conditions_on_one_parent_at_a_time_are_found_exactly(program: tuple[Any, ...]) -> None:
    discovery = discover(lambda hp: run(hp, program, {}))
    assert (discovery.complete, discovery.notes) == (True, ())
    for values in everywhere(discovery.space):
        hp = Hyperparameters(discovery.space, values)
        run(hp, program, {})
        assert (hp.defaulted, hp.read) == ((), set(values))


@PROPERTY
@given(programs(most_tests=2))
def test_what_needs_two_parents_is_found_too_and_always_the_same(program: tuple[Any, ...]) -> None:
    discovery = discover(lambda hp: run(hp, program, {}))
    assert discovery.complete
    for values in everywhere(discovery.space):
        hp = Hyperparameters(discovery.space, values)
        run(hp, program, {})
        assert hp.defaulted == ()
    again = discover(lambda hp: run(hp, program, {}))
    assert discovery == again and discovery.space.names == again.space.names


@settings(PROPERTY, max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["p", "q"]),
            st.sets(st.integers(0, 2), min_size=1, max_size=2),
            st.sampled_from(["a", "b"]),
            st.integers(2, 9),
        ),
        max_size=6,
    )
)
def test_one_name_with_domains_by_branch_is_read_within_its_domain(
    branches: list[tuple[str, set[int], str, int]],
) -> None:
    def build(hp: Any) -> dict[str, tuple[int, int]]:
        read: dict[str, tuple[int, int]] = {}
        parents = {"p": hp.Choice("p", [0, 1, 2]), "q": hp.Choice("q", [0, 1, 2])}
        for parent, values, suffix, high in branches:
            if parents[parent] in values:
                name = parent + suffix
                read.setdefault(name, (hp.Int(name, 0, high), high))
                assert hp.Int(name, 0, high) == read[name][0] == hp[name]
        return read

    discovery = discover(build)
    assert discovery.complete
    merged = {note.split("'")[1] for note in discovery.notes}
    for values in everywhere(discovery.space):
        hp = Hyperparameters(discovery.space, values)
        for name, (value, high) in build(hp).items():
            assert name in merged or value <= high
        assert hp.defaulted == ()
