"""Scripts for Keras Tuner and Optuna, files that launch studies, and other targets of a launch."""

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
from user_commands import as_json, kerastudy_here

import kerastudy as ks
from search_spaces import StudyError, StudyFileError, discover
from studies.user_code import Target, describe_code, load_study, resolve_target
from tracking.records import CodeDescription

SPACE_OF_GUIDE = {"units", "activation", "slow", "slow_lr", "lr"}
QUICK = ("--executor", "in-process", "--verify", "off", "--no-report")


def load(folder: Path, text: str, variable: str = "") -> tuple[Any, CodeDescription]:
    """Writes a script, and loads its study as a worker does."""
    file = folder / "tune.py"
    file.write_text(text, encoding="utf-8")
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.chdir(folder):
        study = load_study(resolve_target(f"{file}:{variable}" if variable else str(file)))
    assert printed.getvalue() == ""
    return study


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, CodeDescription]:
    folder = tmp_path_factory.mktemp("a script")
    # An earlier search, which the script would overwrite.
    (folder / "my_dir" / "intro_to_kt").mkdir(parents=True)
    (folder / "my_dir" / "intro_to_kt" / "tuner0.json").write_text("{}")
    return folder, *load(folder, tuner_scripts.GUIDE)


def test_a_script_runs_up_to_its_search(guide: tuple[Path, Any, CodeDescription]) -> None:
    """Its data is split as Keras splits it."""
    folder, study, code = guide
    files = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.*"))
    assert files == ["my_dir/intro_to_kt/tuner0.json", "tune.py"]
    assert code.source == tuner_scripts.GUIDE
    data, x = study.data.load(), np.random.default_rng(0).normal(size=(100, 4, 4)) / 2.0
    np.testing.assert_array_equal(data.train.x, x[:60])
    np.testing.assert_array_equal(data.validation.x, x[60:80])
    assert dict(data.sizes) == {"train": 60, "validation": 20}


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
    # `HyperbandOracle` has brackets of 4+2+1, 3+2 and 3 trials.
    assert study.trials == 15
    assert study.space is None
    assert set(discover(study.build).space.names) == SPACE_OF_GUIDE
    first, second = study.callbacks(None), study.callbacks(None)
    assert [type(callback) for callback in first] == [keras.callbacks.EarlyStopping]
    assert first[0] is not second[0] and first[0].patience == 5
    taken, *left_out = code.said
    assert "build_model, for val_accuracy (max), by keras-tuner:hyperband,factor=2" in taken
    assert ["TensorBoard" in text for text in left_out] == [True]


@pytest.mark.parametrize(
    ("x", "names", "shape"),
    [
        ("{'a': x, 'b': x}", {"a", "b"}, "validation_split=0.3"),
        ("[x, x]", {0, 1}, "validation_data=(LAST, y[22:32], y[22:32] ** 2)"),
        ("(x, x)", {0, 1}, "validation_split=0.3"),
    ],
)
def test_inputs_and_weights_are_split(tmp_path: Path, x: str, names: set[Any], shape: str) -> None:
    first = "" if "split" in shape else "[:22]"
    last, rest = x.replace("x", "x[22:32]"), x.replace("x", f"x{first}")
    weighted = f"y[:32]{first}, sample_weight=y[:32]{first} ** 2"
    search = f"x = x[:32]; tuner.search({rest}, {weighted}, {shape.replace('LAST', last)}"
    splits = load(tmp_path, tuner_scripts.GRID.replace(FIT, search))[0].data.load()
    for part in (splits.train, splits.validation):
        assert {*(part.x if isinstance(part.x, dict) else range(len(part.x)))} == names
        np.testing.assert_allclose(part.sample_weight, np.asarray(part.y) ** 2, rtol=1e-5)
    assert dict(splits.sizes) == {"train": 22, "validation": 10}


def test_a_hypermodel_in_a_function_behind_a_main_guard(tmp_path: Path) -> None:
    study, code = load(tmp_path, tuner_scripts.MAIN)
    assert (study.name, study.trials, study.epochs, study.repeats) == ("tune", 3, 2, 2)
    assert (study.batch_size, study.class_weight) == (16, {0: 1.0, 1: 2.0})
    assert study.build.classes == 2
    # Keras and pickle look its class up by its name.
    kind = type(study.build)
    assert getattr(sys.modules[kind.__module__], "MyHyperModel") is kind  # noqa: B009
    assert dict(study.data.load().sizes) == {"train": 80, "validation": 20}
    assert code.said[1:] == ("not taken: shuffle=False of the search",)


