"""Ready studies: each is a study file as a user would write it, loaded by its path.

They are the chapters of a first course on Keras, in this order:

| file | shows |
|---|---|
| `digits` | the first study: a small network on handwritten digits |
| `underfitting_overfitting` | networks too small and too large, and three remedies |
| `epochs` | how long to train |
| `binary` | two classes, one of them rarer |
| `one_hot`, `sparse` | the two ways to write classes, and their losses |
| `regression` | a numeric target far from 0 |
| `linear_regression` | a line through points with outliers: which loss finds it |
| `optimizers` | ways down the slope of the loss, each with its own learning rate |
| `mnist`, `fashion_mnist` | images, with one hidden layer |
| `initializers` | the weights to begin with |
| `regularization` | penalties on large weights |
| `dropout` | units left out |
| `batch_normalization` | inputs of layers kept at one scale |
| `activations` | functions of hidden layers |
| `convolutional` | what it is worth to know which pixels are neighbours |
| `text` | texts as samples, which a layer of the model splits into words |
| `time_series` | windows of hours, parts cut in time, data that depends on a hyperparameter |
| `transfer` | a base that has learnt something else, frozen and then unfrozen |
| `tabular` | a table: numbers, categories and missing values |
| `all_settings` | all settings of a course on neural networks in one space |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

COURSE: Final[Mapping[str, tuple[str, ...]]] = {
    "The first study": ("digits",),
    "Under- and overfitting": ("underfitting-overfitting", "epochs"),
    "Outputs and losses": ("binary", "one-hot", "sparse", "regression"),
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
