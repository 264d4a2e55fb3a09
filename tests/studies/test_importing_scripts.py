"""Scripts of Keras Tuner and Optuna become study files that search the same."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
from pathlib import Path
from typing import Any

import keras
import numpy as np
import optuna
import pytest
import tuner_scripts
from user_commands import as_json, kerastudy_here

import kerastudy as ks
from search_spaces import SearchSpace, discover
from studies.study import Study
from studies.user_code.loading import load_study
from studies.user_code.targets import resolve_target


def imported(folder: Path, text: str, *options: str, name: str = "tune") -> tuple[Any, str]:
    """Writes a script and imports it; returns the command's document and the study file's text."""
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    done = as_json(kerastudy_here(folder, "import", f"{name}.py", "--json", *options))
    assert (folder / f"{name}.py").read_text(encoding="utf-8") == text
    return done, Path(done["file"]).read_text(encoding="utf-8")


def study_of(document: Any) -> Study:
    with contextlib.redirect_stdout(io.StringIO()):
        study, _ = load_study(resolve_target(document["file"]))
    assert isinstance(study, Study)
    return study


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, str]:
    folder = tmp_path_factory.mktemp("a script")
    # An earlier search, which the script would overwrite.
    (folder / "my_dir" / "intro_to_kt").mkdir(parents=True)
    (folder / "my_dir" / "intro_to_kt" / "tuner0.json").write_text("{}")
    return folder, *imported(folder, tuner_scripts.GUIDE)


def test_a_script_runs_up_to_its_search(guide: tuple[Path, Any, str]) -> None:
    folder, document, _ = guide
    left = sorted(each.relative_to(folder).as_posix() for each in folder.rglob("*.*"))
    assert left == ["my_dir/intro_to_kt/tuner0.json", "tune.py", "tune_study.py"]
    assert document["study"] == "intro_to_kt"
    assert document["launch"].endswith("tune_study.py")


def test_the_study_file_keeps_the_scripts_text(guide: tuple[Path, Any, str]) -> None:
    script, text = tuner_scripts.GUIDE, guide[2]
    kept = script[script.index("def call_existing_code") : script.index("\n\nmodel = build")]
    assert kept.rstrip() in text
    assert "# The data: made images.\n" in text
    # The baseline, the prints and what follows the search are gone.
    for gone in ("model.fit", "print(", "tuner", "get_best", "import os", "TensorBoard("):
        assert gone not in text.replace("import keras_tuner as kt", "").replace("keras-tuner", "")
    assert max(map(len, text.splitlines())) <= 100


def test_the_study_has_the_scripts_settings(guide: tuple[Path, Any, str]) -> None:
    study = study_of(guide[1])
    assert (study.name, study.epochs, study.seed, study.batch_size) == ("intro_to_kt", 4, 3, 32)
    assert study.engine == "keras-tuner:hyperband,factor=2"
    # Of brackets 4+2+1, 3+2 and 3, as `HyperbandOracle` sizes them.
    assert study.trials == _hyperbands_trials(4, 2)
    assert study.callbacks is not None
    first, second = study.callbacks(None), study.callbacks(None)  # type: ignore[arg-type]
    assert [type(each).__name__ for each in first] == ["EarlyStopping"]
    assert first[0] is not second[0] and first[0].patience == 5
    told = " ".join(guide[1]["not_carried_over"])
    assert all(each in told for each in ("my_dir", "overwrite=True", "TensorBoard"))


def _hyperbands_trials(epochs: int, factor: int) -> int:
    """As many as Keras Tuner's own oracle creates."""
    import keras_tuner as kt

    hp = kt.HyperParameters()
    hp.Float("a", 0, 1)
    oracle = kt.oracles.HyperbandOracle(
        kt.Objective("v", "max"), max_epochs=epochs, factor=factor, hyperparameters=hp
    )
    with contextlib.redirect_stdout(io.StringIO()):
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            oracle._set_project_dir(folder, "p")
            count = 0
            while (trial := oracle.create_trial("t")).status == "RUNNING":
                count += 1
                oracle.update_trial(trial.trial_id, {"v": count}, step=1)
                trial.status = "COMPLETED"
                oracle.end_trial(trial)
    return count


def test_the_data_is_split_as_keras_splits_it(guide: tuple[Path, Any, str]) -> None:
    data = study_of(guide[1]).data.load()
    x = np.random.default_rng(0).normal(size=(100, 4, 4)) / 2.0
    np.testing.assert_array_equal(data.train.x, x[:60])
    np.testing.assert_array_equal(data.validation.x, x[60:80])
    np.testing.assert_array_equal(data.unseal_test().x, x[80:])


