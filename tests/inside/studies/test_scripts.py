"""Scripts for Keras Tuner and Optuna are launched as they stand, and search the same."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import optuna
import pytest
import tuner_scripts
from user_commands import as_json, kerastudy, kerastudy_here

import kerastudy as ks
from search_spaces import SearchSpace, StudyError, StudyFileError, discover
from studies.user_code import load_study, resolve_target
from tracking.records import CodeDescription

QUICK = ("--executor", "in-process", "--verify", "off", "--no-report")


def load(folder: Path, text: str, variable: str = "") -> tuple[Any, CodeDescription]:
    """Writes a script, and loads its study as a worker does."""
    file = folder / "tune.py"
    file.write_text(text, encoding="utf-8")
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.chdir(folder):
        found = load_study(resolve_target(f"{file}:{variable}" if variable else str(file)))
    assert printed.getvalue() == ""
    return found


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, CodeDescription]:
    folder = tmp_path_factory.mktemp("a script")
    # An earlier search, which the script would overwrite.
    (folder / "my_dir" / "intro_to_kt").mkdir(parents=True)
    (folder / "my_dir" / "intro_to_kt" / "tuner0.json").write_text("{}")
    return folder, *load(folder, tuner_scripts.GUIDE)


def test_a_script_runs_up_to_its_search(guide: tuple[Path, Any, CodeDescription]) -> None:
    folder, _, code = guide
    left = sorted(each.relative_to(folder).as_posix() for each in folder.rglob("*.*"))
    assert left == ["my_dir/intro_to_kt/tuner0.json", "tune.py"]
    assert code.source == tuner_scripts.GUIDE


def test_the_process_is_as_before(tmp_path: Path) -> None:
    import keras_tuner as kt

    def replaced() -> list[object]:
        functions = [kt.Tuner.search, kt.SklearnTuner.__init__, kt.Oracle.__init__]
        optunas = [optuna.Study.optimize, optuna.Study.enqueue_trial, optuna.create_study]
        return [*functions, *optunas, sys.modules["__main__"], sys.argv, sys.stdout]

    before = replaced()
    load(tmp_path, f"import optuna\n{tuner_scripts.STREAMS}")
    assert all(now is then for now, then in zip(replaced(), before, strict=True))


def test_the_study_has_the_scripts_settings(guide: tuple[Path, Any, CodeDescription]) -> None:
    study, code = guide[1:]
    assert (study.name, study.epochs, study.seed, study.batch_size) == ("tune", 4, 3, 32)
    assert study.engine == "keras-tuner:hyperband,factor=2"
    assert study.objective == ks.Objective("val_accuracy", "max")
    # Of brackets 4+2+1, 3+2 and 3, as `HyperbandOracle` sizes them.
    assert study.trials == _hyperbands_trials(4, 2)
    assert study.callbacks is not None
    first, second = study.callbacks(None), study.callbacks(None)
    assert [type(each).__name__ for each in first] == ["EarlyStopping"]
    assert first[0] is not second[0] and first[0].patience == 5
    taken, *left_out = code.said
    assert "build_model, for val_accuracy (max), by keras-tuner:hyperband,factor=2" in taken
    assert ["TensorBoard" in each for each in left_out] == [True]


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


def test_the_data_is_split_as_keras_splits_it(guide: tuple[Path, Any, CodeDescription]) -> None:
    data = guide[1].data.load()
    x = np.random.default_rng(0).normal(size=(100, 4, 4)) / 2.0
    np.testing.assert_array_equal(data.train.x, x[:60])
    np.testing.assert_array_equal(data.validation.x, x[60:80])
    assert dict(data.sizes) == {"train": 60, "validation": 20}


@pytest.mark.parametrize("given", ["validation_split=0.3", "validation_data=(LAST, y[22:32])"])
@pytest.mark.parametrize(
    ("x", "names"),
    [("{'a': x, 'b': x}", {"a", "b"}), ("[x, x]", {0, 1}), ("(x, x)", {0, 1})],
)
def test_several_inputs_are_split_alike(
    tmp_path: Path, x: str, names: set[Any], given: str
) -> None:
    first = "" if "split" in given else "[:22]"
    last, rest = x.replace("x", "x[22:32]"), x.replace("x", f"x{first}")
    search = f"x = x[:32]; tuner.search({rest}, y[:32]{first}, {given.replace('LAST', last)}"
    splits = load(tmp_path, tuner_scripts.GRID.replace(FIT, search))[0].data.load()
    for part in (splits.train, splits.validation):
        assert {*(part.x if isinstance(part.x, dict) else range(len(part.x)))} == names
    assert dict(splits.sizes) == {"train": 22, "validation": 10}


def test_weights_of_samples_are_split_with_them(tmp_path: Path) -> None:
    search = "tuner.search(x, y, sample_weight=y ** 2, validation_split=0.3"
    splits = load(tmp_path, tuner_scripts.GRID.replace(FIT, search))[0].data.load()
    for part in (splits.train, splits.validation):
        np.testing.assert_allclose(part.sample_weight, np.asarray(part.y) ** 2, rtol=1e-5)


def test_the_space_is_the_one_that_keras_tuner_searches(
    guide: tuple[Path, Any, CodeDescription], tmp_path: Path
) -> None:
    """What a real tuner draws is in the space, and the space has nothing else."""
    import keras_tuner as kt

    study = guide[1]
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
    (tmp_path / "tune.py").write_text(tuner_scripts.GRID, encoding="utf-8")
    names: dict[str, Any] = {}
    # TensorFlow is deterministic in this process, and wants a seed.
    keras.utils.set_random_seed(0)
    with contextlib.chdir(tmp_path), contextlib.redirect_stdout(io.StringIO()):
        exec(tuner_scripts.GRID, names)
    trials = sorted(names["tuner"].oracle.trials.values(), key=lambda each: each.trial_id)
    theirs = [dict(each.hyperparameters.values) for each in trials]
    options = ("--verify", "off", "--executor", "in-process", "--json")
    kerastudy_here(tmp_path, "launch", "tune.py", *options)
    shown = as_json(kerastudy_here(tmp_path, "show", "tune", "--all", "--json"))
    ours = [each["params"] for each in sorted(shown["all"], key=lambda each: int(each["trial"]))]
    assert len(ours) == 4
    for mine, their in zip(ours, theirs, strict=True):
        assert mine == {name: their[name] for name in mine}
    refused = kerastudy_here(tmp_path, "export", "tune", "--as", "script", expect=2)
    assert "made of a script's search" in refused.stderr


# Without arguments, as a launch gives it none.
MAIN = tuner_scripts.MAIN.replace("required=True", "default=80")


def test_a_hypermodel_in_a_function_behind_a_main_guard(tmp_path: Path) -> None:
    study, code = load(tmp_path, MAIN)
    assert (study.name, study.trials, study.epochs, study.repeats) == ("tune", 3, 2, 2)
    assert (study.batch_size, study.class_weight) == (16, {0: 1.0, 1: 2.0})
    assert study.build.classes == 2
    # Its class is found by its name, as Keras and pickle look it up.
    kind = type(study.build)
    assert getattr(sys.modules[kind.__module__], "MyHyperModel") is kind  # noqa: B009
    assert dict(study.data.load().sizes) == {"train": 80, "validation": 20}
    assert code.said[1:] == ("not taken: shuffle=False of the search",)


@pytest.mark.exhaustive
def test_its_own_fit_trains_in_workers_and_in_a_fresh_process(tmp_path: Path) -> None:
    folder = tmp_path / "my scripts"
    folder.mkdir()
    (folder / "tune.py").write_text(MAIN, encoding="utf-8")
    launch = ("launch", "tune.py", "--trials", "2", "--workers", "2", "--verify", "off")
    done = kerastudy(folder, *launch, COLUMNS="80")
    assert done.stderr.count("taken from the script: MyHyperModel, for val_accuracy") == 1
    assert max(map(len, done.stderr.splitlines())) <= 80
    trials = ks.read_study("tune", store=folder / "kerastudy-store").trials
    assert {trial.result.trainer for trial in trials} == {"hypermodel"}
    again = kerastudy(folder, "reproduce", "tune")
    assert again.stdout.startswith("identical: trial ")


def test_batches_and_hyperparameters_that_are_given(tmp_path: Path) -> None:
    study, _ = load(tmp_path, tuner_scripts.STREAMS)
    assert study.engine == "keras-tuner:bayesian,alpha=0.001,num_initial_points=3"
    assert isinstance(study.data, ks.datasets.StreamedDataset)
    space = study.space
    assert isinstance(space, SearchSpace)
    assert (space["learning_rate"].low, space["learning_rate"].high) == (1e-3, 1e-1)  # type: ignore[attr-defined]
    # tune_new_entries=False: what only the builder declares keeps its default.
    assert study.tailoring.only == ("learning_rate",)


OPTUNA = """
import optuna


