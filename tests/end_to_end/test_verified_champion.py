"""A champion is what plain Keras comes to, even where the compiled trainer is wrong."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from in_mlflow import InMlflow
from stores import store_at
from user_commands import KERASTUDY, environment, kerastudy

import kerastudy as ks
from search_spaces import Hyperparameters
from studies.commands import study_document, study_text
from tracking.history import read_study


def build(hp: Hyperparameters) -> keras.Model:
    """A model that is another one each time that it is built, if its scale is large."""
    times = Path(os.environ["TIMES_BUILT"])
    if hp["scale"] > 100:
        times.write_text(times.read_text() + "x")
    drawn = keras.initializers.RandomNormal(seed=len(times.read_text()) if hp["scale"] > 100 else 0)
    layers = [
        keras.layers.Flatten(),
        keras.layers.Dense(2, activation="softmax", kernel_initializer=drawn),
    ]
    model = keras.Sequential(layers)
    optimizer = keras.optimizers.SGD(hp["learning_rate"])
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


# The last one learns fast, so that it has the best value.
TRIALS = [
    {"scale": 1.0, "learning_rate": 0.01},
    {"scale": 1.2, "learning_rate": 0.011},
    {"scale": 1.4, "learning_rate": 0.012},
    {"scale": 1e6, "learning_rate": 0.5},
]


def test_the_champion_is_the_trial_that_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "built").write_text("")
    monkeypatch.setenv("TIMES_BUILT", str(tmp_path / "built"))
    space = ks.SearchSpace(
        ks.Float("learning_rate", 1e-3, 1.0, default=0.01), ks.Float("scale", 1.0, 1e6, default=1.0)
    )
    x = np.random.default_rng(0).normal(size=(100, 6)).astype("float32")
    data = ks.datasets.arrays(x, (x[:, 0] > 0).astype("int64"), validation=30, test=None)
    study = ks.Study("holds", data=data, build=build, space=space, initial=TRIALS)
    fields: dict[str, Any] = {"store": tmp_path / "store", "trials": 4, "epochs": 3}
    history = study.launch(**fields, verify="full")
    wrong, best = history.trial(3), history.best
    assert wrong.result is not None and best is not None and wrong.best and best.best
    assert wrong.result.trainer == "compiled" and wrong.best.value < best.best.value
    assert wrong.verified.startswith("model.fit, differs: accuracy of epoch 1 was ")
    assert best.number != 3 and best.verified == "model.fit, identical"
    told = " ".join(capsys.readouterr().err.split())
    assert f"trial 3 differs from model.fit: {wrong.verified.split(': ')[1]}" in told
    assert "other trials" in told and "0, 1 and 2. `kerastudy reproduce`" in told
    assert f"the champion is the next best, trial {best.number}" in told

    in_mlflow = InMlflow(history)
    version, run = in_mlflow.champion, in_mlflow.run(best.uuid)
    assert version.tags["kerastudy.champion_run"] == run.info.run_id
    assert version.tags["kerastudy.verified"] == "model.fit, identical"
    assert run.data.tags["kerastudy.verified"] == "model.fit, identical"
    shown = " ".join(study_text(history).split())
    assert f"@champion: trial {best.number} verified model.fit, identical" in shown
    assert study_document(history)["best"]["verified"] == "model.fit, identical"

    later = study.launch(**{**fields, "trials": 5})
    assert [t.result.trainer for t in later.trials if t.result][3:] == ["compiled", "plain"]
    assert "model.fit trains the study's trials" in " ".join(capsys.readouterr().err.split())
    assert not wrong.holds and later.trial(3).verified == wrong.verified


def simple(hp: Hyperparameters) -> keras.Model:
    model = keras.Sequential([keras.layers.Dense(2, activation="softmax")])
    optimizer = keras.optimizers.SGD(hp["learning_rate"])
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_what_reproduce_contradicts_no_longer_counts(tmp_path: Path) -> None:
    """A record that plain Keras does not give: an epoch in the journal was changed by hand."""
    x = np.random.default_rng(0).normal(size=(100, 6)).astype("float32")
    data = ks.datasets.arrays(x, (x[:, 0] > 0).astype("int64"), validation=30, test=None)
    space = ks.SearchSpace(ks.Float("learning_rate", 1e-3, 1.0))
    study = ks.Study("changed", data=data, build=simple, space=space)
    fields: dict[str, Any] = {"store": tmp_path / "store", "trials": 2, "epochs": 2}
    fields |= {"verify": "off", "progress": False, "executor": "in-process"}
    history = study.launch(**fields)
    best = history.best
    assert best is not None and best.result.trainer == "compiled"
    assert history.is_champion(best)
    with closing(sqlite3.connect(history.folder / "journal.db")) as journal, journal:
        (fit,) = journal.execute("SELECT id FROM fits WHERE trial = ?", (best.uuid,)).fetchone()
        where = "WHERE fit = ? AND epoch = 1"
        change = f"UPDATE epochs SET metrics = json_set(metrics, '$.loss', 9.0) {where}"
        assert journal.execute(change, (fit,)).rowcount == 1
    assert not study.reproduce(store=fields["store"], progress=False).identical

    later = read_study(history.store, "changed")
    wrong = later.trial(best.number)
    said = "model.fit, differs: loss of epoch 1 was 9.0, and is "
    assert wrong.verified.startswith(said) and not wrong.holds
    assert later.best is not None and later.best.number != best.number
    in_mlflow = InMlflow(later)
    assert in_mlflow.run(best.uuid).data.tags["kerastudy.verified"] == wrong.verified
    version = in_mlflow.champion
    assert version.tags["kerastudy.verified"] == wrong.verified
    told = f"Trial {best.number} does not count: {wrong.verified}."
    assert version.tags["kerastudy.verdict"] == told
    assert told in " ".join(study_text(later).split())
    assert told in in_mlflow.parent.data.tags["mlflow.note.content"]
    again = study.launch(**fields)
    assert again.is_champion(later.best)


HELD = """
import os, pathlib, time

