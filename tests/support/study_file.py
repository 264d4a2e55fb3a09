"""A small study in a file, which many tests launch by a command, some with other parts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from user_commands import Answer, as_json

# The builder imports Keras, so errors before its first call are shown without that import.
_TEXT = """import numpy as np

import kerastudy as ks
{imports}
random = np.random.default_rng(0)
{samples}

def build(hp):
    import keras
{first}
    model = keras.Sequential(
        [
            keras.layers.Input(x.shape[1:]),{hidden}
            keras.layers.Dense(len(set(y)), activation="softmax"),
        ]
    )
{compiled}
    {returned}

{more}
study = ks.Study(
{settings})
"""
_PARTS = {
    "imports": "",
    "samples": """y = np.arange(150) % 3
x = (random.normal(size=(150, 4)) + y[:, None]).astype("float32")
""",
    "first": "",
    "hidden": "",
    "compiled": """    optimizer = keras.optimizers.SGD(hp["learning_rate"])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])""",
    "returned": "return model",
    "more": "",
}
# Other parts, of a network with a hidden layer.
DEEP = {
    "hidden": """
            keras.layers.Dense(hp.get("units", 8), activation="relu"),
            keras.layers.Dropout(hp.get("dropout", 0.2)),""",
    "compiled": _PARTS["compiled"].replace(
        'SGD(hp["learning_rate"])', 'Adam(hp.get("learning_rate", 0.01))'
    ),
}
_SETTINGS = {
    "name": '"blobs"',
    "data": "ks.datasets.arrays(x, y)",
    "build": "build",
    "space": "ks.SearchSpace(ks.learning_rate(1e-3, 1.0))",
    "objective": '"val_accuracy"',
    "trials": "3",
    "epochs": "2",
}


def study_text(**replaced: str) -> str:
    """Returns the text of a study file. `replaced` has other parts, and settings in Python."""
    parts = {name: replaced.pop(name, usual) for name, usual in _PARTS.items()}
    settings = {**_SETTINGS, **replaced}
    lines = "".join(f"    {name}={setting},\n" for name, setting in settings.items())
    return _TEXT.format(settings=lines, **parts)


def write_study(folder: Path, file: str = "study.py", **replaced: str) -> Path:
    """Writes the study of `study_text` into a folder. Returns the file's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(study_text(**replaced), encoding="utf-8")
    return folder / file


@dataclass(frozen=True)
class Launched:
    """A launched study: the folder where the command ran, the file, the store, and the answer."""

    folder: Path
    file: Path
    store: Path
    answer: Answer

    @property
    def document(self) -> Any:
        """The JSON document that the command printed."""
        return as_json(self.answer)
