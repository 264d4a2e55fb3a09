"""Settings of engines and pruners, by name and as objects."""

import inspect
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
import optuna
import pytest
from conformance.engine import SMALL
from keras_tuner import oracles
from optuna import pruners, samplers
from optuna.samplers import CmaEsSampler, TPESampler

import kerastudy as ks
from search_spaces import EngineError, OptunaSpace
from studies.definition import HYPERBAND, check_engine, check_pruner, name_of_object, split_options
from studies.engines import BAYESIAN, make_pruner, make_sampler, oracle_settings, sampler_settings

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
OBJECTIVE = keras_tuner.Objective("val_loss", "min")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("keras-tuner", "keras-tuner:bayesian"),
        ("Bayesian", "keras-tuner:bayesian"),
        ("hyperband", "keras-tuner:hyperband"),
        ("keras_tuner:Random", "keras-tuner:random"),
        # Names of both libraries are Optuna's.
        ("random", "optuna:random"),
        ("grid", "optuna:grid"),
        ("keras-tuner:grid", "optuna:grid"),
        ("TPE, n_startup_trials=3,group=True", "optuna:tpe,group=true,n_startup_trials=3"),
        (TPESampler(), "optuna:tpe"),
        (TPESampler, "optuna:tpe"),
        (TPESampler(n_startup_trials=3, group=True), "optuna:tpe,group=true,n_startup_trials=3"),
        (TPESampler(prior_weight=2.0), "optuna:tpe,prior_weight=2.0"),
        (CmaEsSampler(popsize=8), "optuna:cma-es,popsize=8"),
        (samplers.RandomSampler(), "optuna:random"),
        (samplers.QMCSampler(seed=3, scramble=True), "optuna:quasi-random"),
        (samplers.BruteForceSampler(), "optuna:grid"),
        (samplers.GridSampler({"x": [1, 2]}), "optuna:grid"),
        (samplers.GPSampler, "optuna:gp"),
        (
            oracles.BayesianOptimizationOracle(OBJECTIVE, num_initial_points=4),
            "keras-tuner:bayesian,num_initial_points=4",
        ),
        (
            oracles.HyperbandOracle(OBJECTIVE, max_epochs=9, factor=2),
            "keras-tuner:hyperband,factor=2",
        ),
        (keras_tuner.GridSearch, "optuna:grid"),
    ],
)
def test_an_engine_by_name_or_as_an_object_has_one_spelling(value: Any, name: str) -> None:
    spelled = value if isinstance(value, str) else name_of_object("engine", value, 9)
    assert check_engine(spelled) == name
    assert isinstance(value, str) or spelled == name


@pytest.mark.parametrize(
    ("what", "value", "message"),
    [
        ("engine", "tpe,n", "NAME=VALUE"),
        ("engine", "tpe,=3", "NAME=VALUE"),
        ("engine", "tpe,a=b/c", "must be a number, true, false, null or a word"),
        ("engine", "tpe,a=NaN", "must be finite"),
        ("engine", "keras-tuner:hyperbnd", "Did you mean 'keras-tuner:hyperband'"),
        ("engine", samplers.NSGAIISampler(), "one of TPESampler"),
        ("engine", TPESampler(gamma=lambda n: 1), "tpe,SETTING=VALUE'"),
        ("engine", CmaEsSampler(independent_sampler=TPESampler()), "cma-es,SETTING=VALUE'"),
        ("engine", oracles.HyperbandOracle(OBJECTIVE), "Give the study epochs=100"),
        ("engine", object(), "one of TPESampler"),
        ("pruner", pruners.WilcoxonPruner(), "one of MedianPruner"),
        ("pruner", pruners.PatientPruner(None, patience=1), "one of MedianPruner"),
    ],
)
def test_other_names_and_what_can_not_be_made_again_are_refused(
    what: str, value: Any, message: str
) -> None:
    with pytest.raises(EngineError, match=message):
        check_engine(value) if isinstance(value, str) else name_of_object(what, value, 9)


def test_settings_in_a_name_have_the_types_of_json() -> None:
    expected = ("a", {"b": 1, "c": 1.0, "d": None, "e": "ipop"})
    assert split_options("a,b=1,c=1.0,d=null,e=ipop") == expected


def test_the_settings_of_oracles_are_those_of_keras_tuner() -> None:
    kinds = {BAYESIAN: oracles.BayesianOptimizationOracle, HYPERBAND: oracles.HyperbandOracle}
    for engine, kind in kinds.items():
        own = set(inspect.signature(kind).parameters)
        shared = set(inspect.signature(oracles.RandomSearchOracle).parameters)
        decided = {"max_epochs", "hyperband_iterations"}
        assert set(oracle_settings(engine)) == own - shared - decided


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (pruners.MedianPruner(n_warmup_steps=3), "median,n_warmup_steps=3"),
        (pruners.PercentilePruner(10.0), "percentile,percentile=10.0"),
        (
            pruners.SuccessiveHalvingPruner(),
            "successive-halving,min_resource=auto,reduction_factor=4",
        ),
        (pruners.HyperbandPruner(max_resource=9), "hyperband,max_resource=9"),
        (pruners.ThresholdPruner(lower=0.2), "threshold,lower=0.2"),
    ],
)
def test_a_pruner_as_an_object_is_made_again_alike(value: Any, name: str) -> None:
    assert name_of_object("pruner", value, 9) == name
    again = make_pruner(check_pruner(name), 9)
    assert type(again) is type(value)
    assert vars(again) == vars(value)


def test_a_sampler_keeps_its_seed_and_its_settings() -> None:
    names = {name_of_object("engine", TPESampler(seed=seed), 9) for seed in (1, 1, 2)}
    assert len(names) == 2 and all("seed=" in name for name in names)
    for space in (SMALL, ks.SearchSpace(ks.l2())):
        engine = "optuna:tpe,multivariate=false,n_startup_trials=3"
        sampler: Any = make_sampler(engine, OptunaSpace(space), 1)
        assert (sampler._multivariate, sampler._n_startup_trials) == (False, 3)
    assert {"multivariate", "n_startup_trials", "group"} <= set(sampler_settings("optuna:tpe"))
    assert "x0" not in sampler_settings("optuna:cma-es")


def test_a_study_takes_objects() -> None:
    study = ks.Study(
        "objects",
        data=ks.datasets.digits(),
        build=print,
        engine=TPESampler(n_startup_trials=1),
        pruner=pruners.MedianPruner(n_warmup_steps=3),
    )
    assert study.engine == "optuna:tpe,n_startup_trials=1"
    assert study.pruner == "median,n_warmup_steps=3"


def test_the_values_of_a_grid_are_those_that_optuna_walks(tmp_path: Path) -> None:
    grid = {"x": [-3.0, 0.5], "n": [5, 2], "kind": ["b,c", "a"]}

    def objective(trial: Any) -> float:
        kind = trial.suggest_categorical("kind", ["a", "b,c", "d"])
        return trial.suggest_float("x", -9.0, 9.0) * trial.suggest_int("n", 1, 9) + len(kind)

    numbers = {**grid, "n": np.array([5, 2])}
    theirs = optuna.create_study(sampler=samplers.GridSampler(grid))
    theirs.optimize(objective)
    study = ks.Study("grid", objective_function=objective, engine=samplers.GridSampler(numbers))
    trials = study.launch(store=tmp_path / "store", progress=False).trials
    walked = [[{**t.params} for t in of] for of in (trials, theirs.trials)]
    assert len(trials) == 8
    assert all(params in walked[1] for params in walked[0])
    assert all(params in walked[0] for params in walked[1])
