"""How many units should be left out at each step?

Dropout leaves out a random share of a layer's units at each training step, and none when the
network predicts. No unit can rely on another one, which works against learning by heart.

`dropout` is the scientific hyperparameter, the learning rate a nuisance, and data is scarce: 300
images to train on, 1,000 to validate on, as the differences are small. The objective is the
crossentropy, which also asks how sure the network is. Look at "answer" in `kerastudy show dropout`.

What was found: a share of 0.2 leads none by 0.007 ± 0.013, and 0.6 by 0.011 ± 0.024: no clear
difference. Each of these intervals holds 0, so that this study does not say that dropout helps
here, nor that it hurts. The best epoch counts, and with it an early end is in the comparison
already, which is a remedy too. See `underfitting-overfitting` for data on which it matters more.

By plain Keras over five seeds (mean ± standard deviation):
A few: at a rate of 0.001 a share of 0.2 leads none by 0.010 ± 0.006 of crossentropy (0.144 ±
0.027), and 0.6 by 0.015 ± 0.012.
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
