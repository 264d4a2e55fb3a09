"""Optuna's scripts as people write them: each runs as it stands, and plain Keras agrees."""

import runpy
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import patch

import keras
import numpy as np
import optuna
import pytest
from pages import ROOT, write_files
from user_commands import kerastudy_here

import kerastudy as ks

SCRIPTS = Path(__file__).parent / "optuna_scripts"
QUIET = ("--executor", "in-process", "--no-report", "--verify", "off")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("my scripts")
    for script in SCRIPTS.glob("*.py"):
        shutil.copy(script, folder)
    write_files(ROOT / "docs" / "from_optuna.md", folder)
    pruner = ["--pruner", "threshold,lower=0.99,n_warmup_steps=1"]
    digits = ["digits_pruned.py", *pruner]
    for arguments in (digits, ["diabetes_folds.py:objective"], ["texture.py"]):
        kerastudy_here(folder, "launch", *arguments, "--trials", "1", *QUIET)
    return folder


def history(folder: Path, name: str) -> Any:
    return ks.read_study(name, store=folder / "kerastudy-store")


def test_plain_keras_and_optuna_return_the_same_values(folder: Path) -> None:
    """Optuna's own FixedTrial gives the values."""
    with (
        patch.object(optuna.Study, "optimize", lambda *arguments, **keywords: None),
        patch.object(optuna.Study, "best_params", {}),
    ):
        for name in ("diabetes_folds", "texture"):
            trial = history(folder, name).trials[-1]
            objective = runpy.run_path(str(folder / f"{name}.py"))["objective"]
            keras.utils.set_random_seed(trial.spec.seed)
            value = objective(optuna.trial.FixedTrial(dict(trial.params)))
            assert float(value) == trial.value, name


def test_trainings_of_folds_are_told_apart(folder: Path) -> None:
    study = history(folder, "diabetes_folds")
    (trial,) = study.trials
    assert study.description.objective.direction == "min"
    curve = study.curve(trial)
    assert sorted(curve) == [1, 2, 3]
    names = ["loss", "mae", "val_loss", "val_mae"]
    curve_names = {*names, *(f"fit_{fold}/{name}" for fold in (2, 3) for name in names)}
    assert curve_names <= set(curve[1])
    maes = ["val_mae", "fit_2/val_mae", "fit_3/val_mae"]
    best = [min(metrics[name] for metrics in curve.values()) for name in maes]
    assert trial.result.user_attrs == {"folds": best}
    assert [curve[step]["value"] for step in (1, 2, 3)] == [
        float(np.mean(best[:count])) for count in (1, 2, 3)
    ]
    assert "trains 3 models" in trial.result.unsaved
    assert trial.result.fits_epochs == 3 * trial.result.epochs and trial.epoch is None
    assert study.registered is None


def test_a_pruning_callback_ends_a_trial(folder: Path) -> None:
    study = history(folder, "digits_pruned")
    (trial,) = study.trials
    assert study.description.objective.direction == "max"
    assert (trial.state, trial.value, trial.result.epochs) == ("pruned", None, 2)
    assert all(epoch["value"] == epoch["val_accuracy"] for epoch in study.curve(trial).values())


def test_the_champion_has_the_weights_of_the_returned_value(folder: Path) -> None:
    """The value of the script is the best validation accuracy of its history."""
    best = history(folder, "texture").best
    rng = np.random.default_rng(0)
    x = rng.random((160, 8, 8, 1)).astype("float32")
    y = (x[:, ::2].mean(axis=(1, 2, 3)) > x[:, 1::2].mean(axis=(1, 2, 3))).astype("int32")
    model = ks.load_model("texture", store=folder / "kerastudy-store")
    predicted = model.predict(x[120:], verbose=0)[:, 0] > 0.5
    assert float(np.mean(predicted == y[120:])) == pytest.approx(best.value)


@pytest.mark.parametrize(
    "command",
    [
        "evaluate texture",
        "data texture.py",
        "evaluate diabetes_folds",
        "export texture --as script",
    ],
)
def test_what_needs_data_says_why_there_is_none(folder: Path, command: str) -> None:
    answer = kerastudy_here(folder, *command.split(), expect=None)
    assert answer.returncode in (1, 2)
    assert "objective_function" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_what_needs_a_model_says_that_there_are_several(folder: Path) -> None:
    np.save(folder / "x.npy", np.zeros((2, 10)))
    answer = kerastudy_here(folder, "predict", "diabetes_folds", "--input", "x.npy", expect=2)
    assert "the objective function trains 3 models" in answer.stderr
    output = kerastudy_here(folder, "show", "diabetes_folds").stdout
    assert "epoch 3" not in output and " 3/" not in output
