"""State of the user's modules, which fits change: each fit begins as in a fresh process."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from pages import recipe_of
from user_commands import environment, kerastudy_here

import kerastudy as ks
from studies.definition import LaunchOptions
from studies.running import launch_target
from studies.training import UsersState
from studies.user_code import resolve_target

HELPERS = """
import numpy as np

rng = np.random.default_rng(7)


class Made:
    count = 0

    def __init__(self):
        Made.count += 1
"""
LATE = """
calls = []


def called():
    calls.append(1)
    return len(calls)
"""
STUDY = """
import keras
import numpy as np

import own_helpers
import kerastudy as ks
from own_helpers import Made

x = np.random.default_rng(3).normal(size=(120, 6)).astype("float32")
y = (x[:, 0] + 0.5 * x[:, 1] > 0).astype("int32")
scale = keras.Variable(1.0, name="scale")
seeds = keras.random.SeedGenerator(5)
rng = np.random.default_rng(0)
callbacks = [keras.callbacks.ReduceLROnPlateau(monitor="val_loss", patience=0, factor=0.5)]
steps = 0


class Shrink(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        global steps
        steps += 1
        scale.assign(scale * 0.7)
        rate = self.model.optimizer.learning_rate
        rate.assign(float(rate) * (1 + 0.1 * rng.random() + 0.01 * steps))


class Noise(keras.layers.Layer):
    def call(self, inputs, training=False):
        if not training:
            return inputs
        return inputs + 0.1 * keras.random.normal(keras.ops.shape(inputs), seed=seeds)


def loss(y_true, y_pred):
    return scale * keras.losses.sparse_categorical_crossentropy(y_true, y_pred)


def build(hp):
    import own_late

    Made()
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(3 + Made.count + own_late.called(), activation="relu"),
            Noise(),
            keras.layers.Dropout(hp["dropout"] * own_helpers.rng.random()),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("adam", loss, metrics=["accuracy"])
    return model


study = ks.Study(
    "stateful",
    data=ks.datasets.arrays(x, y, validation=30, test=None),
    build=build,
    space=ks.SearchSpace(ks.dropout(0.1, 0.6)),
    trials=3,
    epochs=3,
    batch_size=16,
    callbacks=lambda hp: [*callbacks, Shrink()],
)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study file with the modules that it imports, launched in this process."""
    folder = tmp_path_factory.mktemp("stateful")
    for name, text in {
        "own_helpers": HELPERS,
        "own_late": LATE,
        "stateful": STUDY,
        "by_hand": recipe_of("stateful"),
    }.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    launch(folder, "store", "in-process")
    return folder


def launch(folder: Path, store: str, executor: Any) -> None:
    launch_target(
        resolve_target(str(folder / "stateful.py")),
        LaunchOptions(
            store=folder / store, executor=executor, progress=False, verify="off", report=False
        ),
    )


def trials_in(store: Path) -> list[Any]:
    return list(ks.read_study("stateful", store=store).trials)


def test_a_trial_is_that_of_a_fresh_process_that_loads_the_file(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "by_hand.py", "2"],
        cwd=folder,
        env=environment(KERAS_BACKEND="tensorflow", KERASTUDY_STORE="store"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("identical in 3 epochs")


def test_it_is_reproduced(folder: Path) -> None:
    done = kerastudy_here(folder, "reproduce", "stateful", "--trial", "1", "--store", "store")
    assert done.stdout.startswith("identical"), done.stdout


@pytest.mark.exhaustive
def test_workers_give_the_same_and_say_once_what_fits_change(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["launch", "stateful.py", "--store", "workers", "--workers", "2", "--verify", "off"]
    done = kerastudy_here(folder, *command)
    assert [t.result.weights_sha256 for t in trials_in(folder / "workers")] == [
        t.result.weights_sha256 for t in trials_in(folder / "store")
    ]
    said = " ".join(done.stderr.split())
    for name in ("scale (stateful.py)", "steps (stateful.py)", "rng (own_helpers.py)"):
        assert said.count(name) == 1, said


def test_a_hypermodels_attributes_are_set_back(tmp_path: Path) -> None:
    class Growing(keras_tuner.HyperModel):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.built = 0

        def build(self, hp: Any) -> keras.Model:
            self.built += 1
            model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(self.built)])
            model.add(keras.layers.Dense(1))
            model.compile(keras.optimizers.SGD(hp.Float("rate", 0.01, 0.1)), "mse")
            return model

    x = np.random.default_rng(1).normal(size=(40, 6)).astype("float32")
    data = ks.datasets.arrays(x, x[:, 0], validation=10, test=None)
    study = ks.Study("growing", data=data, build=Growing(), trials=3, epochs=1)
    # Also for a second launch in the same process.
    for store in ("first", "second"):
        results = study.launch(store=tmp_path / store, progress=False, verify="off", report=False)
        # Six weights and a bias of the first layer, one of each of the second.
        assert [trial.result.model_parameters for trial in results.trials] == [6 + 1 + 1 + 1] * 3


class Holder:
    shared = 1

    def __init__(self) -> None:
        self.inner: dict[str, Any] = {"list": [1, [2]]}


HOLDER, VALUES = Holder(), {"array": np.arange(4.0), "more": (deque([1], 2), {1, 2})}
TABLES: dict[str, Any] = {"d": defaultdict(list), "o": OrderedDict(a=1), "c": Counter("aab")}
# Made by the test: TensorFlow gets its threads first.
VARIABLES: list[Any] = []
GENERATORS: list[Any] = [np.random.default_rng(1), np.random.RandomState(2)]
NUMBER = 1


def changes(seen: list[int] = []) -> None:  # noqa: B006
    """Changes all of this, in place or not."""
    global NUMBER, LATER
    NUMBER, LATER = 2, True
    seen.append(1)
    HOLDER.inner["list"][1].append(3)
    HOLDER.other = Holder.shared = 5  # type: ignore[attr-defined]
    VALUES["array"][:] = 0.0
    VALUES["more"][0].append(2)
    VALUES["more"][1].add(3)
    TABLES["d"]["x"].append(1)
    TABLES["o"]["b"] = TABLES["c"]["b"] = 7
    VARIABLES[0][0].assign(9.0)
    VARIABLES[1].assign(9.0)
    draws()


def draws() -> list[Any]:
    return [
        float(VARIABLES[2].uniform(())),
        GENERATORS[0].random(),
        GENERATORS[1].random(),
        float(keras.random.uniform((), seed=GENERATORS[2])),
    ]


def as_text() -> str:
    held = [HOLDER.inner, vars(HOLDER).keys(), Holder.shared, VALUES, TABLES, NUMBER]
    held += [VARIABLES[0].numpy(), VARIABLES[1].numpy(), "LATER" in globals(), changes.__defaults__]
    return repr(held)


def test_all_that_functions_reach_is_set_back_in_place() -> None:
    VARIABLES.extend((tf.Variable([1.0, 2.0]), keras.Variable(3.0)))
    VARIABLES.append(tf.random.Generator.from_seed(1))
    GENERATORS.append(keras.random.SeedGenerator(3))
    state = UsersState(changes)
    before, objects = as_text(), [VALUES["array"], HOLDER.inner, TABLES["d"]]
    first = draws()
    state.set_back()
    changes()
    assert as_text() != before
    assert set(state.set_back()) >= {
        f"{name} (test_users_state.py)"
        for name in ("NUMBER", "LATER", "HOLDER", "Holder", "VALUES", "TABLES", "VARIABLES")
    }
    assert state.changed() == []
    assert as_text() == before
    assert draws() == first
    now = [VALUES["array"], HOLDER.inner, TABLES["d"]]
    assert all(one is other for one, other in zip(objects, now, strict=True))
