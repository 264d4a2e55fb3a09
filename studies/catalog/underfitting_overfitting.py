"""Too small, too large: how to see it, what helps?

Six networks learn the same 400 images of digits, of which one in five has a wrong label, as happens
when people label in a hurry. "small" has a bottleneck of four units. "large" has room to learn all
400 labels by heart, the wrong ones, too. "medium" is between them: a smaller network is the first
remedy. Three more are tried on "large": a penalty on its weights (L2), dropout, and an early end.

In the report, click on a trial of each model: at the right is its curve, on validation and on
training data, with a line at the best epoch, whose checkpoint is kept. Underfitting: both stay
high, close to each other. Overfitting: training goes on to fall, while validation rises.

What was found, by plain Keras over five seeds, at a learning rate of 0.002: "small" underfits. It
is behind by 0.63 ± 0.11, and still falls slowly in the last epoch. "medium" does not turn in 30
epochs, and is behind by 0.10 ± 0.04. "large" overfits: it is at its best at epoch 4.8 ± 1.1, and
worse by 0.89 ± 0.08 at the end. What helps against that: L2 (best at epoch 10.4 ± 2.6, then worse
by 0.03 ± 0.01), dropout (8.8 ± 1.3, 0.17 ± 0.03), and an early end, which saves the epochs after
the best one. By what counts, the best epoch, dropout leads "large" by 0.026 ± 0.017: keeping the
checkpoint of the best epoch is a remedy itself.
"""

import keras
import numpy as np
from sklearn.datasets import load_digits

import kerastudy as ks

OBJECTIVE = "val_sparse_categorical_crossentropy"
WIDTHS = {"small": [4], "medium": [16]}

output = ks.outputs.classes(10)
images, labels = load_digits(return_X_y=True)
random = np.random.default_rng(0)
wrong = random.random(len(labels)) < 0.2
x = (images / 16).astype("float32")
y = np.where(wrong, random.integers(0, 10, len(labels)), labels)


def build(hp):
    """Returns a compiled network of the size, and with the remedy, that the trial asks for."""
    model = keras.Sequential([keras.layers.Input((64,))])
    for units in WIDTHS.get(hp["model"], [256, 256]):
        model.add(
            keras.layers.Dense(
                units, activation="relu", kernel_regularizer=keras.regularizers.L2(hp["l2"])
            )
        )
        model.add(keras.layers.Dropout(hp["dropout"]))
    model.add(output.layer())
    model.compile(
        optimizer=keras.optimizers.Adam(hp["learning_rate"]),
        loss=output.loss,
        # The loss without the penalty, which is a part of `val_loss`.
        metrics=["accuracy", "sparse_categorical_crossentropy"],
    )
    return model


def callbacks(hp):
    """Returns early stopping, if that is the remedy."""
    if hp["model"] != "large, stopped early":
        return []
    return [keras.callbacks.EarlyStopping(OBJECTIVE, mode="min", patience=5)]


study = ks.Study(
    "underfitting-overfitting",
    data=ks.datasets.arrays(x, y, validation=1000, test=397, name="digits, some labels wrong"),
    build=build,
    callbacks=callbacks,
    space=ks.SearchSpace(
        ks.Choice(
            "model",
            ["small", "medium", "large", "large, L2", "large, dropout", "large, stopped early"],
            role="scientific",
        ),
        ks.Float("l2", 1e-3, 1e-1, scale="log", when={"model": "large, L2"}, otherwise=0.0),
        ks.Float("dropout", 0.3, 0.7, when={"model": "large, dropout"}, otherwise=0.0),
        ks.learning_rate(1e-3, 5e-3),
    ),
    objective=OBJECTIVE,
    trials=48,
    epochs=30,
    engine="optuna:quasi-random",
    notes="Three sizes, and three remedies for the largest: L2, dropout, an early end.",
)
