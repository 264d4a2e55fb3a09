"""What is grave in a study's data stands before its value, wherever that is shown.

By hand: the 60 test samples are the training samples, of which one is positive; of the 50
validation samples one is too. Always answering 0 is right in 59 of 60 and 49 of 50.
"""

from __future__ import annotations

import re
from pathlib import Path

from in_mlflow import InMlflow
from stores import history_at
from user_commands import as_json, kerastudy_here

import kerastudy as ks

STUDY = """
import keras
import numpy as np
import kerastudy as ks

x = np.random.default_rng(0).normal(size=(110, 3)).astype("float32")
y = np.zeros(110, "int64")
y[[7, 70]] = 1
train = (x[:60], y[:60])


def build(hp):
    layer = keras.layers.Dense(1, activation="sigmoid", kernel_initializer="zeros")
    layer.bias_initializer = keras.initializers.Constant(-3.0)
    model = keras.Sequential([keras.layers.Input((3,)), layer])
    model.compile(keras.optimizers.SGD(hp["rate"]), "binary_crossentropy", metrics=["accuracy"])
    return model


study = ks.Study(
    "flawed",
    data=ks.datasets.arrays(*train, validation=(x[60:], y[60:]), test=train),
    build=build,
    space=ks.SearchSpace(ks.Float("rate", 1e-6, 1e-4)),
    objective="val_accuracy",
    trials=2,
    epochs=1,
)
"""
FLAW = "All 60 test samples are training samples too: a model that only remembers gets them right"


def check(text: str, share: str) -> None:
    """The flaw, the value and what a constant guess reaches stand there, once, in this order."""
    flat = re.sub(r"\s+", " ", text)
    guess = f"which always answering 0 reaches too ({share})."
    assert [flat.count(each) for each in (FLAW, guess)] == [1, 1], flat
    assert flat.index(FLAW) < flat.index("Reported") < flat.index("Expect 0.9") < flat.index(guess)


def check_all(folder: Path, share: str) -> None:
    check(kerastudy_here(folder, "show", "flawed").stdout, share)
    shown = as_json(kerastudy_here(folder, "show", "flawed", "--json"))
    check(shown["verdict"]["text"], share)
    check(ks.read_study("flawed", store=folder / "kerastudy-store").verdict.text, share)
    kerastudy_here(folder, "report", "flawed", "--output", folder / "report.html")
    page = (folder / "report.html").read_text(encoding="utf-8")
    (believed,) = re.findall(r'<p class="believe">(.*?)</p>', page)
    check(believed, share)
    in_mlflow = InMlflow(history_at(folder / "kerastudy-store", "flawed"))
    check(in_mlflow.experiment.tags["mlflow.note.content"], share)
    check(in_mlflow.parent.data.tags["mlflow.note.content"], share)
    check(in_mlflow.champion.description, share)
    check(in_mlflow.champion.tags["kerastudy.verdict"], share)


def test_it_stands_in_the_verdict_wherever_that_is_shown(tmp_path: Path) -> None:
    (tmp_path / "study.py").write_text(STUDY)
    store = {"KERASTUDY_STORE": str(tmp_path / "kerastudy-store")}
    here = ("--executor", "in-process")
    done = kerastudy_here(tmp_path, "launch", "study.py", "--verify", "off", *here)
    check(done.stdout, "0.98")
    assert f"warning: {FLAW}" in re.sub(r"\s+", " ", done.stderr)
    check(kerastudy_here(tmp_path, "show", "flawed").stdout, "0.98")
    options = ("flawed", "--top", "2", "--budget", "3", *here)
    check(kerastudy_here(tmp_path, "confirm", *options, **store).stdout, "0.983")
    again = as_json(kerastudy_here(tmp_path, "confirm", *options, "--json"))
    check(again["verdict"], "0.983")
    check_all(tmp_path, "0.983")
    read = kerastudy_here(tmp_path, "evaluate", "flawed").stdout
    flat = re.sub(r"\s+", " ", read)
    assert flat.index(FLAW) < flat.index("accuracy 0.98")