def test_the_space_is_the_one_that_keras_tuner_searches(
    guide: tuple[Path, Any, str], tmp_path: Path
) -> None:
    """What a real tuner draws is in the space, and the space has nothing else."""
    import keras_tuner as kt

    study = study_of(guide[1])
    assert study.space is None
    space = discover(study.build).space
    objective = kt.Objective("val_accuracy", "max")
    tuner = kt.RandomSearch(study.build, objective=objective, seed=1, directory=tmp_path)
    names: set[str] = set()
    for _ in range(20):
        values = tuner.oracle._random_values()
        assert values is not None
        active = space.active(values)
        names |= {*active}
        space.validate({name: _ours(name, values[name]) for name in active})
    assert names == set(space.names) == {"units", "activation", "slow", "slow_lr", "lr"}


def _ours(name: str, value: Any) -> Any:
    return bool(value) if name == "slow" else value


@pytest.mark.exhaustive
def test_a_grid_is_walked_as_keras_tuner_walks_it(tmp_path: Path) -> None:
    """The same first trials, in the same order, by a real search of Keras Tuner."""
    document, _ = imported(tmp_path, tuner_scripts.GRID)
    names: dict[str, Any] = {}
    with contextlib.chdir(tmp_path), contextlib.redirect_stdout(io.StringIO()):
        exec(tuner_scripts.GRID, names)
    trials = sorted(names["tuner"].oracle.trials.values(), key=lambda each: each.trial_id)
    theirs = [dict(each.hyperparameters.values) for each in trials]
    options = ("--verify", "off", "--executor", "in-process", "--json")
    kerastudy_here(tmp_path, "launch", document["file"], *options)
    shown = as_json(kerastudy_here(tmp_path, "show", "tune", "--all", "--json"))
    ours = [each["params"] for each in sorted(shown["all"], key=lambda each: int(each["trial"]))]
    assert len(ours) == 4
    for mine, their in zip(ours, theirs, strict=True):
        assert mine == {name: their[name] for name in mine}


def test_a_hypermodel_in_a_function_is_taken_from_it(tmp_path: Path) -> None:
    document, text = imported(tmp_path, tuner_scripts.MAIN, "--", "--samples", "80")
    study = study_of(document)
    assert (study.name, study.trials, study.epochs, study.repeats) == ("tune", 3, 2, 2)
    assert (study.batch_size, study.class_weight) == (16, {0: 1.0, 1: 2.0})
    assert study.build.classes == 2
    assert dict(study.data.load().sizes) == {"train": 80, "validation": 20}
    # What it got on its command line is a value; the command line is not read again.
    assert "argparse" not in text and "        With a docstring that is indented." in text
    assert text.index('"""') < text.index("from __future__") < text.index("import keras_tuner")
    told = " ".join(document["not_carried_over"])
    assert "shuffle=False" in told and "for epochs in [2, 3]:" in told


def test_batches_and_hyperparameters_that_are_given(tmp_path: Path) -> None:
    document, text = imported(tmp_path, tuner_scripts.STREAMS)
    study = study_of(document)
    assert study.engine == "keras-tuner:bayesian,alpha=0.001,num_initial_points=3"
    assert "ks.datasets.batches(train_ds, val_ds)" in text
    space = study.space
    assert isinstance(space, SearchSpace)
    assert (space["learning_rate"].low, space["learning_rate"].high) == (1e-3, 1e-1)  # type: ignore[attr-defined]
    assert document["launch"].endswith(" --only learning_rate")


def test_an_optuna_script(tmp_path: Path) -> None:
    document, text = imported(tmp_path, tuner_scripts.OPTUNA)
    assert not (tmp_path / "boston.db").exists()
    assert document["study"] == "boston"
    for line in (
        "objective_function=objective,",
        'direction="minimize",',
        'engine="optuna:tpe",',
        'engine_options={"n_startup_trials": 5},',
        'pruner_options={"n_warmup_steps": 3},',
        "seed=42,",
        "timeout=600,",
        'initial=[{"units": 4, "lr": 0.01}],  # enqueue_trial',
    ):
        assert f"    {line}\n" in text
    assert "import optuna" not in text


@pytest.mark.parametrize("taken", ["*a", "trial, *, power=2", "trial=None, **rest"])
def test_a_lambda_keeps_its_arguments(tmp_path: Path, taken: str) -> None:
    name = "a[0]" if taken == "*a" else "trial"
    body = f"{name}.suggest_float('x', 0, 1) ** 2"
    script = f"import optuna\noptuna.create_study().optimize(lambda {taken}: {body}, n_trials=3)\n"
    document, text = imported(tmp_path, script)
    assert f"def objective_function({taken}):\n    return {body}\n" in text
    study = study_of(document)
    assert study.objective_function is not None
    assert study.objective_function(optuna.trial.FixedTrial({"x": 0.5})) == 0.25


