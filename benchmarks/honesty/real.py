"""Part b: trains and confirms small studies on MNIST; images that they never saw judge them."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import kerastudy as ks
from tracking.records.confirmation_evaluation_and_prediction_records import Confirmation, Interval

_TRAIN, _PART = 1000, 360
_TRIALS, _EPOCHS, _BATCH = 12, 6, 50
_TRUTH_SEEDS = 10
_STUDIES_OF_A_STORE = 20


class Images:
    """MNIST's 70,000 images, split for one study.

    Attributes:
        train: 1,000 images and their classes.
        validation: 360 images and their classes.
        test: 360 images and their classes.
        rest: All other images, which stand for infinitely many, and their classes.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, seed: int) -> None:
        order = np.random.default_rng(seed).permutation(len(x))
        bounds = np.cumsum([_TRAIN, _PART, _PART])
        parts = zip(np.split(x[order], bounds), np.split(y[order], bounds), strict=True)
        self.train, self.validation, self.test, self.rest = parts


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns all images, their pixels between 0 and 1, and their classes."""
    with np.load(path) as file:
        x = np.concatenate([file["x_train"], file["x_test"]]).reshape(-1, 784)
        y = np.concatenate([file["y_train"], file["y_test"]])
    return (x / 255).astype(np.float32), y.astype(np.int64)


def build(hp: Any) -> Any:
    """Returns a compiled network for ten classes."""
    import keras

    layers = [
        keras.layers.Input((784,)),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dropout(hp["dropout"]),
        keras.layers.Dense(10, activation="softmax"),
    ]
    model = keras.Sequential(layers)
    model.compile(
        optimizer=keras.optimizers.Adam(hp["learning_rate"]),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def real_studies(path: Path, studies: int, first: int = 0) -> dict[str, Any]:
    """Launches and confirms studies; returns how many intervals are right, and biases in points.

    The truth of the corrected value is the accuracy of the best trial's model on images that the
    study never saw. The truth of the confirmed value is the winner's mean accuracy on these images,
    trained by plain Keras under 10 more seeds.

    Args:
        path: mnist.npz.
        studies: How many studies.
        first: The number of the first study; each has its own images and seed.
    """
    hits = {"corrected": 0, "confirmed": 0}
    errors: dict[str, list[float]] = {"reported": [], "corrected": [], "confirmed": []}
    x, y = read(path)
    folder = Path(tempfile.mkdtemp())
    for number in range(first, first + studies):
        if number > first and (number - first) % _STUDIES_OF_A_STORE == 0:
            shutil.rmtree(folder)
            # The next studies get a new store elsewhere: the former one's database is still open.
            folder = Path(tempfile.mkdtemp())
        confirmation, model, expected = _one(Images(x, y, number), number, folder)
        if confirmation.corrected is None or confirmation.confirmed is None:
            raise ks.errors.StudyError(
                f"study {number} has no verdict: {' '.join(confirmation.notes)}"
            )
        hits["corrected"] += _holds(confirmation.corrected.estimate, model)
        hits["confirmed"] += _holds(confirmation.confirmed, expected)
        errors["reported"].append(confirmation.reported - model)
        errors["corrected"].append(confirmation.corrected.estimate.value - model)
        errors["confirmed"].append(confirmation.confirmed.value - expected)
        print(
            f"study {number}: reported {confirmation.reported:.3f}, "
            f"corrected {confirmation.corrected.estimate}, model {model:.4f}; "
            f"confirmed {confirmation.confirmed}, winner {expected:.4f}",
            file=sys.stderr,
            flush=True,
        )
    shutil.rmtree(folder)
    biases = {
        f"bias of the {k}": 100 * float(np.mean(deviations)) for k, deviations in errors.items()
    }
    return {"studies": studies, **hits, **biases}


def _one(images: Images, seed: int, folder: Path) -> tuple[Confirmation, float, float]:
    """Returns a study's confirmation, and the accuracies of its best model and of the winner."""
    names = ("train", "validation", "test")
    parts = {name: getattr(images, name) for name in names}
    data = ks.datasets.arrays(
        *parts["train"], validation=parts["validation"], test=parts["test"], name="mnist"
    )
    study = ks.Study(
        f"mnist {seed}",
        data=data,
        build=build,
        space=ks.SearchSpace(ks.learning_rate(1e-4, 1e-1), ks.dropout(0.0, 0.7)),
        objective="val_accuracy",
        trials=_TRIALS,
        epochs=_EPOCHS,
        batch_size=_BATCH,
        seed=seed,
    )
    options: dict[str, Any] = {"store": folder / "store", "progress": False}
    study.launch(report=False, verify="off", **options)
    confirmation = study.confirm(**options)
    history = ks.read_study(study.name, store=folder / "store")
    model = history.trial(confirmation.reported_trial).load_model(trust=True)
    values = history.trial(confirmation.winner).params
    return confirmation, _accuracy(model, images.rest), _expected(values, images, seed)


def _expected(values: Any, images: Images, seed: int) -> float:
    """Returns a configuration's mean accuracy under new seeds, at their best validation epochs."""
    import keras

    x, y = images.validation
    accuracies = []
    # All trainings use one model, which is traced once. Each begins with new weights.
    model = build(values)
    model.optimizer.build(model.trainable_variables)
    for further in range(_TRUTH_SEEDS):
        keras.utils.set_random_seed(1_000_003 * (seed + 1) + further)
        new = build(values)
        new.optimizer.build(new.trainable_variables)
        model.set_weights(new.get_weights())
        for variable, value in zip(model.optimizer.variables, new.optimizer.variables, strict=True):
            variable.assign(value)
        best, weights = -1.0, model.get_weights()
        for _ in range(_EPOCHS):
            model.fit(*images.train, batch_size=_BATCH, verbose=0)
            value = _accuracy(model, (x, y))
            if value > best:
                best, weights = value, model.get_weights()
        model.set_weights(weights)
        accuracies.append(_accuracy(model, images.rest))
    return float(np.mean(accuracies))


def _accuracy(model: Any, part: tuple[np.ndarray, np.ndarray]) -> float:
    x, y = part
    return float(np.mean(np.argmax(model.predict_on_batch(x), axis=1) == y))


def _holds(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high
