"""A small study of a table, whose champion tests use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from user_commands import kerastudy_here

STUDY = """
import numpy as np
import pandas as pd

import kerastudy as ks

random = np.random.default_rng(4)


def table(count):
    drawn = {"size": random.normal(3e4, 2e3, count), "age": random.integers(0, 90, count)}
    made = pd.DataFrame(drawn)
    kinds = np.where((made["size"] - 3e4) / 2e3 + made["age"] / 45 > 1, "=large", "small")
    return made, kinds


x, y = table(120)
x_test, y_test = table(50)


def build(hp):
    import keras

    model = keras.Sequential(
        [
            keras.layers.Input((2,)),
            keras.layers.Dense(hp["units"], activation="relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(0.01), loss=loss, metrics=["accuracy"])
    return model


def callbacks(hp):
    import keras

    return [keras.callbacks.EarlyStopping("val_loss", patience=50)]


study = ks.Study(
    "kinds",
    data=ks.datasets.arrays(x, y, validation=40, test=(x_test, y_test), preprocess="standardize"),
    build=build,
    callbacks=callbacks,
    space=ks.SearchSpace(ks.units(2, 9)),
    objective=ks.Objective("val_loss", "min"),
    trials=2,
    epochs=2,
    batch_size=16,
    keep=1,
)
"""


@dataclass(frozen=True)
class Kinds:
    """The launched study: its folder, and its trials in `show --json`, the best first."""

    folder: Path
    trials: list[dict[str, Any]]

    @property
    def store(self) -> Path:
        return self.folder / "kerastudy-store"

    def run(self, *arguments: str | Path, expect: int | None = 0, **more: str) -> Any:
        return kerastudy_here(self.folder, *arguments, expect=expect, **more)

    def launch(self, trials: int) -> Any:
        return self.run(
            *("launch", "study.py", "--executor", "in-process", "--trials", str(trials), "--json"),
            *("--verify", "off"),
        )

    def module(self) -> dict[str, Any]:
        """Runs the study's file, and returns its variables, such as the data."""
        names: dict[str, Any] = {}
        exec(STUDY, names)
        return names