def test_a_script_may_train_on_batches(tmp_path: Path) -> None:
    study, _ = load(tmp_path, tuner_scripts.STREAMS)
    assert study.engine == "keras-tuner:bayesian,alpha=0.001,num_initial_points=3"
    assert isinstance(study.data, ks.datasets.StreamedDataset)


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
    assert left_out == ["not taken: n_jobs=2", "not taken: its storage"]


def test_what_optunas_search_may_have_besides(tmp_path: Path) -> None:
    study, code = load(
        tmp_path,
        "import optuna\n"
        "study = optuna.create_study(direction='maximize', pruner=optuna.pruners.NopPruner(),\n"
        "                            sampler=optuna.samplers.GridSampler({'x': (.25, .5)}))\n"
        "study.add_trial(optuna.trial.create_trial(value=1.0))\n"
        "def stop(study, trial):\n    study.stop()\n"
        "try:\n    study.optimize(lambda t: t.suggest_float('x', 0, 1), callbacks=[stop])\n"
        "except BaseException:\n    raise RuntimeError('after the search')\n",
    )
    assert (study.engine, study.pruner, study.direction) == ("optuna:grid", "none", "maximize")
    assert study.tailoring.ranges == {"x": "[0.25, 0.5]"}
    assert "; no end; seed 0" in code.said[0]
    stop, trials = code.said[1:]
    assert stop == "not taken: callbacks of optimize (stop)"
    assert trials == "not taken: the 1 trial that its study has"


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
    [("", "tune", 3), ("second", "tune-second", 4), ("b", "tune-b", 4)],
)
def test_one_search_of_several(tmp_path: Path, variable: str, name: str, trials: int) -> None:
    study, code = load(tmp_path, TWO, variable)
    assert (study.name, study.trials, code.variable) == (name, trials, variable)
    assert study.objective == ks.Objective("value", "max")


def test_a_function_of_no_search_needs_a_study(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError, match=r"no study 'objective'.*No search.*=objective, "):
        load(tmp_path, TWO, "objective")
    # The search of `second` is not reached.
    early = TWO.replace("b = optuna", "print(a.best_value)\nb = optuna")
    with pytest.raises(StudyFileError, match=r"'second'.* that the file reaches.*, line 8: Value"):
        load(tmp_path, early, "second")


def test_an_optuna_script_is_launched_and_reproduced(tmp_path: Path) -> None:
    """`builders/test_optuna_scripts` compares the values with those of Keras and Optuna."""
    (tmp_path / "my tune.py").write_text(tuner_scripts.OPTUNA, encoding="utf-8")
    launch = ("launch", "my tune.py", *QUICK)
    plan = kerastudy_here(tmp_path, *launch, "--dry-run").stdout
    assert "script     taken from the script: objective, to minimize" in plan
    assert "script     not taken: n_jobs=2" in plan
    document = as_json(kerastudy_here(tmp_path, *launch, "--trials", "2", "--json"))
    _, queued = sorted(document["all"], key=lambda trial: int(trial["trial"]))
    # After the defaults come the script's enqueued values.
    assert queued["params"] == {"units": 4, "lr": 0.01} and queued["state"] == "complete"
    answer = kerastudy_here(tmp_path, "reproduce", "my tune", "--trial", "1")
    assert answer.stdout.startswith("identical: trial 1")


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
    """A study of Optuna counts the same steps."""
    (tmp_path / "tune.py").write_text(PRUNED, encoding="utf-8")
    names: dict[str, Any] = {}
    exec(PRUNED, names)
    theirs = len(names["study"].trials[0].intermediate_values)
    kerastudy_here(tmp_path, "launch", "tune.py", *QUICK)
    (trial,) = ks.read_study("tune", store=tmp_path / "kerastudy-store").trials
    assert (trial.state, trial.result.epochs) == ("pruned", theirs)
    assert theirs == 3


FIT = "tuner.search(x[:32], y[:32], validation_data=(x[32:], y[32:]), epochs=1, batch_size=8"


