"""State of the user's modules and of the process, which fits change: each begins as if alone."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from exact_training import by_hand, samples, spec_of
from model_zoo import compiled, stack
from pages import recipe_of
from user_commands import environment

import kerastudy as ks
from studies.definition import LaunchOptions
from studies.executors import Session
from studies.launching import launch_target
from studies.training import UsersState
from studies.user_code import resolve_target
from tracking.history import StudyHistory
from tracking.records import CodeDescription, EpochResult, TrialTask

layers = keras.layers
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


def test_a_trial_is_that_of_a_fresh_process_that_loads_the_file(tmp_path: Path) -> None:
    """In which plain Keras trains it, as docs/reproducing.md says."""
    for name, text in {
        "own_helpers": HELPERS,
        "own_late": LATE,
        "stateful": STUDY,
        "by_hand": recipe_of("stateful"),
    }.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    launch(tmp_path / "stateful.py", tmp_path / "store")
    done = subprocess.run(
        [sys.executable, "by_hand.py", "2"],
        cwd=tmp_path,
        env=environment(KERAS_BACKEND="tensorflow", KERASTUDY_STORE="store"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("identical in 3 epochs")


def launch(file: Path, store: Path) -> StudyHistory:
    options = LaunchOptions(store=store, executor="in-process", progress=False, verify="off")
    return launch_target(resolve_target(str(file)), options)


def test_a_hypermodels_attributes_are_set_back(tmp_path: Path) -> None:
    class Growing(keras_tuner.HyperModel):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.built = 0

        def build(self, hp: Any) -> keras.Model:
            self.built += 1
            rate = hp.Float("rate", 0.01, 0.1)
            return compiled(stack(keras.layers.Dense(self.built)), keras.optimizers.SGD(rate))

    part = samples().train
    data = ks.datasets.arrays(part.x, part.y, validation=10, test=None)
    study = ks.Study("growing", data=data, build=Growing(), trials=2, epochs=1)
    # Also for a second launch in the same process.
    for store in ("first", "second"):
        results = study.launch(store=tmp_path / store, progress=False, verify="off", report=False)
        # Twelve weights and a bias of the first layer, two for each class of the second.
        assert [trial.result.model_parameters for trial in results.trials] == [12 + 1 + 6] * 2


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


def other_settings() -> None:
    keras.config.set_floatx("float64")
    keras.config.set_epsilon(0.1)
    keras.config.set_image_data_format("channels_first")
    keras.config.set_max_epochs(1)
    tf.config.run_functions_eagerly(True)
    os.environ["USER_SCALE"] = "3.0"


SETTINGS = {
    "nothing": lambda: None,
    "policy": lambda: keras.mixed_precision.set_global_policy("mixed_float16"),
    "others": other_settings,
}


def build(hp: Mapping[str, Any]) -> keras.Model:
    SETTINGS[hp["setting"]]()
    scale = layers.Lambda(lambda x: x * float(os.environ.get("USER_SCALE", "1.0")))
    return compiled(stack(layers.Dense(4, "tanh"), layers.BatchNormalization(), scale))


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions")
@pytest.mark.filterwarnings("ignore:Limiting epochs")
def test_what_a_builder_sets_for_the_whole_process_ends_with_its_trial(tmp_path: Path) -> None:
    splits, spec = samples(), spec_of(2)
    wanted = by_hand(lambda: build({"setting": "nothing"}), splits, spec)
    data = ks.datasets.arrays(
        *(splits.train.x, splits.train.y),
        validation=(splits.validation.x, splits.validation.y),
        test=None,
    )
    # The default ones, which a launch tries first, are those that set most.
    space = ks.SearchSpace(ks.Choice("setting", list(SETTINGS)[::-1]))
    study = ks.Study("settings", data=data, build=build, space=space, objective="val_loss")
    session = Session.open(study, CodeDescription("", "", "", ""), None)
    for setting in [*SETTINGS][1:]:
        epochs: list[Mapping[str, float]] = []

        def on_epoch(epoch: EpochResult, epochs: list[Any] = epochs) -> Any:
            epochs.append(epoch.metrics)
            return "continue"

        for tried in {setting: None, "nothing": None}:
            epochs.clear()
            task = TrialTask(
                replace(spec, values={"setting": tried}), space, tmp_path / "best.weights.h5"
            )
            session.run(task, on_epoch)
        assert epochs == [epoch.metrics for epoch in wanted], f"after {setting}"
    session.save_champion(
        replace(spec, values={"setting": "others"}),
        tmp_path / "best.weights.h5",
        space,
        tmp_path / "champion",
    )
    assert keras.config.dtype_policy().name == keras.config.floatx() == "float32"
    assert "USER_SCALE" not in os.environ


ANEW = """
import os

import keras
import numpy as np

import kerastudy as ks

x = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")


def build(hp):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    keras.config.set_epsilon(0.01)
    os.environ["SET_BY_A_BUILDER"] = "1"
    model = keras.Sequential([keras.layers.Dense(2), keras.layers.Lambda(lambda x: x + 1.0)])
    model.compile(keras.optimizers.SGD(hp["rate"]), "mse")
    return model


study = ks.Study(
    "anew",
    data=ks.datasets.arrays(x, x[:, :2]),
    build=build,
    space=ks.SearchSpace(ks.Float("rate", 0.001, 0.1)),
    epochs=1,
    trials=1,
)
"""


def test_a_model_that_is_built_anew_leaves_settings_and_random_states_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it can't be saved, loading it calls its builder, whose text is in the record."""
    (tmp_path / "anew.py").write_text(ANEW, encoding="utf-8")
    best = launch(tmp_path / "anew.py", tmp_path / "store").best
    (tmp_path / "anew.py").unlink()
    x = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
    part = ks.datasets.arrays(x, x[:, :2]).load().validation
    before = keras.config.epsilon()
    keras.config.set_epsilon(1e-3)
    monkeypatch.setenv("SET_BY_A_BUILDER", "")
    random.seed(3)
    np.random.seed(3)
    try:
        model = ks.load_model("anew", store=tmp_path / "store")
        assert model.dtype_policy.name == "mixed_bfloat16"
        assert keras.config.dtype_policy().name == "float32"
        assert keras.config.epsilon() == 1e-3
        assert os.environ["SET_BY_A_BUILDER"] == ""
        assert (random.random(), np.random.rand()) == (
            random.Random(3).random(),
            np.random.RandomState(3).rand(),
        )
        assert best is not None
        assert model.evaluate(part.x, part.y, verbose=0) == pytest.approx(best.value, rel=1e-6)
    finally:
        keras.config.set_epsilon(before)