def objective(trial):
    return trial.suggest_float("x", 0.0, 1.0)


"""


def test_an_earlier_study_of_optuna_stays(tmp_path: Path) -> None:
    storage = f"sqlite:///{(tmp_path / 'old.db').as_posix()}"
    before = optuna.create_study(study_name="old", storage=storage)
    before.enqueue_trial({"x": 0.5})
    before.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    named = f"study_name='old', storage={storage!r}"
    text = f"optuna.delete_study({named})\nstudy = optuna.create_study({named})\n"
    study, _ = load(tmp_path, f"{OPTUNA}{text}study.optimize(objective, n_trials=4)\n")
    assert study.trials == 4
    assert len(optuna.load_study(study_name="old", storage=storage).trials) == 3
    for line, told in (
        (f"optuna.load_study({named})", "loads an earlier study"),
        (f"optuna.copy_study(from_study_name='old', from_storage={storage!r}, "
         f"to_storage={storage!r}, to_study_name='new')", "copies a study"),
        ("optuna.create_study().ask()", "asks for trials by itself"),
    ):  # fmt: skip
        with pytest.raises(StudyFileError, match=f"the script {told}"):
            load(tmp_path, f"{OPTUNA}{line}")
    assert optuna.get_all_study_names(storage) == ["old"]


def test_an_optuna_script(tmp_path: Path) -> None:
    study, code = load(tmp_path, tuner_scripts.OPTUNA)
    assert not (tmp_path / "boston.db").exists()
    assert (study.name, study.trials, study.timeout, study.seed) == ("tune", 20, 600, 42)
    assert (study.engine, study.pruner) == (
        "optuna:tpe,n_startup_trials=5",
        "median,n_warmup_steps=3",
    )
    assert study.objective == ks.Objective("value", "min")
    assert study.initial == ({"units": 4, "lr": 0.01},)
    taken, *left_out = code.said
    assert taken == (
        "taken from the script: objective, to minimize, by optuna:tpe,n_startup_trials=5; pruner "
        "median,n_warmup_steps=3; 20 trials; at most 600 seconds; 1 queued; seed 42"
    )
    assert "n_jobs=2" in left_out[0] and "storage" in left_out[1]


def test_what_optunas_search_may_have_besides(tmp_path: Path) -> None:
    study, code = load(
        tmp_path,
        "import optuna\n"
        "study = optuna.create_study(direction='maximize', pruner=optuna.pruners.NopPruner(),\n"
        "                            sampler=optuna.samplers.QMCSampler())\n"
        "study.add_trial(optuna.trial.create_trial(value=1.0))\n"
        "def stop(study, trial):\n    study.stop()\n"
        "try:\n    study.optimize(lambda t: t.suggest_float('x', 0, 1), callbacks=[stop])\n"
        "except BaseException:\n    raise RuntimeError('after the search')\n",
    )
    assert (study.engine, study.pruner, study.direction) == (
        "optuna:quasi-random",
        "none",
        "maximize",
    )
    assert "; no end; seed 0" in code.said[0]
    for told, part in zip(code.said[1:], ("QMCSampler", "(stop)", "1 trial "), strict=True):
        assert told.startswith("not taken: ") and part in told


@pytest.mark.parametrize("taken", ["*a", "trial, *, power=2", "trial=None, **rest"])
def test_a_lambda_keeps_its_arguments(tmp_path: Path, taken: str) -> None:
    name = "a[0]" if taken == "*a" else "trial"
    body = f"{name}.suggest_float('x', 0, 1) ** 2"
    script = f"import optuna\noptuna.create_study().optimize(lambda {taken}: {body}, n_trials=3)\n"
    study, _ = load(tmp_path, script)
    assert study.objective_function is not None
    assert study.objective_function(optuna.trial.FixedTrial({"x": 0.5})) == 0.25


TWO = """
import optuna
def first(trial): return trial.suggest_float("x", 0, 1)
def second(trial): return trial.suggest_float("y", 0, 1)
def objective(trial): return trial.suggest_float("z", 0, 1)
a = optuna.create_study(direction="maximize")
a.optimize(first, n_trials=3)
b = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler())
b.optimize(second, n_trials=4)
print(b.best_params)
"""


@pytest.mark.parametrize(
    ("variable", "name", "trials"),
    [
        ("", "tune", 3),
        ("second", "tune-second", 4),
        ("b", "tune-b", 4),
        # It is in no search, but theirs have one direction.
        ("objective", "tune", 20),
    ],
)
def test_one_search_of_several(tmp_path: Path, variable: str, name: str, trials: int) -> None:
    study, code = load(tmp_path, TWO, variable)
    assert (study.name, study.trials, code.variable) == (name, trials, variable)
    assert study.objective == ks.Objective("value", "max")


def test_an_optuna_script_is_launched_resumed_and_reproduced(tmp_path: Path) -> None:
    """With the values that Optuna and Keras give by themselves."""
    (tmp_path / "my tune.py").write_text(tuner_scripts.OPTUNA, encoding="utf-8")
    launch = ("launch", "my tune.py", *QUICK)
    kerastudy_here(tmp_path, *launch, "--trials", "2")
    shown = as_json(kerastudy_here(tmp_path, *launch, "--trials", "3", "--json"))
    _, queued, last = sorted(shown["all"], key=lambda each: int(each["trial"]))
    # After the defaults come the script's enqueued values.
    assert queued["params"] == {"units": 4, "lr": 0.01} and last["state"] == "complete"
    names: dict[str, Any] = {"__name__": "imported"}
    exec(compile(tuner_scripts.OPTUNA, "script", "exec"), names)
    recorded = ks.read_study("my tune", store=tmp_path / "kerastudy-store").trials[1]
    keras.utils.set_random_seed(recorded.spec.seed)
    value = names["objective"](optuna.trial.FixedTrial(queued["params"]))
    assert value == pytest.approx(queued["value"], rel=1e-5)
    done = kerastudy_here(tmp_path, "reproduce", "my tune", "--trial", "2")
    assert done.stdout.startswith("identical: trial 2")


PRUNED = """
import optuna
def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    for step in range(9):
        trial.report(x + step, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return x
pruner = optuna.pruners.ThresholdPruner(upper=0.0, n_warmup_steps=2, interval_steps=3)
study = optuna.create_study(pruner=pruner)
study.optimize(objective, n_trials=1)
"""


def test_a_pruner_counts_the_scripts_own_steps(tmp_path: Path) -> None:
    """As a real study of Optuna's does."""
    (tmp_path / "tune.py").write_text(PRUNED, encoding="utf-8")
    names: dict[str, Any] = {}
    exec(PRUNED, names)
    theirs = len(names["study"].trials[0].intermediate_values)
    kerastudy_here(tmp_path, "launch", "tune.py", *QUICK)
    (trial,) = ks.read_study("tune", store=tmp_path / "kerastudy-store").trials
    assert (trial.state, trial.result.epochs) == ("pruned", theirs)
    assert theirs == 3


def test_what_is_said_of_a_script_is_in_its_plan(tmp_path: Path) -> None:
    (tmp_path / "tune.py").write_text(tuner_scripts.OPTUNA, encoding="utf-8")
    dry = ("launch", "tune.py", "--dry-run", "--executor", "in-process")
    plan = kerastudy_here(tmp_path, *dry).stdout
    assert "script     taken from the script: objective, to minimize" in plan
    assert "script     not taken: n_jobs=2" in plan
    document = as_json(kerastudy_here(tmp_path, *dry, "--json"))
    assert document["said"][0].startswith("taken from the script: objective, to minimize")


FIT = "tuner.search(x[:32], y[:32], validation_data=(x[32:], y[32:]), epochs=1, batch_size=8"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('objective="val_mae"', 'objective=["val_mae", "val_loss"]', "several objectives"),
        ("tuner = kt", "raise OSError('no data')\ntuner = kt", "raised, line 18: OSError"),
        ("tuner.search(x[:32], y[:32]", "dict(x=1", "has no study"),
        ("tuner.search(", "tuner.search((", "does not parse"),
        ("import keras\n", "import sys\nsys.exit(3)\n", "raised, line .: SystemExit: 3$"),
        (
            "import keras\n",
            "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('data')\n"
            "parser.parse_args()\n",
            "SystemExit: 2. It is run without arguments",
        ),
        (FIT, "tuner.search(epochs=1", "gets no data"),
        (FIT, "tuner.search(iter([(x, y)])", "a generator, which can be read once"),
        (FIT, "tuner.search(x, y, epochs=1", "validates on nothing"),
        (
            FIT,
            "import tensorflow as tf\n"
            "tuner.search(tf.data.Dataset.from_tensors((x, y)), validation_data=(x, y)",
            "validates on a tuple. Give it both",
        ),
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
    with pytest.raises(StudyFileError, match=message.replace("(", r"\(")):
        load(tmp_path, tuner_scripts.GRID.replace(old, new))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("directions=['minimize', 'maximize']", "has 2 objectives"),
        ("sampler=optuna.samplers.NSGAIISampler()", "sampler makes another search"),
        ("pruner=optuna.pruners.WilcoxonPruner()", "pruner makes another search"),
    ],
)
def test_what_optuna_alone_can_do(tmp_path: Path, given: str, message: str) -> None:
    script = f"import optuna\noptuna.create_study({given}).optimize(lambda t: 0.0, n_trials=1)\n"
    with pytest.raises(StudyError, match=message):
        load(tmp_path, script)


