"""How each kind of parameter is put to Optuna, and what is refused when read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search_spaces import (
    Boolean,
    Choice,
    Fixed,
    Float,
    Int,
    OptunaSpace,
    Parameter,
    SearchSpace,
    SearchSpaceError,
)

optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.mark.parametrize(
    ("parameter", "name", "distribution", "value", "stored"),
    [
        (Float("x", 0, 1), "x", FloatDistribution(0, 1), 0.25, 0.25),
        (
            Float("x", 1e-4, 1, scale="log"),
            "x",
            FloatDistribution(1e-4, 1, log=True),
            0.01,
            0.01,
        ),
        # Optuna's samplers compute low + index * step, and so does what is encoded.
        (
            Float("x", 0, 0.5, step=0.1),
            "x",
            FloatDistribution(0, 0.5, step=0.1),
            0.3,
            0.30000000000000004,
        ),
        # Optuna would move the high of this one, and refuse values of the next two.
        (Float("x", 0, 1, step=1 / 3), "x (index)", IntDistribution(0, 3), 1.0, 3),
        (Float("x", 1e7, 1e7 + 1, step=0.01), "x (index)", IntDistribution(0, 100), 1e7, 0),
        (Float("x", 1, 1000, scale="log", step=10), "x (index)", IntDistribution(0, 3), 100.0, 2),
        (
            Float("x", 0.25, 0.75, scale="reverse_log"),
            "x (reversed)",
            FloatDistribution(0.25, 0.75, log=True),
            0.375,
            0.625,
        ),
        (Int("x", 1, 9), "x", IntDistribution(1, 9), 4, 4),
        (Int("x", 1, 9, step=4), "x", IntDistribution(1, 9, step=4), 5, 5),
        (Int("x", 1, 9, scale="log"), "x", IntDistribution(1, 9, log=True), 4, 4),
        (Int("x", 16, 128, scale="log", step=2), "x (index)", IntDistribution(0, 3), 64, 2),
        (
            Int("x", 1, 9, scale="reverse_log"),
            "x (reversed)",
            IntDistribution(1, 9, log=True),
            7,
            3,
        ),
        (Boolean("x"), "x", CategoricalDistribution((False, True)), True, True),
        (
            Choice("x", ["a", None, 2, 0.5]),
            "x",
            CategoricalDistribution(("a", None, 2, 0.5)),
            None,
            None,
        ),
        (
            Choice("x", [1, 1.0, True, "1", None]),
            "x",
            CategoricalDistribution(("1", "1.0", "true", '"1"', "null")),
            1.0,
            "1.0",
        ),
        (Choice("x", [0, False]), "x", CategoricalDistribution(("0", "false")), False, "false"),
    ],
)
def test_encodings(
    parameter: Parameter, name: str, distribution: BaseDistribution, value: Any, stored: Any
) -> None:
    translated = OptunaSpace(SearchSpace(parameter))
    assert translated.distributions == {name: distribution}
    params, distributions = translated.encode({"x": value})
    assert distributions == {name: distribution}
    assert repr(params) == repr({name: stored})
    assert repr(translated.decode(params)) == repr({"x": value})
    trial = optuna.trial.FixedTrial(params)
    assert repr(translated.suggest(trial)) == repr({"x": value})
    assert trial.distributions == distributions


def test_fixed_values_are_not_put_to_optuna() -> None:
    space = SearchSpace(Fixed("loss", "mse"), Int("x", 1, 3), Fixed("y", 1, when={"x": 3}))
    translated = OptunaSpace(space)
    assert set(translated.distributions) == {"x"}
    assert translated.encode({"loss": "mse", "x": 3, "y": 1})[0] == {"x": 3}
    assert translated.decode({"x": 3}) == {"loss": "mse", "x": 3, "y": 1}
    assert translated.decode({"x": 2}) == {"loss": "mse", "x": 2}
    assert translated.space is space


def test_children_are_suggested_only_when_active() -> None:
    space = SearchSpace(
        Float("momentum", 0.01, 0.99, scale="reverse_log", when={"optimizer": "sgd"}),
        Choice("optimizer", ["adam", "sgd"]),
    )
    translated = OptunaSpace(space)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    seen = set()
    for _ in range(20):
        trial = study.ask()
        values = translated.suggest(trial)
        seen.add(tuple(values))
        sgd = values["optimizer"] == "sgd"
        assert ("momentum (reversed)" in trial.params) is sgd
        assert list(values) == (["momentum", "optimizer"] if sgd else ["optimizer"])
    assert len(seen) == 2


def test_a_reversed_float_is_mostly_near_its_top() -> None:
    translated = OptunaSpace(SearchSpace(Float("x", 0.01, 0.99, scale="reverse_log")))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = [translated.suggest(study.ask())["x"] for _ in range(200)]
    assert sum(value > 0.9 for value in found) == pytest.approx(100, abs=25)


def test_types_survive_a_database(tmp_path: Path) -> None:
    space = SearchSpace(
        Choice("mixed", [1, 1.0, True, None, "1"]),
        Choice("plain", [None, 2, 0.5, "a"]),
        Boolean("flag"),
        Float("stepped", 0, 1, step=0.1),
        Float("reversed", 0.1, 0.9, scale="reverse_log"),
        Int("doubled", 16, 512, scale="log", step=2),
    )
    translated = OptunaSpace(space)
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(storage=storage, study_name="s", sampler=sampler)
    told = []
    for _ in range(8):
        trial = study.ask()
        told.append(translated.suggest(trial))
        study.tell(trial, 0.0)
    stored = optuna.load_study(storage=storage, study_name="s").trials
    assert [repr(translated.decode(kept.params)) for kept in stored] == [repr(v) for v in told]
    for kept, values in zip(stored, told, strict=True):
        assert translated.encode(values)[1] == kept.distributions


def test_known_trials_are_known_to_optuna() -> None:
    space = SearchSpace(Float("x", 0, 1, step=0.1), Choice("y", [1, True]))
    translated = OptunaSpace(space)
    params, distributions = translated.encode({"x": 0.7, "y": True})
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=1))
    study.add_trial(
        optuna.trial.create_trial(params=params, distributions=distributions, value=1.0)
    )
    assert translated.decode(study.best_params) == {"x": 0.7, "y": True}
    space.validate(translated.suggest(study.ask()))


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, ["'optimizer'", "{}"]),
        ({"optimizer": "sgd"}, ["'momentum'", "active"]),
        (
            {
                "optimizer": "adam",
                "momentum": 0.5,
                "units (index)": 1,
                "dropout": 0.2,
                "decay (reversed)": 0.5,
            },
            ["'momentum'", "0.5", "'optimizer' is 'sgd'"],
        ),
        ({"optimizer": "adma"}, ["'adma'", "another space"]),
        ({"optimizer": "adam", "unts (index)": 1}, ["'unts (index)'", "'units (index)'"]),
        ({"optimizer": "sgd", "momentum": 1.5}, ["1.5", "another space"]),
        ({"optimizer": "sgd", "momentum": "0.5"}, ["'0.5'"]),
        ({"optimizer": "sgd", "momentum": float("nan")}, ["nan"]),
        ({"optimizer": "sgd", "momentum": 0.5, "units (index)": 9}, ["is 9"]),
        ({"optimizer": "sgd", "momentum": 0.5, "units (index)": 1.5}, ["1.5"]),
        (
            {"optimizer": "sgd", "momentum": 0.5, "units (index)": 1, "dropout": 0.25},
            ["0.25", "'dropout'"],
        ),
        (
            {
                "optimizer": "sgd",
                "momentum": 0.5,
                "units (index)": 1,
                "dropout": 0.2,
                "decay (reversed)": 7,
            },
            ["7", "'decay (reversed)'"],
        ),
    ],
)
def test_params_of_another_space_are_refused(params: dict[str, Any], said: list[str]) -> None:
    space = SearchSpace(
        Choice("optimizer", ["adam", "sgd"]),
        Float("momentum", 0, 1, when={"optimizer": "sgd"}),
        Int("units", 16, 512, scale="log", step=2),
        Float("dropout", 0, 0.5, step=0.1),
        Float("decay", 0.1, 1, scale="reverse_log"),
    )
    with pytest.raises(SearchSpaceError) as raised:
        OptunaSpace(space).decode(params)
    for words in said:
        assert words in str(raised.value)


def test_values_outside_are_not_encoded() -> None:
    with pytest.raises(SearchSpaceError, match=r"1\.5"):
        OptunaSpace(SearchSpace(Float("x", 0, 1))).encode({"x": 1.5})


def test_rounding_beyond_the_range_is_brought_back() -> None:
    translated = OptunaSpace(SearchSpace(Float("x", 0.1, 0.3)))
    assert translated.decode({"x": 0.1 + 0.2}) == {"x": 0.3}


def test_a_name_that_an_encoding_needs_is_refused() -> None:
    space = SearchSpace(Float("x", 0.1, 1, scale="reverse_log"), Float("x (reversed)", 0, 1))
    with pytest.raises(SearchSpaceError, match=r"'x' under the name 'x \(reversed\)'"):
        OptunaSpace(space)
