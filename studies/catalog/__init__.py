"""Ready studies: each is a study file as a user would write it, loaded by its path.

They are the chapters of a first course on Keras. The first line of each file is its question.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

COURSE: Final[Mapping[str, tuple[str, ...]]] = {
    "The first study": ("digits",),
    "Under- and overfitting": ("underfitting-overfitting", "same-distribution"),
    "Training": ("epochs", "batch-size", "callbacks"),
    "Outputs and losses": ("binary", "metrics", "one-hot", "sparse", "regression"),
    "Gradient descent": ("linear-regression", "optimizers"),
    "Images": ("mnist", "fashion-mnist"),
    "Networks in detail": (
        "initializers",
        "regularization",
        "dropout",
        "batch-normalization",
        "activations",
    ),
    "Other networks and data": (
        "convolutional",
        "text",
        "time-series",
        "tabular",
        "transfer",
    ),
    "Everything at once": ("all-settings",),
}
"""The names of the studies by chapter, in the order of the course."""
