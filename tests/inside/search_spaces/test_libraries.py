"""How Optuna and Keras Tuner get each kind of parameter, and when they are loaded."""

import re
import sys
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
from user_commands import run

from kerastudy import Boolean, Choice, Fixed, Float, Int, SearchSpace
from search_spaces import KerasTunerSpace, OptunaSpace, Parameter, SearchSpaceError

optuna.logging.set_verbosity(optuna.logging.ERROR)

INDEX, REVERSED = "x (index)", "x (reversed)"
MIXED = CategoricalDistribution(("1", "1.0", "true", '"1"', "null"))


@pytest.mark.parametrize(
    ("parameter", "value", "name", "distribution", "stored"),
    [
        (Float("x", 1e-4, 1, scale="log"), 0.01, "x", FloatDistribution(1e-4, 1, log=True), 0.01),
        # Optuna's samplers compute low + index * step, and so does the encoding.
        (Float("x", 0, 0.5, step=0.1), 0.3, "x", FloatDistribution(0, 0.5, step=0.1), 0.1 + 0.2),
        # Optuna would move the high of this one, and refuse values of the next two.
        (Float("x", 0, 1, step=1 / 3), 1.0, INDEX, IntDistribution(0, 3), 3),
        (Float("x", 1e7, 1e7 + 1, step=0.01), 1e7, INDEX, IntDistribution(0, 100), 0),
        (Float("x", 1, 1000, scale="log", step=10), 100.0, INDEX, IntDistribution(0, 3), 2),
        (Float("x", 0.25, 0.75, scale="reverse_log"), 0.375, REVERSED,
         FloatDistribution(0.25, 0.75, log=True), 0.625),
        (Int("x", 1, 9, step=4), 5, "x", IntDistribution(1, 9, step=4), 5),
        (Int("x", 1, 9, scale="log"), 4, "x", IntDistribution(1, 9, log=True), 4),
        (Int("x", 16, 128, scale="log", step=2), 64, INDEX, IntDistribution(0, 3), 2),
        (Int("x", 1, 9, scale="reverse_log"), 7, REVERSED, IntDistribution(1, 9, log=True), 3),
        (Boolean("x"), True, "x", CategoricalDistribution((False, True)), True),
        (Choice("x", ["a", None, 2]), None, "x", CategoricalDistribution(("a", None, 2)), None),
        (Choice("x", [1, 1.0, True, "1", None]), 1.0, "x", MIXED, "1.0"),
    ],
)  # fmt: skip
def test_optuna_gets_distributions(
    parameter: Parameter, value: Any, name: str, distribution: BaseDistribution, stored: Any
) -> None:
    translated = OptunaSpace(SearchSpace(parameter))
    params, distributions = translated.encode({"x": value})
    assert translated.distributions == distributions == {name: distribution}
    assert repr(params) == repr({name: stored})
    trial = optuna.trial.FixedTrial(params)
    assert repr(translated.suggest(trial)) == repr({"x": value})