def test_a_file_that_searches_by_neither_is_no_program(tmp_path: Path) -> None:
    """It may train for hours behind its guard."""
    with pytest.raises(StudyFileError, match="has no study"):
        load(tmp_path, "if __name__ == '__main__':\n    raise OSError('trained for hours')\n")


def test_the_search_may_be_in_a_module_next_to_it(tmp_path: Path) -> None:
    (tmp_path / "own_tuning.py").write_text(
        "import optuna\n\ndef run():\n"
        "    optuna.create_study().optimize(lambda t: t.suggest_float('x', 0, 1), n_trials=7)\n"
    )
    text = "import own_tuning\nif __name__ == '__main__':\n    own_tuning.run()\n"
    study, code = load(tmp_path, text)
    assert (study.trials, list(code.texts)) == (7, ["own_tuning.py"])


def test_a_study_file_is_no_script(tmp_path: Path) -> None:
    """Its searches are its own business, such as to compare."""
    study, _ = load(
        tmp_path,
        "import optuna\nimport kerastudy as ks\n"
        "own = optuna.create_study()\n"
        "own.optimize(lambda trial: trial.suggest_float('x', 0, 1), n_trials=2)\n"
        "study = ks.Study('mine', objective_function=lambda t: 0.0, trials=len(own.trials))\n"
        "if __name__ == '__main__':\n    raise OSError\n",
    )
    assert (study.name, study.trials) == ("mine", 2)
