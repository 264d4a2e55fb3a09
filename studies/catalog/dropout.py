"""How many units should be left out at each step?

Dropout leaves out a random share of a layer's units at each training step, and none in predictions.
So no unit can rely on another one, which makes learning by heart harder.

`dropout` is the scientific hyperparameter, and the learning rate a nuisance. There are only 300
images to train on, and 1,000 to validate on, because the differences are small. The objective is
the crossentropy, which also measures how sure the network is. Look at "answer" in `kerastudy show
dropout`.

What was found: no clear difference. A share of 0.2 is better than no dropout by 0.007 ± 0.013, and
better than 0.6 by 0.011 ± 0.024. Both intervals contain 0, so this study can't tell whether dropout
helps here. The best epoch counts, so all trials also stop early, which is a remedy itself. See
`underfitting-overfitting` for data on which dropout matters more.

By plain Keras over five seeds, at a rate of 0.001: a share of 0.2 has a crossentropy of 0.144 ±
0.027. It is better than no dropout by 0.010 ± 0.006, and better than 0.6 by 0.015 ± 0.012.
"""

import keras

import kerastudy as ks

output = ks.outputs.classes(10)


def build(hp):
    """Returns a compiled network of two wide hidden layers."""
    model = keras.Sequential([keras.layers.Input((64,))])
    for _ in range(2):
        model.add(keras.layers.Dense(256, activation="relu"))
        model.add(keras.layers.Dropout(hp["dropout"]))
    model.add(output.layer())
    model.compile(keras.optimizers.Adam(hp["learning_rate"]), output.loss, metrics=output.metrics)
    return model


study = ks.Study(
    "dropout",
    data=ks.datasets.digits(validation=1000, test=497),
    build=build,
    space=ks.SearchSpace(
        ks.dropout(0.0, 0.6, step=0.2, role="scientific"), ks.learning_rate(3e-4, 3e-3)
    ),
    objective="val_loss",
    trials=48,
    epochs=40,
    engine="optuna:quasi-random",
    notes="None, 0.2, 0.4 or 0.6 in two wide layers on 300 images, each at its best learning rate.",
)