import keras
import numpy as np

import kerastudy as ks

HERE = pathlib.Path(__file__).parent
x = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")


class Waiting(keras.callbacks.Callback):
    '''Waits in each training but the first, after an epoch, until it may go on.'''

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 0 and (HERE / "trained").exists():
            (HERE / f"{os.getpid()}.waits").touch()
            while not (HERE / "go").exists():
                time.sleep(0.01)

    def on_train_end(self, logs=None):
        (HERE / "trained").touch()


def build(hp):
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(hp["rate"]), "mse")
    return model


study = ks.Study(
    "held",
    data=ks.datasets.arrays(x, x[:, :1]),
    build=build,
    space=ks.SearchSpace(ks.Float("rate", 0.001, 0.1)),
    callbacks=lambda hp: [Waiting()],
    epochs=2,
    trials=1,
)
"""


@pytest.mark.exhaustive
def test_a_worker_and_a_driver_that_are_killed_while_they_verify_lose_nothing(
    tmp_path: Path,
) -> None:
    (tmp_path / "held.py").write_text(HELD, encoding="utf-8")
    arguments = ("launch", "held.py", "--store", "store", "--verify", "full")
    driver = subprocess.Popen([*KERASTUDY, *arguments], cwd=tmp_path, env=environment())
    try:
        first = waiting(tmp_path, driver, set())
        os.kill(first, signal.SIGKILL)
        # It is verified by another worker, whose driver dies.
        waiting(tmp_path, driver, {first})
    finally:
        driver.kill()
        driver.wait()
    store = store_at(tmp_path / "store")
    history = read_study(store, "held")
    assert history.registered is None
    (trial,) = history.trials
    assert (trial.state, trial.verified) == ("complete", "")
    (tmp_path / "go").touch()
    kerastudy(tmp_path, *arguments)
    history = read_study(store, "held")
    (again,) = history.trials
    assert (again.uuid, again.best, again.spec) == (trial.uuid, trial.best, trial.spec)
    assert again.verified == "model.fit, identical"
    assert history.is_champion(again)


def waiting(folder: Path, driver: subprocess.Popen[bytes], known: set[int]) -> int:
    """Returns the process that waits in a training, once there is another one than those known."""
    while True:
        assert driver.poll() is None, "the launch ended"
        found = {int(path.stem) for path in folder.glob("*.waits")} - known
        if found:
            return found.pop()
        time.sleep(0.02)
