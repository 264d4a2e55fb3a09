"""A registered model takes samples as its user has them, and gives its trial's own values."""

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from mlflow.models import get_model_info
from sklearn.preprocessing import LabelEncoder
from user_commands import run

from studies.data import datasets
from studies.training import save_for_mlflow

SAMPLES = 40
random = np.random.default_rng(0)
# Features of very different sizes, as float64: what Keras reads as float32.
X = random.normal([3e5, 2, -7e-3], [4e4, 5, 1e-3], size=(SAMPLES, 3))
Y = (X[:, 0] / 1e3 + X[:, 1]).astype("float32")
AGES, NEW = random.integers(0, 90, SAMPLES), random.integers(0, 2, SAMPLES).astype(bool)
TABLE = pd.DataFrame({"size": X[:, 0], "age": AGES, "new": NEW})
IMAGES = random.integers(0, 256, (SAMPLES, 3, 2)).astype("uint8")
NAMES = ["cat", "dog", "eel"]
LABELS = np.array(NAMES)[np.arange(SAMPLES) % 3]

# A user runs this with Keras and MLflow, and without kerastudy.
SCORE = """
import json, pickle, sys
import mlflow.keras, mlflow.pyfunc, tensorflow as tf

tf.config.experimental.enable_op_determinism()
tf.config.threading.set_intra_op_parallelism_threads(1)
served = {}
for name in sys.argv[2:]:
    folder = f"{sys.argv[1]}/{name}"
    with open(f"{folder}.pkl", "rb") as file:
        x, y, table = pickle.load(file)
    model = mlflow.pyfunc.load_model(folder)
    raw = model.get_raw_model()
    if table is not None:
        # Another order, and a column more, as tables have them.
        predicted = model.predict(table[table.columns[::-1]].assign(other=1)).to_numpy()
        assert (predicted == raw.predict(x, verbose=0)).all()
    else:
        model.predict(x)
        loaded = mlflow.keras.load_model(folder)
        assert (loaded.predict(x) == raw.predict(x)).all()
    served[name] = {
        "scores": raw.evaluate(x, y, batch_size=8, verbose=0, return_dict=True),
        "inputs": model.metadata.signature.inputs.to_dict(),
        "metadata": model.metadata.metadata,
        "example": model.metadata.load_input_example(folder) is not None,
    }
served["kerastudy"] = "kerastudy" in sys.modules or "studies" in sys.modules
print(json.dumps(served))
"""


def sequential() -> Any:
    layers = [keras.layers.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.SGD(1e-3), loss="mse", metrics=["mae"])
    return model


def functional() -> Any:
    """One input of images, in a graph that uses it twice."""
    image = keras.Input((3, 2), name="image")
    flat = keras.layers.Flatten()(image)
    hidden = keras.layers.Concatenate()([flat, keras.layers.Dense(2)(flat)])
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax")(hidden))
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


# Each name has a model, its samples and targets, and the preprocessing.
CASES: dict[str, tuple[Any, Any, Any, Any]] = {
    "standardize": (sequential, X, Y, "standardize"),
    "minmax": (sequential, X.astype("float32"), Y, "minmax"),
    "table": (sequential, TABLE, Y, "standardize"),
    "images": (functional, IMAGES, LABELS, "standardize"),
}


Scored = tuple[dict[str, Any], dict[str, Any]]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Scored:
    """The metrics of each model on its preprocessed data, and its model in a fresh process."""
    tf.config.experimental.enable_op_determinism()
    folder, own = tmp_path_factory.mktemp("models"), dict[str, Any]()
    for name, (build, x, y, preprocess) in CASES.items():
        keras.utils.set_random_seed(0)
        splits = datasets.arrays(x, y, preprocess=preprocess).load()
        model = build()
        model.fit(splits.train.x, splits.train.y, batch_size=8, verbose=0)
        part = splits.validation
        own[name] = model.evaluate(part.x, part.y, batch_size=8, verbose=0, return_dict=True)
        save_for_mlflow(model, splits, folder / name)
        raw = datasets.arrays(x, y).load().validation
        table = None
        if isinstance(x, pd.DataFrame):
            table = pd.DataFrame(raw.x, columns=x.columns).astype(x.dtypes)
        (folder / f"{name}.pkl").write_bytes(pickle.dumps((raw.x, raw.y, table)))
    answer = run(folder, [sys.executable, "-P", "-c", SCORE, str(folder), *CASES])
    return own, json.loads(answer.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", CASES)
def test_raw_validation_data_scores_as_in_training(name: str, scored: Scored) -> None:
    own, served = scored
    assert served[name]["scores"] == own[name] and served[name]["example"]
    assert served["kerastudy"] is False


def test_signatures_are_of_raw_data(scored: Scored) -> None:
    _, served = scored
    inputs = [(column["name"], column["type"]) for column in served["table"]["inputs"]]
    assert inputs == [("size", "double"), ("age", "long"), ("new", "boolean")]
    for name, dtype, shape in (("standardize", "float64", [3]), ("images", "uint8", [3, 2])):
        tensor = served[name]["inputs"][0]["tensor-spec"]
        assert tensor == {"dtype": dtype, "shape": [-1, *shape]}
    assert served["images"]["metadata"]["class_names"] == NAMES
    assert served["table"]["metadata"]["preprocessing"] == {"x": "standardize"}


def test_signatures_have_the_type_of_what_a_model_predicts(tmp_path: Path) -> None:
    splits = datasets.arrays(X, Y).load()
    for dtype in ("float16", "float32", "int32"):
        raw = keras.Input((3,))
        model = keras.Model(raw, keras.ops.cast(keras.layers.Dense(1)(raw), dtype))
        save_for_mlflow(model, splits, tmp_path / dtype)
        (output,) = get_model_info(str(tmp_path / dtype)).signature.outputs.to_dict()
        assert output["tensor-spec"]["dtype"] == dtype


def test_an_encoder_names_the_classes() -> None:
    encoder = LabelEncoder().fit(LABELS)
    coded = datasets.arrays(X, encoder.transform(LABELS), class_names=encoder).load()
    named = datasets.arrays(X, LABELS).load()
    assert coded.preparation.class_names == named.preparation.class_names == tuple(NAMES)
    assert np.array_equal(coded.train.y, named.train.y)
    assert named.digest == coded.digest