EMPTY = "import optuna\noptuna.create_study({}).optimize(lambda t: 0.0, n_trials=1)\n"
REFUSED = {
    ('objective="val_mae"', 'objective=["val_mae", "val_loss"]'): "several objectives",
    ('objective="val_mae"', 'objective="val_mae", loss="mae"'): "replaces the builder's loss",
    ("tuner = kt", "raise OSError('no data')\ntuner = kt"): "raised, line 18: OSError",
    ("max_trials=4", "max_trials=4, hyperparameters=kt.HyperParameters()"):
        "--set NAME=VALUE.*--only",
    ("tuner.search(x[:32], y[:32]", "dict(x=1"): "has no study",
    ("tuner.search(", "tuner.search(("): "does not parse",
    ("import keras\n", "import sys\nsys.exit(3)\n"): "raised, line .: SystemExit: 3$",
    (FIT, "tuner.search(epochs=1"): "gets no data",
    (FIT, "tuner.search(iter([(x, y)])"): "a generator, which can be read only once",
    (FIT, "tuner.search(x, y, epochs=1"): "by validation data, but",
    (FIT, "import tensorflow as tf\ntuner.search(tf.data.Dataset.from_tensors((x, y)), "
     "validation_data=(x, y)"): "validates on a tuple. Give it both",
    ("tuner = kt.GridSearch(", "class Own(kt.GridSearch):\n    def run_trial(self, trial, *args):"
     "\n        pass\ntuner = Own("): "overrides run_trial",
    (None, EMPTY.format("directions=['minimize', 'maximize']")): "has 2 objectives",
    (None, EMPTY.format("sampler=optuna.samplers.NSGAIISampler()")): "sampler can't be taken over",
    (None, EMPTY.format("pruner=optuna.pruners.WilcoxonPruner()")): "pruner can't be taken over",
    (None, f"{OPTUNA}optuna.load_study(study_name='a', storage='b')"): "loads an earlier study",
    (None, f"{OPTUNA}optuna.copy_study(from_study_name='a', from_storage='b', to_storage='c')"):
        "copies a study",
    (None, f"{OPTUNA}optuna.create_study().ask()"): "asks for trials by itself",
    # A file without a search is not run as a script: it may train for hours behind its guard.
    (None, "if __name__ == '__main__':\n    raise OSError('trained for hours')\n"): "has no study",
}  # fmt: skip


@pytest.mark.parametrize(("changed", "message"), REFUSED.items(), ids=REFUSED.values())
def test_scripts_that_are_no_study_are_refused(
    tmp_path: Path, changed: tuple[str | None, str], message: str
) -> None:
    old, new = changed
    assert old is None or old in tuner_scripts.GRID
    with pytest.raises(StudyError, match=message.replace("(", r"\(")):
        load(tmp_path, new if old is None else tuner_scripts.GRID.replace(old, new))


def test_the_search_may_be_in_a_module_next_to_it(tmp_path: Path) -> None:
    (tmp_path / "own_tuning.py").write_text(
        "import optuna\n\ndef run():\n"
        "    optuna.create_study().optimize(lambda t: t.suggest_float('x', 0, 1), n_trials=7)\n"
    )
    text = "import own_tuning\nif __name__ == '__main__':\n    own_tuning.run()\n"
    study, code = load(tmp_path, text)
    assert (study.trials, list(code.texts)) == (7, ["own_tuning.py"])


def test_a_study_file_is_no_script(tmp_path: Path) -> None:
    """The file may search for purposes of its own, such as a comparison."""
    study, _ = load(
        tmp_path,
        "import optuna\nimport kerastudy as ks\n"
        "own = optuna.create_study()\n"
        "own.optimize(lambda trial: trial.suggest_float('x', 0, 1), n_trials=2)\n"
        "study = ks.Study('mine', objective_function=lambda t: 0.0, trials=len(own.trials))\n"
        "if __name__ == '__main__':\n    raise OSError\n",
    )
    assert (study.name, study.trials) == ("mine", 2)


def test_a_byte_order_mark_is_ignored_and_other_encodings_are_refused(tmp_path: Path) -> None:
    text = "import kerastudy as ks\nstudy = ks.Study('mine', objective_function=lambda t: 0.0)\n"
    study, code = load(tmp_path, f"\ufeff{text}")
    assert (study.name, code.source) == ("mine", text)
    assert describe_code(study, "mine").source == text
    (tmp_path / "tune.py").write_bytes(b"# \xe9\n")
    with pytest.raises(StudyFileError, match=r"tune\.py' cannot be read: 'utf-8' codec"):
        describe_code(study, "mine")


