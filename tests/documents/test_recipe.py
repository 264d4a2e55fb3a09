"""The recipe of docs/reproducing.md, word by word, for a study with all that it speaks of."""

import sys
from pathlib import Path

from pages import recipe_of
from suite import one_thread
from user_commands import kerastudy_here, run

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
import random

import keras
import numpy as np

import kerastudy as ks
import own_helpers
from own_helpers import Made

rng = np.random.default_rng(3)
x = rng.normal(size=(100, 8, 8, 1)).astype("float32")
y = (x.mean(axis=(1, 2, 3)) > 0).astype("int32")
weights = rng.uniform(0.5, 2.0, size=100).astype("float32")
prior = keras.layers.Dense(4, activation="gelu")
# Each fit changes these too, and begins as if its process had just loaded the file.
scale = keras.Variable(1.0, name="scale")
seeds = keras.random.SeedGenerator(5)
slower = [keras.callbacks.ReduceLROnPlateau(monitor="val_loss", patience=0, factor=0.5)]
steps = 0


class Jitter(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        global steps
        steps += 1
        scale.assign(scale * 0.7)
        rate = self.model.optimizer.learning_rate
        drawn = random.random() + np.random.random() + rng.random()
        rate.assign(float(rate) * (0.9 + 0.1 * drawn + 0.01 * steps))


class Noise(keras.layers.Layer):
    def call(self, inputs, training=False):
        if not training:
            return inputs
        return inputs + 0.1 * keras.random.normal(keras.ops.shape(inputs), seed=seeds)


class Block(keras.layers.Layer):
    def __init__(self, units, rate):
        super().__init__()
        self.units, self.rate = units, rate

    def build(self, shape):
        self.dense = keras.layers.Dense(self.units, activation="gelu")
        self.dropout = keras.layers.Dropout(self.rate)

    def call(self, inputs, training=False):
        return self.dropout(self.dense(inputs), training=training)


class Net(keras.Model):
    def __init__(self, units, rate):
        super().__init__()
        self.augment = keras.layers.RandomTranslation(0.2, 0.2)
        self.flat, self.block = keras.layers.Flatten(), Block(units, rate)
        self.noise, self.normal = Noise(), keras.layers.BatchNormalization()
        self.last = keras.layers.Dense(2, activation="softmax")

    def call(self, inputs, training=False):
        hidden = self.flat(self.augment(inputs, training=training))
        hidden = self.noise(self.block(hidden, training=training), training=training)
        hidden = self.normal(hidden, training=training)
        return self.last(prior(hidden))


def loss(y_true, y_pred):
    return scale * keras.losses.sparse_categorical_crossentropy(y_true, y_pred)


def build(hp):
    import own_late

    Made()
    units = 6 + Made.count + own_late.called()
    model = Net(units, hp["dropout"] * own_helpers.rng.random())
    optimizer = keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9)
    model.compile(optimizer, loss, metrics=["accuracy"], weighted_metrics=["accuracy"])
    return model


study = ks.Study(
    "all",
    data=ks.datasets.arrays(x, y, validation=20, test=None, sample_weight=weights),
    build=build,
    space=ks.SearchSpace(ks.dropout(0.1, 0.6), ks.Choice("batch_size", [16])),
    callbacks=lambda hp: [*slower, Jitter()],
    trials=2,
    keep=2,
    epochs=3,
    threads=1,
)
"""
# The script also checks that the weights are those of the recorded checkpoint.
WEIGHTS = """
model.load_weights(sys.argv[2])
assert all(np.array_equal(*pair) for pair in zip(best.weights, model.get_weights(), strict=True))
print("and in its weights")
"""


def test_a_trial_by_hand_is_the_recorded_one(tmp_path: Path) -> None:
    for name, text in {
        "all_of_it": STUDY,
        "own_helpers": HELPERS,
        "own_late": LATE,
        "by_hand": recipe_of("all_of_it") + WEIGHTS,
    }.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    # A process has the threads that it had first, and variables of the study's file use them.
    one_thread()
    options = ("--store", "store", "--verify", "off", "--executor", "in-process")
    kerastudy_here(tmp_path, "launch", "all_of_it.py", *options)
    (checkpoint,) = (tmp_path / "store").rglob("trial-00001.weights.h5")
    usual = {"KERAS_BACKEND": "tensorflow", "KERASTUDY_STORE": "store"}
    answer = run(tmp_path, [sys.executable, "by_hand.py", "1", str(checkpoint)], **usual)
    assert answer.stdout.startswith("identical in 3 epochs")
    assert answer.stdout.endswith("and in its weights\n")
