"""Trials as scripts of plain Keras, run where nothing but Keras, numpy and scikit-learn is."""

from __future__ import annotations

import ast
import io
import json
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from builder_corpus import session
from handmade import make_spec
from study_record import weights_in
from suite import exhaustive_but

from search_spaces.errors import StudyError
from studies.executors.session import Session
from studies.exporting.scripts.builder_code import BuilderCode
from studies.exporting.scripts.data_code import DataCode
from studies.exporting.scripts.head import RecordedTrial
from studies.exporting.scripts.parts import ScriptParts, script_parts
from studies.exporting.scripts.script import training_of, write_script
from studies.exporting.scripts.text import script_text
from studies.user_code.loading import load_study
from studies.user_code.targets import Target
from tracking.records import BestEpoch, Objective, TrialSpec

STUDIES = """
import keras
import keras_tuner
import numpy as np
import optuna
from kerastudy import outputs

import kerastudy as ks
import parts
from parts import Block

random = np.random.default_rng(0)
x = random.normal(size=(120, 6)).astype("float32")
y = (x[:, 0] > 0).astype("int64")
train, scale = 0.5, 2


def build(hp: keras_tuner.HyperParameters) -> keras.Model:
    model = keras.Sequential([keras.layers.Rescaling(scale * parts.FACTOR)])
    for i in range(hp.Int("layers", 1, 2)):
        model.add(Block(hp.Int(f"units_{i}", min_value=4, max_value=8)))
    model.add(keras.layers.BatchNormalization())
    optimizer = hp.Choice("optimizer", ["sgd", "adam"])
    with hp.conditional_scope("optimizer", ["sgd"]):
        momentum = hp.Float("momentum", 0.1, 0.9)
    made = keras.optimizers.SGD(0.1, momentum) if optimizer == "sgd" else "adam"
    model.add(keras.layers.Dense(2, activation="softmax"))
    model.compile(made, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def callbacks(hp):
    return [keras.callbacks.ReduceLROnPlateau("loss", patience=0, min_delta=1, factor=0.5)]


def create_model(trial: optuna.Trial):
    out = outputs.binary()
    rate = trial.suggest_float("rate", 0.1, 0.4)
    layers = [keras.layers.Dense(8, "relu"), keras.layers.Dropout(rate), out.layer()]
    model = keras.Sequential(layers)
    model.compile("adam", loss=out.loss, metrics=out.metrics)
    return model


def needs_kerastudy(hp):
    ks.epoch_seed(0, hp.Int("epoch", 1, 2))
    return create_model(hp)


arrays = ks.datasets.arrays(x, y, validation=0.3, test=0.1)
read = ks.datasets.breast_cancer(preprocess="standardize")
own = {"objective": "val_loss", "epochs": 2, "trials": 1}
kept = ks.Study("kept", data=arrays, build=build, callbacks=callbacks, **own)
weighted = ks.Study(
    "weighted", data=read, build=create_model, class_weight={0: 2.0}, repeats=2,
    optimizer=keras.optimizers.SGD(0.05), **own,
)
imported = ks.Study("imported", data=arrays, build=needs_kerastudy, **own)
"""
PARTS = """
import keras


@keras.saving.register_keras_serializable("mine")
class Block(keras.layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.inner = keras.Sequential([keras.layers.Dense(units), keras.layers.Dropout(0.2)])

    def call(self, x, training=False):
        return self.inner(x, training=training)


FACTOR = 0.5
"""
# Runs scripts where what they must not need can't be imported; prints their exit codes.
RUN = """
import json, runpy, sys
FOREIGN = {"kerastudy", "studies", "tracking", "search_spaces", "optuna", "mlflow", "keras_tuner"}
class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in FOREIGN:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refusing())
codes = []
for script in sys.argv[1:]:
    sys.argv = [script, script + ".keras"]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        codes.append(end.code)
print(json.dumps(codes))
"""


