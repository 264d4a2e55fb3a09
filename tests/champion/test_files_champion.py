"""Images and texts in folders: studied, and predicted from raw files, also without kerastudy."""

import json
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from user_commands import as_json, kerastudy_here, run

LAUNCH = ("--trials", "1", "--epochs", "1", "--verify", "off", "--executor", "in-process", "-q")
IMAGES = """
import keras
import kerastudy as ks

def build(hp):
    model = keras.Sequential([
        keras.layers.Input((8, 6, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten(),
        keras.layers.Dense(2, "softmax"),
    ])
    model.compile(keras.optimizers.Adam(hp["learning_rate"]), "sparse_categorical_crossentropy",
                  metrics=["accuracy"])
    return model

study = ks.Study("photos", data=ks.datasets.images("mine", image_size=(8, 6)), build=build,
                 space=ks.SearchSpace(ks.learning_rate()), objective="val_accuracy")
"""
# A user's script: it has only Keras, which also reads the image.
PREDICT_IMAGE = """
import json, sys
import keras
model = keras.models.load_model(sys.argv[1])
image = keras.utils.image_dataset_from_directory(
    sys.argv[2], labels=None, image_size=(8, 6), shuffle=False, verbose=False)
print(json.dumps(model.predict(image, verbose=0).tolist()))
assert "kerastudy" not in sys.modules
"""


def alone(folder: Path, code: str, *arguments: Any) -> np.ndarray:
    """Returns the predictions of a process without kerastudy, by the champion's file."""
    (model,) = (folder / "kerastudy-store").glob("*/champion/**/model.keras")
    answer = run(folder, [sys.executable, "-P", "-c", code, str(model), *map(str, arguments)])
    return np.array(json.loads(answer.stdout.splitlines()[-1]))


def photos(folder: Path, seed: int, count: int = 20) -> None:
    random = np.random.default_rng(seed)
    for number in range(count):
        place = folder / ("day", "night")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 128, (9, 11, 3)) + (127 if number % 2 == 0 else 0)
        keras.utils.save_img(place / f"{number:02}.png", pixels, scale=False)


def test_a_folder_in_place_of_the_images_of_a_study(tmp_path: Path) -> None:
    photos(tmp_path / "the photos", 1)
    photos(tmp_path / "new" / "unsorted", 2, 4)
    (tmp_path / "study.py").write_text(IMAGES, encoding="utf-8")
    # The study's own folder does not exist.
    kerastudy_here(tmp_path, "launch", "study.py", "--data", "the photos", *LAUNCH)
    predictions = as_json(
        kerastudy_here(tmp_path, "predict", "photos", "--input", "new", "--probabilities", "--json")
    )["predictions"]
    assert {row["class"] for row in predictions} <= {"day", "night"}
    odds = np.array([[row["probability_day"], row["probability_night"]] for row in predictions])
    np.testing.assert_allclose(odds, alone(tmp_path, PREDICT_IMAGE, "new"), atol=0.01)
    kerastudy_here(tmp_path, "predict", "photos", "--input", "new", "--output", "out.csv")
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines == ["file,class", *(f"{row['file']},{row['class']}" for row in predictions)]
    damaged = tmp_path / "damaged.PNG"
    damaged.write_bytes(b"\x89PNG no more")
    answer = kerastudy_here(tmp_path, "predict", "photos", "--input", str(damaged), expect=2)
    assert f"{str(damaged)!r} can't be read as an image" in answer.stderr
