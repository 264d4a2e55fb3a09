"""A model that can't be saved is built anew, and nothing of that stays in the user's process."""

from __future__ import annotations

import os
import random

import keras
import numpy as np
import pytest

import kerastudy as ks
from studies.definition import LaunchOptions
from studies.running import launch_target
from studies.user_code import resolve_target
from tracking.history import StudyHistory

STUDY = """
import os

import keras
import numpy as np

import kerastudy as ks

LATE = "late " + 40 * "🐝"
x = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")


class Late(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            logs[LATE] = 0.25


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
    callbacks=lambda hp: [Late()],
    epochs=2,
    trials=1,
)
"""


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> StudyHistory:
    folder = tmp_path_factory.mktemp("anew")
    (folder / "anew.py").write_text(STUDY, encoding="utf-8")
    return launch_target(
        resolve_target(str(folder / "anew.py")),
        LaunchOptions(store=folder / "store", executor="in-process", progress=False, verify="full"),
    )


def test_a_model_built_anew_leaves_settings_and_random_states_alone(
    launched: StudyHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = keras.config.epsilon()
    keras.config.set_epsilon(1e-3)
    monkeypatch.setenv("SET_BY_A_BUILDER", "")
    random.seed(3)
    np.random.seed(3)
    try:
        model = ks.load_model("anew", store=launched.store.root)
        assert model.dtype_policy.name == "mixed_bfloat16"
        assert keras.config.dtype_policy().name == "float32"
        assert keras.config.epsilon() == 1e-3
        assert os.environ["SET_BY_A_BUILDER"] == ""
        assert (random.random(), np.random.rand()) == (
            random.Random(3).random(),
            np.random.RandomState(3).rand(),
        )
    finally:
        keras.config.set_epsilon(before)


def test_a_metric_that_comes_late_under_a_long_name_is_recorded(launched: StudyHistory) -> None:
    (trial,) = launched.trials
    assert (trial.state, trial.verified) == ("complete", "model.fit, identical")
    first, second = (launched.curve(trial)[epoch] for epoch in (1, 2))
    (name,) = second.keys() - first.keys()
    assert name == "late " + 40 * "🐝" and second[name] == 0.25
