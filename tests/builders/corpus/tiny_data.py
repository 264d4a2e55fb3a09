"""Data that is small enough to train on in a test: made up, and learnable."""

import numpy as np

import kerastudy as ks

FEATURES, CLASSES = 4, 3


def classes():
    """40 samples of 4 features in 3 classes, which two of the features tell apart."""
    x = np.random.default_rng(0).normal(size=(40, FEATURES)).astype("float32")
    y = np.digitize(x[:, 0] + x[:, 1], [-0.6, 0.6]).astype("int32")
    return ks.datasets.arrays(x, y, validation=8, test=0)


def numbers():
    """40 samples of 4 features, and a number that is nearly linear in them."""
    draw = np.random.default_rng(1)
    x = draw.normal(loc=2.0, scale=3.0, size=(40, FEATURES)).astype("float32")
    y = (x @ np.array([0.5, -0.2, 0.1, 0.0]) + draw.normal(scale=0.1, size=40)).astype("float32")
    return ks.datasets.arrays(x, y, validation=8, test=0)


def images(size, count):
    """Images of noise in color, in two classes, one-hot."""
    draw = np.random.default_rng(2)
    x = draw.random(size=(count, size, size, 3)).astype("float32")
    y = np.eye(2, dtype="float32")[np.arange(count) % 2]
    return ks.datasets.arrays(x, y, validation=count // 2, test=0)
