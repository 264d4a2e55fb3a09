"""Trials as scripts of plain Keras, run where kerastudy and its libraries can't be imported."""

import io
import json
import re
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from builder_corpus import session
from scripted import run_study
from study_record import weights_in
from user_commands import run

from search_spaces import StudyError
from studies.executors import InProcessExecutor, Session
from studies.exporting import script_parts, training_of, write_script
from studies.user_code import Target, load_study
from tracking.records import TrialSpec

# A text that would end its place in a script, if it were not quoted.
ODD = '"""\nraise SystemExit("""\\"a\u2028raise x\x85\x0c' + "' + '\n#"
STUDIES = """
import keras
import numpy as np
from kerastudy import outputs

import kerastudy as ks
import parts
from parts import Block

random = np.random.default_rng(0)
x = random.normal(size=(120, 6)).astype("float32")
y = (x[:, 0] > 0).astype("int64")
train, scale = 0.5, 2


def build(hp: ks.Hyperparameters | None) -> keras.Model:
    model = keras.Sequential([keras.layers.Rescaling(scale * parts.FACTOR)])
    for i in range(hp.Int("layers", 1, 2)):
        model.add(Block(hp.Int(f"units_{i}", min_value=4, max_value=8)))
    model.add(keras.layers.BatchNormalization())
    optimizer = hp.Choice("optimizer", ["sgd", "adam"])
    with hp.conditional_scope("optimizer", ["sgd"]):
        momentum = hp.Float("momentum", 0.1, 0.9)
    method = keras.optimizers.SGD(0.1, momentum) if optimizer == "sgd" else "adam"
    model.add(keras.layers.Dense(2, activation="softmax"))
    model.compile(method, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def callbacks(hp):
    slower = keras.callbacks.ReduceLROnPlateau("loss", patience=0, min_delta=1, factor=0.5)
    return [slower, parts.Shaken()]


def create_model(trial):
    out = outputs.binary()
    rate = trial.suggest_float("rate", 0.1, 0.4)
    layers = [keras.layers.Dense(8, "relu"), keras.layers.Dropout(rate), out.layer()]
    model = keras.Sequential(layers)
    model.compile("adam", loss=out.loss, metrics=out.metrics)
    return model


words = np.array(["red sun", "blue sea", "green tree", "red sea"] * 30)
inputs, targets = {"number": x, "word": words}, {"left": x[:, :1], "right": y}
several_data = ks.datasets.arrays(
    inputs, targets, sample_weight=np.arange(1.0, 121.0), validation=0.3, test=0.1
)


def several_outputs(hp):
    number, word = keras.Input((6,), name="number"), keras.Input((), dtype="string", name="word")
    counted = keras.layers.TextVectorization(max_tokens=9, output_mode="count")
    ks.preprocessing.adapted(counted, several_data, of="word")
    both = keras.layers.Concatenate()([number, counted(word)])
    both = keras.layers.Dense(hp["units"], "relu")(both)
    offset = float(several_data.load().train.y["left"].mean())
    left = keras.layers.Rescaling(1.0, offset, name="left")(keras.layers.Dense(1)(both))
    right = keras.layers.Dense(2, "softmax", name="right")(both)
    model = keras.Model({"number": number, "word": word}, {"left": left, "right": right})
    losses = {"left": "mse", "right": "sparse_categorical_crossentropy"}
    model.compile(keras.optimizers.SGD(0.01, use_ema=True), losses, weighted_metrics=[])
    return model


arrays = ks.datasets.arrays(x, y, validation=0.3, test=0.1)
read = ks.datasets.breast_cancer(preprocess="standardize")
own = {"objective": "val_loss", "epochs": 2, "trials": 1}
kept = ks.Study("kept", data=arrays, build=build, callbacks=callbacks, **own)
weighted = ks.Study(
    "weighted", data=read, build=create_model, class_weight={0: 2.0}, repeats=2,
    **own,
)
odd = ks.Choice("odd", [ODD])
several = ks.Study(
    "several", data=several_data, build=several_outputs,
    space=ks.SearchSpace(ks.units(4, 8), odd), **own,
)
"""
PARTS = """
import random

import keras


@keras.saving.register_keras_serializable("mine")
class Block(keras.layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.inner = keras.Sequential([keras.layers.Dense(units), keras.layers.Dropout(0.2)])

    def call(self, x, training=False):
        return self.inner(x, training=training)


class Shaken(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        kernel = self.model.layers[-1].kernel
        kernel.assign(kernel + 0.01 * random.random())


FACTOR = 0.5
"""
# Runs scripts in a process that can't import kerastudy's packages. Prints their exit codes.
RUN = """
import json, os, runpy, sys
from importlib.machinery import PathFinder
scripts = sys.argv[1:]
foreign = ["studies", "tracking", "search_spaces", "mlflow", "optuna", "keras_tuner"]
class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in foreign:
            raise ModuleNotFoundError(name)
        if name == "kerastudy":
            spec = PathFinder.find_spec(name, sys.path)
            assert os.path.dirname(spec.origin) == os.path.dirname(sys.argv[0])
sys.meta_path.insert(0, Refusing())
codes = []
for script in scripts:
    before = set(sys.modules)
    sys.argv = [script, script + ".keras"]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        codes.append(end.code)
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(sys.path[0]):
            del sys.modules[name]
print(json.dumps(codes))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scripts")
    (folder / "study.py").write_text(STUDIES.replace("ODD", repr(ODD)))
    (folder / "parts.py").write_text(PARTS)
    return folder


def exported(folder: Path, variable: str) -> Path:
    """Launches a study, and writes the script of its best trial into a folder of its name.

    Returns the checkpoint that is recorded of the trial.
    """
    study, code = load_study(Target(str(folder / "study.py"), variable))
    ready = Session.open(study, code, None)
    history = run_study(InProcessExecutor(ready), store=folder / "store", verify="off")
    trial = history.best
    parts = script_parts(ready, history.description.space, training_of(trial))
    write_script(history, trial, parts, ready.description.code, folder / variable)
    return history.files.checkpoint(trial.number, trial.result.best_repeat)


def test_scripts_end_with_the_recorded_weights(folder: Path) -> None:
    recorded = {name: exported(folder, name) for name in ("kept", "weighted", "several")}
    # The script itself compares, so it must see a difference.
    other = Path(shutil.copytree(folder / "weighted", folder / "other")) / "retrain.py"
    other.write_text(re.sub(r"^SEED = \d+", "SEED = 1", other.read_text(), flags=re.M))
    scripts = [f"{folder}/{name}/retrain.py" for name in (*recorded, "other")]
    ran = run(folder, [sys.executable, "-I", "-c", RUN, *scripts])
    assert json.loads(ran.stdout.splitlines()[-1]) == [0, 0, 0, 1]
    assert ran.stderr == ""
    for name, checkpoint in recorded.items():
        with zipfile.ZipFile(folder / name / "retrain.py.keras") as archive:
            saved = weights_in(io.BytesIO(archive.read("model.weights.h5")))
        model_weights = {k: v for k, v in weights_in(checkpoint).items() if "optimizer" not in k}
        assert model_weights and model_weights.items() <= saved.items()


def test_what_a_script_can_not_do_is_refused() -> None:
    ready = session("fit_returns_dict")
    description = ready.description
    spec = TrialSpec(0, 1, description.space.defaults(), 7, 2, 8, 1, "", description.objective)
    with pytest.raises(StudyError, match=r"its HyperModel overrides fit\(\)"):
        script_parts(ready, description.space, spec)
