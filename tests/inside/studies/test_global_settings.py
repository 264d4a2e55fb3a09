"""What a builder sets for the whole process ends with its trial."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf
from exact_training import by_hand, samples, spec_of
from model_zoo import compiled, stack

import kerastudy as ks
from studies.executors import Session
from tracking.records import CodeDescription, EpochResult, TrialTask

layers = keras.layers


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


class Scaled(keras.layers.Layer):
    def call(self, x: Any) -> Any:
        return x * float(os.environ.get("USER_SCALE", "1.0"))


def build(hp: Mapping[str, Any]) -> keras.Model:
    SETTINGS[hp["setting"]]()
    return compiled(stack(layers.Dense(4, "tanh"), layers.BatchNormalization(), Scaled()))


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions")
@pytest.mark.filterwarnings("ignore:Limiting epochs")
def test_a_trial_depends_on_none_before_it(tmp_path: Path) -> None:
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