def loaded(folder: Path, variable: str) -> Session:
    study, code = load_study(Target(str(folder / "study.py"), variable))
    return Session.open(study, code, None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("scripts")
    (made / "study.py").write_text(STUDIES)
    (made / "parts.py").write_text(PARTS)
    return made


def test_scripts_end_with_the_recorded_weights(folder: Path) -> None:
    checkpoints = []
    for name in ("kept", "weighted"):
        ready = loaded(folder, name)
        study = ready.study
        history = study.launch(store=folder / "store", verify="off")  # type: ignore[attr-defined]
        trial = history.best
        parts = script_parts(ready, history.description.space, training_of(trial), f"{name}.npz")
        assert parts.why_imported == ""
        write_script(history, trial, parts, ready.description.code, folder / f"{name}.py")
        checkpoints.append(history.files.checkpoint(trial.number, trial.result.best_repeat))
    assert (folder / "kept.npz").exists() and not (folder / "weighted.npz").exists()
    # The script itself is what compares: it must see a difference.
    text = (folder / "weighted.py").read_text()
    other = re.sub(r"^SEED = \d+", "SEED = 1", text, flags=re.M)
    (folder / "other.py").write_text(other)
    scripts = [str(folder / f"{name}.py") for name in ("kept", "weighted", "other")]
    done = subprocess.run(
        [sys.executable, "-I", "-c", RUN, *scripts], capture_output=True, text=True, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [0, 0, 1], done.stdout
    for script, checkpoint in zip(scripts, checkpoints, strict=False):
        with zipfile.ZipFile(f"{script}.keras") as archive:
            saved = weights_in(io.BytesIO(archive.read("model.weights.h5")))
        recorded = {k: v for k, v in weights_in(checkpoint).items() if "optimizer" not in k}
        assert recorded and recorded.items() <= saved.items()


def parts_of(ready: Session) -> ScriptParts:
    told = ready.description
    spec = TrialSpec(0, 1, told.space.defaults(), 7, 2, 8, 1, "", told.objective)
    return script_parts(ready, told.space, spec, "arrays.npz")


def test_a_builder_that_needs_kerastudy_is_imported(folder: Path) -> None:
    found = parts_of(loaded(folder, "imported"))
    assert found.builder is None
    assert found.why_imported == "it uses ks.epoch_seed"


@pytest.mark.parametrize(
    "style",
    exhaustive_but(
        ["optuna_class"],
        ["name_scopes", "optuna_class", "hypermodel", "several_domains", "tuner_space"],
    ),
)
def test_builders_of_other_styles_stand_alone(style: str) -> None:
    """Their text alone makes the same initial weights, or they would be imported."""
    found = parts_of(session(style))
    assert found.builder is not None, found.why_imported
    assert not {"kerastudy", "keras_tuner", "optuna"} & set(found.builder.packages)


def test_what_a_script_can_not_do_is_refused() -> None:
    with pytest.raises(StudyError, match="its HyperModel trains by a fit of its own"):
        parts_of(session("fit_returns_history"))


@pytest.mark.parametrize(
    "odd", ['"""\nraise SystemExit("""', "\\" * 120 + '"', "a\u2028raise x\x85\x0c\x00", "' + '\n#"]
)
def test_texts_stay_texts(odd: str) -> None:
    data = DataCode((), "x_train = y_train = x_validation = y_validation = ()\n", "d", {})
    builder = BuilderCode((), "", {"build": "make"}, (), False, frozenset(), False)
    parts = ScriptParts({odd: odd}, data, builder, "", False, "", False, False, True, "", False,
                        False, {})  # fmt: skip
    best = BestEpoch(1, 0.5, {odd: 0.5})
    spec = make_spec(objective=Objective(odd, "max"))
    environment = {"device": odd, "variables": f"A={odd}"}
    trial = RecordedTrial(odd, spec, best, {1: {odd: 0.5}}, 3, odd, environment, odd, odd)
    for made in (parts, replace(parts, builder=None, why_imported=odd)):
        text = script_text(trial, made, f"{odd}.py")
        tree = ast.parse(text)
        assigned = {
            target.id: each.value
            for each in tree.body
            if isinstance(each, ast.Assign)
            for target in each.targets
            if isinstance(target, ast.Name)
        }
        values = {
            name: ast.literal_eval(assigned[name])
            for name in ("HYPERPARAMETERS", "METRICS", "WEIGHTS_SHA256")
        }
        assert values == {"HYPERPARAMETERS": {odd: odd}, "METRICS": [odd], "WEIGHTS_SHA256": odd}
        assert "Exits with 0 if they" in (ast.get_docstring(tree) or "")
        # No statement but the script's own.
        assert not [each for each in ast.walk(tree) if isinstance(each, ast.Raise)]
