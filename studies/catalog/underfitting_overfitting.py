"""Is a network too small or too large? What helps?

Six networks learn the same 400 images of digits. One label in five is wrong, as happens when people
label in a hurry. "small" has a bottleneck of four units, and "large" enough room to learn all 400
labels by heart, also the wrong ones. "medium" is between them: a smaller network is the first
remedy for overfitting. Three more remedies are tried on "large": L2, a penalty on its weights;
dropout; and early stopping.

In the report, click on a trial of each model. Its learning curves on validation and on training
data appear at the right, with a line at the best epoch, whose checkpoint is kept. In underfitting,
both curves stay high and close to each other. In overfitting, the training curve goes on falling,
while the validation curve rises.

What was found, by plain Keras over five seeds, at a learning rate of 0.002: "small" underfits. Its
crossentropy is worse by 0.63 ± 0.11 than that of "large, dropout", the best model, and still falls
slowly in the last epoch. "medium" gets better in all 30 epochs, and is worse by 0.10 ± 0.04.
"large" overfits: it is at its best at epoch 4.8 ± 1.1, and worse by 0.89 ± 0.08 at the end. With
L2, the best epoch is 10.4 ± 2.6, and the last epoch is worse by 0.03 ± 0.01. With dropout, the best
epoch is 8.8 ± 1.3, and the last one is worse by 0.17 ± 0.03. Early stopping saves the epochs after
the best one. At the best epoch, which counts, dropout is better than "large" by 0.026 ± 0.017:
keeping the best epoch's checkpoint is a remedy itself.
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
    """Returns a compiled network with the size and the remedy of the trial."""
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
        # The second metric is the loss without the penalty, which `val_loss` includes.
        metrics=["accuracy", "sparse_categorical_crossentropy"],
    )
    return model


def callbacks(hp):
    """Returns early stopping, if it is the remedy of the trial."""
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
