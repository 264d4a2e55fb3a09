"""A study of blobs in a file, which many tests launch by a command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from user_commands import Answer, as_json

# The builder imports Keras, so errors before its first call are shown without that import.
STUDY_FILE = """
import numpy as np

import kerastudy as ks

random = np.random.default_rng(0)
y = np.arange(150) % 3
x = (random.normal(size=(150, 4)) + y[:, None]).astype("float32")


def build(hp):
    import keras

    model = keras.Sequential(
        [keras.layers.Input((4,)), keras.layers.Dense(3, activation="softmax")]
    )
    model.compile(
        keras.optimizers.SGD(hp["learning_rate"]),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


study = ks.Study(
    "blobs",
    data=ks.datasets.arrays(x, y),
    build=build,
    space=ks.SearchSpace(ks.learning_rate(1e-3, 1.0)),
    objective="val_accuracy",
    trials=3,
    epochs=2,
)
"""


@dataclass(frozen=True)
class Launched:
    """A launched study: the folder where the command ran, the file, the store, and the answer."""

    folder: Path
    file: Path
    store: Path
    told: Answer

    @property
    def document(self) -> Any:
        """The JSON document that the command printed."""
        return as_json(self.told)


def write_study(folder: Path, **replaced: str) -> Path:
    """Writes the study file. `replaced` has new texts for some of `PLACES`."""
    text = STUDY_FILE
    for place, new in replaced.items():
        old = PLACES[place]
        assert text.count(old) == 1, f"{old!r} is not once in the study file"
        text = text.replace(old, new)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "my_study.py"
    path.write_text(text, encoding="utf-8")
    return path


PLACES = {
    "name": '"blobs"',
    "data": "ks.datasets.arrays(x, y)",
    "space": "ks.SearchSpace(ks.learning_rate(1e-3, 1.0))",
    "objective": '"val_accuracy"',
    "trials": "trials=3",
    "epochs": "epochs=2",
    "seed": "    epochs=2,",
    "returned": "    return model\n",
    "compiled": """    model.compile(
        keras.optimizers.SGD(hp["learning_rate"]),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
""",
    "study": 'study = ks.Study(\n    "blobs"',
    "imports": "import kerastudy as ks\n",
}