LAUNCHES = """
import kerastudy as ks

def build(hp):
    raise AssertionError("nothing is built by loading")

def make(name, **settings):
    return ks.Study(name, data=ks.datasets.digits(), build=build,
                    space=ks.SearchSpace(ks.dropout()), **settings)

first = make("first")
history = first.launch(workers=2)
print(f"best {history.best.best.value:.3f}, {history.trials[0].spec.values['dropout']}")
print(f"{100 * history.best.best.value:.1f} %", round(history.best.best.value, 3))
for trial in history.trials:
    print(trial.number)
second = make("second", trials=7)
second.launch()
raise AssertionError("nothing after the launch that is wanted is run")
"""
# The file is LAUNCHES with a part replaced; the study of a variable or a name is wanted.
LOADED = {
    "the first, if none is named": ("", "", {}, ("first", "first")),
    "a name": ("", "", {"study_name": "second"}, ("second", "second")),
    "a variable": ("", "", {"variable": "second"}, ("second", "second")),
    "made before another is launched": (
        "history = first", "second = make('second')\nhistory = first",
        {"study_name": "second"}, ("second", "second"),
    ),
    "in no variable": (
        'second = make("second", trials=7)\nsecond', 'make("second")',
        {"study_name": "second"}, ("second", ""),
    ),
    "the launched one of several": ("first.launch(", "make('third').launch(", {}, ("third", "")),
    "in a file that catches everything": (
        "second.launch()", "try:\n    second.launch()\nexcept Exception:\n    pass",
        {"study_name": "second"}, ("second", "second"),
    ),
}  # fmt: skip


def load_launching(folder: Path, old: str, new: str, **target: str) -> tuple[str, str]:
    assert old in LAUNCHES
    file = folder / "script.py"
    file.write_text(LAUNCHES.replace(old, new) if old else LAUNCHES, encoding="utf-8")
    with contextlib.chdir(folder):
        study, code = load_study(Target(str(file), **target))
    assert [file.name for file in folder.iterdir()] == ["script.py"], "loading launches nothing"
    return study.name, code.variable


@pytest.mark.parametrize("case", LOADED.values(), ids=LOADED)
def test_a_file_that_launches_studies_at_its_top_level(
    tmp_path: Path, case: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new, target, names = case
    assert load_launching(tmp_path, old, new, **target) == names
    assert not target or new or "best <study 'first', not launched>" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ('make("second", trials=int(history.best.best.epoch))', "has no result while"),
        ('make("second") if history.best.best.value > 0.5 else None', "has no result while"),
        ('make("second", initial=[history.best.spec.values])', "not launched"),
    ],
)
def test_a_study_of_another_ones_result_is_refused(tmp_path: Path, new: str, message: str) -> None:
    """The study would differ from the launched one."""
    with pytest.raises(StudyFileError, match=message):
        load_launching(tmp_path, 'make("second", trials=7)', new, study_name="second")


# Targets of `kerastudy launch`: only Python files are run.


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("my_study.py", "text.npz", "note.ipynb", "study.txt", "all/first.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("import kerastudy as ks\nstudy = ks.Study('mine')\n")
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("text.npz", "'text.npz'.*no Python file.*my_study.py:variable"),
        ("text.npz:study", "'text.npz'.*no Python file.*my_study.py:variable"),
        ("note.ipynb", "'note.ipynb'.*no Python file"),
        ("study.txt:study", "'study.txt'.*no Python file.*my_study.py:variable"),
        ("all", "'all' is a folder.*Name a file"),
        ("empty", "'empty' is a folder.*Name a file"),
        ("my_study", "'my_study'.*Did you mean 'my_study.py'"),
        ("my_studi.py", "'my_studi.py'.*Did you mean 'my_study.py'"),
        ("no/where.py", "no study file.*'no/where.py'.*catalog name"),
        ("digitz", "'digitz'.*Did you mean 'digits'"),
        ("", "empty.*catalog name"),
    ],
)
def test_other_targets_are_refused(files: Path, target: str, words: str) -> None:
    with pytest.raises(StudyFileError, match=words):
        resolve_target(target)


@pytest.mark.parametrize("variable", ["", "study"])
def test_a_python_file_is_a_target(files: Path, variable: str) -> None:
    target = resolve_target("my_study.py" + (variable and f":{variable}"))
    assert (target.path, target.variable) == (str(files / "my_study.py"), variable)