@pytest.mark.parametrize(
    ("parameter", "value", "name", "kind", "stored"),
    [
        (Float("x", 1e-4, 1, scale="log"), 0.01, "x", "Float", 0.01),
        (Float("x", 0.1, 0.9, scale="reverse_log"), 0.3, "x", "Float", 0.3),
        # Keras Tuner would never propose 0.5 for the first.
        (Float("x", 0, 0.5, step=0.1), 0.5, INDEX, "Int", 5),
        (Float("x", 1, 1000, scale="log", step=10), 100.0, INDEX, "Int", 2),
        (Int("x", -3, 9, step=4), 5, "x", "Int", 5),
        (Int("x", 1, 9, scale="log"), 9, "x", "Int", 9),
        (Int("x", 1, 9, scale="reverse_log"), 9, "x", "Int", 9),
        (Int("x", 16, 128, scale="log", step=2), 64, INDEX, "Int", 2),
        (Boolean("x"), True, "x", "Boolean", True),
        (Choice("x", ["a", "b"]), "b", "x", "Choice", "b"),
        (Choice("x", [0.5, 0.25]), 0.25, "x", "Choice", 0.25),
        # Keras Tuner would make 1 and 0 of the first, and refuse the other.
        (Choice("x", [True, False]), True, "x", "Choice", "true"),
        (Choice("x", [1, 1.0, True, "1", None]), 1.0, "x", "Choice", "1.0"),
    ],
)
def test_keras_tuner_gets_hyperparameters_that_reach_every_value_and_no_other(
    parameter: Parameter, value: Any, name: str, kind: str, stored: Any
) -> None:
    translated = KerasTunerSpace(SearchSpace(parameter))
    (hyperparameter,) = translated.hyperparameters().space
    assert (hyperparameter.name, type(hyperparameter).__name__) == (name, kind)
    assert repr(hyperparameter.default) == repr(translated.encode({"x": parameter.default})[name])
    assert repr(translated.encode({"x": value})) == repr({name: stored})
    # 1 included: the bounds of the acquisition function's search are closed.
    units = [index / 400 for index in range(401)]
    reached = [translated.decode({name: hyperparameter.prob_to_value(unit)})["x"] for unit in units]
    values = parameter.grid_values()
    if values is None:
        assert reached == pytest.approx([parameter.from_unit(unit) for unit in units], rel=1e-12)
    else:
        assert set(map(repr, reached)) == set(map(repr, values))


def test_no_library_gets_fixed_values_and_roundings_are_brought_back() -> None:
    space = SearchSpace(Fixed("loss", "mse"), Int("x", 1, 3), Fixed("y", 1, when={"x": 3}))
    values = {"loss": "mse", "x": 3, "y": 1}
    rounded = SearchSpace(Float("x", 0.1, 0.3))
    keras_tuners, optunas = KerasTunerSpace(space), OptunaSpace(space)
    assert keras_tuners.encode(values) == optunas.encode(values)[0] == {"x": 3}
    assert keras_tuners.decode({"x": 3}) == values
    assert keras_tuners.decode({"x": 2}) == {"loss": "mse", "x": 2}
    assert KerasTunerSpace(rounded).decode({"x": 0.1 + 0.2}) == {"x": 0.3}
    assert optunas.suggest(optuna.trial.FixedTrial({"x": 3})) == values
    assert optunas.suggest(optuna.trial.FixedTrial({"x": 2})) == {"loss": "mse", "x": 2}


def test_types_survive_a_database(tmp_path: Path) -> None:
    space = SearchSpace(
        Choice("mixed", [1, 1.0, True, None, "1"]),
        Choice("plain", [None, 2, 0.5, "a"]),
        Float("stepped", 0, 1, step=0.1),
        Float("reversed", 0.1, 0.9, scale="reverse_log"),
    )
    translated = OptunaSpace(space)
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    study = optuna.create_study(storage=storage, study_name="s")
    suggested = [translated.suggest(study.ask()) for _ in range(4)]
    trials = optuna.load_study(storage=storage, study_name="s").trials
    again = [translated.suggest(optuna.trial.FixedTrial(trial.params)) for trial in trials]
    assert repr(again) == repr(suggested)


def test_names_that_cannot_be_kept_are_refused() -> None:
    with pytest.raises(SearchSpaceError, match=r"'tuner/epochs' can't.*optuna:tpe"):
        KerasTunerSpace(SearchSpace(Int("tuner/epochs", 1, 3)))
    with pytest.raises(SearchSpaceError, match=re.escape("'x' under the name 'x (index)'")):
        OptunaSpace(SearchSpace(Float("x", 1, 8, scale="log", step=2), Float(INDEX, 0, 1)))


LOADING = """
import sys
import search_spaces as s

def loaded():
    heavy = "optuna numpy tensorflow keras mlflow keras_tuner sqlalchemy ray".split()
    return {name for name in heavy if name in sys.modules}

space = s.SearchSpace(s.l2(), s.optimizer())
space.defaults(), s.KerasTunerSpace(space)
translated = s.OptunaSpace(space)
assert not loaded(), loaded()
translated.distributions
assert loaded() <= {"optuna", "numpy", "sqlalchemy"}, loaded()
"""


def test_libraries_are_loaded_when_they_are_needed(tmp_path: Path) -> None:
    run(tmp_path, [sys.executable, "-c", LOADING])