@pytest.mark.parametrize("kind", ["py", pytest.param("ipynb", marks=pytest.mark.exhaustive)])
def test_an_optuna_script_is_imported_launched_resumed_and_reproduced(
    tmp_path: Path, kind: str
) -> None:
    """With the values that Optuna and Keras give by themselves."""
    name = f"my tune.{kind}"
    text = tuner_scripts.OPTUNA
    if kind == "ipynb":
        cells = [{"cell_type": "code", "source": [each]} for each in text.split("\n\n\n")]
        text = json.dumps({"cells": cells})
    (tmp_path / name).write_text(text, encoding="utf-8")
    document = as_json(kerastudy_here(tmp_path, "import", name, "--json"))
    launch = shlex.split(document["launch"])[1:]
    quick = ("--executor", "in-process", "--verify", "off", "--no-report")
    kerastudy_here(tmp_path, *launch, "--trials", "2", *quick)
    shown = as_json(kerastudy_here(tmp_path, *launch, "--trials", "3", *quick, "--json"))
    _, first, second = sorted(shown["all"], key=lambda each: int(each["trial"]))
    # The script's enqueued values come after the defaults.
    assert first["params"] == {"units": 4, "lr": 0.01} and second["state"] == "complete"
    names: dict[str, Any] = {"__name__": "imported"}
    exec(compile(tuner_scripts.OPTUNA, "script", "exec"), names)
    recorded = ks.read_study("boston", store=tmp_path / "kerastudy-store").trials[1]
    keras.utils.set_random_seed(recorded.spec.seed)
    value = names["objective"](optuna.trial.FixedTrial(first["params"]))
    assert value == pytest.approx(first["value"], rel=1e-5)
    if kind == "ipynb":
        done = kerastudy_here(tmp_path, "reproduce", "boston", "--trial", "1")
        assert done.stdout.startswith("identical: trial 1")


def test_a_notebook(tmp_path: Path) -> None:
    cells = tuner_scripts.GRID.split("\n\n\n")
    sources = ["!pip install keras-tuner", "%%time\nx = 1", *cells]
    content = {"cells": [{"cell_type": "code", "source": [each]} for each in sources]}
    (tmp_path / "tune.ipynb").write_text(json.dumps(content))
    document = as_json(kerastudy_here(tmp_path, "import", "tune.ipynb", "--json"))
    assert study_of(document).engine == "keras-tuner:grid"


def test_a_file_that_exists_stays(tmp_path: Path) -> None:
    script = tuner_scripts.GRID.replace("tuner = kt", "print(1)\nprint(2)\ntuner = kt")
    (tmp_path / "tune.py").write_text(script)
    (tmp_path / "mine.py").write_text("mine\n")
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    refused = kerastudy_here(tmp_path, "import", "table.csv", expect=2)
    assert "no Python script or notebook" in refused.stderr
    options = ("import", "tune.py", "--output", "mine.py")
    done = kerastudy_here(tmp_path, *options, expect=2)
    assert "mine.py' exists. Replace it with --force" in done.stderr
    assert (tmp_path / "mine.py").read_text() == "mine\n"
    done = kerastudy_here(tmp_path, *options, "--force")
    assert done.stdout.startswith("wrote mine.py: the study 'tune'")
    assert "kerastudy launch mine.py" in done.stdout
    assert "needs none of it: lines 18, 19\n" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


FIT = "tuner.search(x[:32], y[:32], validation_data=(x[32:], y[32:]), epochs=1, batch_size=8"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('objective="val_mae"', 'objective=["val_mae", "val_loss"]', "several objectives"),
        ("tuner = kt", "raise OSError('no data')\ntuner = kt", "raised, line 18: OSError"),
        ("tuner.search(x[:32], y[:32]", "dict(x=1", "without a call of a Keras Tuner's search"),
        ("tuner.search(", "tuner.search((", "does not parse"),
        ("import keras\n", "import sys\nsys.exit(3)\n", "with exit code 3"),
        (FIT, "tuner.search(epochs=1", "gets no data"),
        (FIT, "tuner.search(iter([(x, y)])", "a generator, which can be read once"),
        (
            "tuner = kt.GridSearch(",
            "class Own(kt.GridSearch):\n    def run_trial(self, trial, *args):\n        pass\n"
            "tuner = Own(",
            "a run_trial of its own",
        ),
    ],
)
def test_what_a_study_can_not_do(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in tuner_scripts.GRID
    (tmp_path / "tune.py").write_text(tuner_scripts.GRID.replace(old, new))
    done = kerastudy_here(tmp_path, "import", "tune.py", expect=2)
    assert message in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "tune_study.py").exists()
