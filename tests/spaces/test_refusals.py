"""What spaces and parameters refuse: each argument by its declaration, and a table of the rest."""

import inspect
import math
import pickle
import re
from collections.abc import Iterator
from typing import Any

import pytest

import kerastudy as ks

GOOD: dict[Any, dict[str, Any]] = {
    ks.Float: {"low": 0.5, "high": 1.0},
    ks.Int: {"low": 1, "high": 9},
    ks.Choice: {"values": ["a", "b"]},
    ks.Boolean: {},
    ks.Fixed: {"value": 1},
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


def refusal(code: str, **names: Any) -> ks.errors.SearchSpaceError:
    """Returns the error of an expression, which may use exports of `kerastudy`, and `names`."""
    with pytest.raises(ks.errors.SearchSpaceError) as raised:
        eval(code, {**{name: getattr(ks, name) for name in ks.__all__}, **names})
    return raised.value


def wrong_arguments() -> Iterator[tuple[Any, str, Any]]:
    """Yields wrong values of each argument that a kind of parameter takes."""
    for kind in GOOD:
        for argument in inspect.signature(kind).parameters:
            values = WRONG.get(argument, [])
            if argument in ("low", "high", "step"):
                values = NO_INTS if kind is ks.Int else NO_NUMBERS
            yield from ((kind, argument, value) for value in values)


@pytest.mark.parametrize(("kind", "argument", "value"), list(wrong_arguments()))
def test_each_argument_says_what_it_must_be(kind: Any, argument: str, value: Any) -> None:
    with pytest.raises(ks.errors.SearchSpaceError) as raised:
        kind(**{"name": "x", **GOOD[kind], argument: value})
    error = pickle.loads(pickle.dumps(raised.value))
    assert argument.removesuffix("s") in error.setting
    assert str(error).startswith(f"{error.setting} must be {error.expected}. Received: ")
    assert len(error.received) <= 200


SPACE = ks.SearchSpace(
    ks.Float("momentum", 0.1, 0.9, when={"optimizer": ["sgd", "rmsprop"]}, otherwise=0.0),
    ks.Choice("optimizer", ["adam", "sgd", "rmsprop"]),
    ks.Boolean("nesterov", when={"optimizer": "sgd"}),
    ks.Float("lookahead", 0.0, 1.0, when={"nesterov": True, "depth": [3, 4]}, otherwise=-1.0),
    ks.Int("depth", 1, 4),
    ks.Float("rate", 1e-4, 1e-1, scale="log"),
    ks.Float("warmup", 0.0, 1.0, when={"rate": [1e-4, 0.001]}),
    ks.Fixed("loss", "mse"),
)
GRIDLESS = ks.SearchSpace(ks.Float("rate", 0, 1), ks.Int("units", 1, 4), ks.Float("decay", 0, 1))
CIRCLE = [
    *(ks.Boolean("free"), ks.Boolean("outside", when={"a": True})),
    *(ks.Boolean(name, when={parent: True}) for name, parent in ("ab", "bc", "ca")),
]

# Python, and a pattern of the message.
REFUSED = {
    # Hints
    'Float(" rate", 0, 1)': "Write 'rate'",
    'Float("x", 0, 1, scale="lgo")': "Did you mean 'log'",
    'Float("x", 0, 1, role="fixed")': r"Fixed\('x', value\)",
    'Float("x", 0, 1, when="sgd")': r"when=\{'optimizer': 'sgd'\}",
    # Ranges and steps
    'Float("x", 0.5, 0.1)': "'x': low must be below high, which is 0.1. Received: 0.5. Exch",
    'Int("x", 3, 3)': r"high must be above low. Received: 3.* declare it as Fixed\('x', 3\)",
    'Float("x", -1.7e308, 1.7e308)': "Narrow",
    'Float("x", 0, 1, scale="log")': "low must be above 0 on a log scale. Received: 0.0",
    'Int("x", -4, 4, scale="reverse_log")': "above 0 on a reverse_log scale. Received: -4",
    'Float("x", 1e-4, 1e-2, log=True)': "no argument 'log'.* Write scale='log' in its place",
    'Float("x", 1e-4, 1e-2, sampling="log")': "Write scale='log' in its place",
    'Int("x", min_value=1, max_value=3)': "no argument 'min_value'.* Write low",
    "learning_rate(log=True)": "Write scale='log'",
    "dropout(0, 1.0)": "below 1, at which a layer drops all of its inputs. Received: 1.0",
    'Float("x", 0, 1, step=-0.1)': "step must be above 0. Received: -0.1",
    'Float("x", 0, 1, step=0.3)': "leads from 0.0 to 1.0. Received: 0.3.* fits is 0.9",
    'Float("x", 0, 1, step=1e-9)': "at most 1,000,000 values",
    'Float("x", 1e16, 1e16 + 8, step=0.5)': "not lost in the rounding",
    'Float("x", 1e-4, 1, scale="log", step=0.1)': "above 1 on a log scale, as the ratio",
    'Float("x", 0.1, 1, scale="reverse_log", step=2)': "left out on a reverse_log scale",
    'Int("x", 0, 11, step=3)': "fits is 12",
    'Int("x", 16, 500, scale="log", step=2)': "to 500. .*fits is 512",
    # Values, defaults, otherwise
    'Choice("x", [0.0, -0.0])': "0.0 is listed twice",
    'Choice("x", [(50,), "(50,)"])': "twice",
    'Float("x", 0, 1, default=2)': "default must be from 0.0 to 1.0. Received: 2.",
    'Float("x", 0, 1, step=0.1, default=0.25)': "0.25. The nearest is 0.[23]",
    'Int("x", 0, 9, default=3.0)': "3.0",
    'Choice("x", ["adam", "sgd"], default="adma")': "'adma'. Did you mean 'adam'",
    'Choice("x", ["a"], default=None)': "default must be one of 'a'. Received: None",
    'Float("x", 0, 1, otherwise=0.0)': "otherwise=0.0 .*always active",
    'Float("x", 0, 1, when={"a": 1}, otherwise=[0])': r"otherwise must be .*\[0\]",
    # Values outside a domain, and coordinates
    'Float("x", 0, 1).validate(True)': "must be a number. Received: True",
    'Float("x", 0, 0.5, step=0.1).to_unit(0.1 + 0.2)': "0.30000000000000004. The nearest is 0.3",
    'Float("x", 1, 100, scale="log", step=10).validate(20.0)': "times 10.0.* nearest is 10.0",
    'Int("x", 1, 9).canonical(3.0)': "must be an int. Received: 3.0",
    'Choice("x", [1, 2]).validate(True)': "one of 1, 2. Received: True",
    'Boolean("x").validate("True")': "'True'",
    'Fixed("x", None).validate(0)': "one of None. Received: 0",
    'Float("x", 0, 1).from_unit(1.1)': "from 0 to 1. Received: 1.1",
    'Choice("x", ["a"]).from_unit(True)': "Received: True",
    # Spaces
    "SearchSpace()": "empty. Give it a parameter",
    'SearchSpace(Float("x", 0, 1), Int("x", 1, 2))': "'x' is declared twice, as Float.* as Int",
    'SearchSpace(Float("x", 0, 1, when={"y": 1}))': "'y', which is not in the space",
    'SearchSpace(Float("x", 0, 1, when={"y": "sdg"}), Choice("y", ["sgd"]))': "Did you mean 'sgd'",
    'SearchSpace(Float("x", 0, 1, when={"x": 0.5}))': "circle.*'x' depends on 'x'",
    "SearchSpace(*CIRCLE)": "active: 'a' depends on 'b' depends on 'c' depends on 'a'. Remove",
    'SearchSpace(Float("x", 0, 1), [None])': "takes parameters .*None",
    'SPACE["dept"]': "'dept' is not in the search space. Did you mean 'depth'",
    'SPACE.from_unit({"momentum": 0.5})': "a coordinate for each of 'momentum', 'optim",
    "GRIDLESS.grid()": "there is no step for 'rate' and 'decay'",
    # Altered spaces
    'SPACE.only("optimiser")': "'optimiser'.*Did you mean 'optimizer'",
    'SPACE.only("loss")': r"'loss' can't vary: it is Fixed\('loss', 'mse'\).* replace",
    "SPACE.only()": "name of a parameter",
    'SPACE.only("momentum")': r"'momentum' could never be active.* Fixed\('optimizer', 'adam'\)",
    'SPACE.only("depth", "lookahead")': "'nesterov' is never active",
    'SPACE.fix(rate="0.1")': "Float 'rate' takes a number. Received: '0.1'",
    'SPACE.fix(rate=float("inf"))': "'rate' at must be finite. Received: inf",
    "SPACE.fix(depth=2.0)": "Int 'depth' takes an int. Received: 2.0",
    "SPACE.fix(optimizer=None)": "Choice 'optimizer' takes a text",
    "SPACE.fix(dept=1)": "Did you mean 'depth'",
    'SPACE.fix(optimizer="nadam", nesterov=True)': "'nesterov' could never .*'nadam'",
    'SPACE.replace(Float("rte", 0, 1))': "Did you mean 'rate'",
    'SPACE.replace(Choice("optimizer", ["adam"]), Float("momentum", 0, 1))': "'momentum' could",
    'SPACE.replace(Float("rate", 0, 1, when={"optimizer": "sdg"}))': "Did you mean 'sgd'",
    'SPACE.replace(Float("rate", 0, 1, when={"warmup": 0.5}))': "circle",
    'SPACE.with_parameters(Float("x", 0, 1, when={"optimizer": "lion"}))': "'x'.*'lion'",
    # Ready-made parameters
    'activation(["rellu"])': "'rellu' is no Keras activation .*Did you mean 'relu'.* builder",
    'activation("relu")': r"Write \['relu'\]",
    "activation([None])": "None",
    'initializer(["he_norm"])': "'he_normal'",
    "initializer([])": "at least one",
    'optimizer(["lamb"])': "'lamb'.*builder",
    'optimizer(["adam"], momentum=True)': r"none of \['adam'\] has one",
    "batch_size([32, 0])": "Received: 0",
    "dropout(0.0, 1.5)": "A dropout rate must be from 0.0 to 1.0. Received: 1.5",
    'dropout("0", 0.5)': "finite number. Received: '0'",
    "epochs(0, 5)": "must be 1 or more",
    "units(0, 5)": "low must be above 0",
    'learning_rate("a", 0.1)': "Received: 'a'",
    # A trial's values, and declarations in a builder
    'Hyperparameters(SPACE, {**SPACE.defaults(), "optimizer": "adma"})': "Did you mean 'adam'",
    'HP["optimiser"]': "'optimiser' is not in the search space. Did you mean 'optimizer'",
    'HP["nesterov"]': "'nesterov' is not active .*'optimizer' is 'sgd'.*, which returns None",
    'HP.Int("x", 1, 2, parent_name="optimiser", parent_values=["sgd"])': "must be declared before",
    'HP.Boolean("optimizer", parent_name="optimizer", parent_values=["adam"])': "on itself",
    'HP.Int("x", 1, 4, default=9)': "from 1 to 4. Received: 9",
    'HP.Float("x", 0, 1, default="a")': "from 0 to 1. Received: 'a'",
    'HP.Int("x", 1.5, 4)': "low must be a whole number .* Received: 1.5",
    'HP.Int("x", 4, 1)': "low must be below high",
    'HP.Float("x", 0.1, 1, 0.5, "log")': "above 1 on a log scale",
    'HP.Float("x", 0, 1, sampling="lin")': "Did you mean 'linear'",
    'HP.Float("x", 0, float("inf"))': "finite",
    'HP.Choice("x", [(3, {3})])': "an object of type set",
    'HP.Choice("x", [1, 2], default=3)': "one of 1, 2. Received: 3",
    'HP.Choice("x", "relu")': "must be a list or a tuple",
    'HP.Boolean("x", "yes")': "Received: 'yes'",
    'HP.suggest_categorical("x", [len])': "build the object from it in the model",
    'HP.suggest_float("x", 1, 2, step=0.5, log=True)': "either step or log",
    'HP.suggest_int("x", 1, 9, step=0)': "step must be above 0",
}


@pytest.mark.parametrize(("code", "message"), REFUSED.items(), ids=lambda code: code[:60])
def test_python_is_refused(code: str, message: str) -> None:
    hp = ks.Hyperparameters(SPACE, SPACE.defaults())
    error = refusal(code, SPACE=SPACE, GRIDLESS=GRIDLESS, CIRCLE=CIRCLE, HP=hp)
    assert re.search(message, str(error)), error
    assert ("Received: " in str(error)) is bool(error.received)


def test_a_space_of_another_version_is_refused() -> None:
    with pytest.raises(ks.errors.SearchSpaceError, match=r"version must be 1\. Received: 2"):
        ks.SearchSpace.from_dict({**SPACE.to_dict(), "version": 2})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"optimizer": "adam", "momentum": None}, ""),
        ({"loss": None}, "Fixed 'loss' is active and has no value. Give one."),
        ({"momentun": 0.5}, "'momentun' is not in the search space. Did you mean 'momentum'?"),
        ({"momentum": 5}, "Float 'momentum' must be from 0.1 to 0.9. Received: 5."),
        ({"optimizer": "adam"}, "'momentum' is active when 'optimizer' is 'rmsprop' or 'sgd'"),
    ],
)
def test_values_are_in_the_space_or_the_reason_is_said(
    changes: dict[str, Any], reason: str
) -> None:
    values = {"optimizer": "rmsprop", "momentum": 0.5, "depth": 2, "rate": 0.01, "loss": "mse"}
    values = {name: value for name, value in (values | changes).items() if value is not None}
    assert SPACE.contains(values) is (reason == "")
    for use in (SPACE.validate, SPACE.resolve, SPACE.to_unit) if reason else ():
        with pytest.raises(ks.errors.SearchSpaceError, match=re.escape(reason)):
            use(values)


def test_errors_are_also_of_the_kind_that_python_would_raise() -> None:
    hp = ks.Hyperparameters(SPACE, SPACE.defaults())
    assert isinstance(refusal('HP["nesterov"]', HP=hp), KeyError)
    with pytest.raises(TypeError):
        hp["loss"] = "mae"  # type: ignore[index]
    with pytest.raises(TypeError):
        SPACE["momentum"].when["x"] = (0.0,)  # type: ignore[index]
    with pytest.raises(AttributeError):
        SPACE["momentum"].default = 0.5
    with pytest.raises(AttributeError):
        del SPACE["momentum"].default
