"""Texts: is a review good or bad? The model begins with the texts themselves.

`TextVectorization` turns words into numbers, with the words of the training part; it is a part of
the model, so the champion takes texts.
"""

import keras
import numpy as np

import kerastudy as ks

random = np.random.default_rng(0)
GOOD = ["lovely", "warm", "brilliant", "fresh", "kind"]
BAD = ["dull", "cold", "broken", "stale", "rude"]
OTHER = ["the", "room", "was", "and", "food", "staff", "very", "place"]


def review(good):
    """Makes a review of some words, one or two of them good or bad."""
    telling = random.choice(GOOD if good else BAD, random.integers(1, 3))
    words = [*telling, *random.choice(OTHER, 6)]
    return " ".join(random.permutation(words))


y = np.arange(400) % 2
x = np.array([review(good) for good in y])
data = ks.datasets.arrays(x, y)
output = ks.outputs.binary()


def build(hp):
    """Returns a compiled model for texts."""
    words = keras.layers.TextVectorization(max_tokens=200, output_sequence_length=10)
    ks.preprocessing.adapted(words, data)  # to the training part alone
    model = keras.Sequential([keras.layers.Input((), dtype="string"), words])
    model.add(keras.layers.Embedding(200, hp["length"]))
    model.add(keras.layers.GlobalAveragePooling1D())
    model.add(keras.layers.Dropout(hp["dropout"]))
    model.add(output.layer())
    optimizer = keras.optimizers.Adam(hp["learning_rate"])
    model.compile(optimizer, loss=output.loss, metrics=output.metrics)
    return model


study = ks.Study(
    "reviews",
    data=data,
    build=build,
    space=ks.SearchSpace(
        ks.learning_rate(1e-3, 1e-1), ks.Choice("length", [2, 4, 8]), ks.dropout()
    ),
    objective="val_accuracy",
    trials=8,
    epochs=8,
)
