"""Can a class stay the whole number that it is?

Yes: `sparse_categorical_crossentropy` takes the label 3 itself, and reads off the probability of
class 3. It asks the same as `categorical_crossentropy` does of one-hot rows, and needs a tenth of
the memory for the targets. The study `one-hot` is the same on the same data, with such rows.

Look at both: `kerastudy compare one-hot sparse`.

What was found: they are the same. Each of the 15 trials has the same accuracy in each epoch, and
the best is trial 13 of both, with 0.969. By plain Keras, too, both have the same best accuracy
under each of five seeds: 0.967 ± 0.005. So take the one that fits your targets.
"""

import keras

import kerastudy as ks

output = ks.outputs.classes(10)


def build(hp):
    """Returns a compiled network for targets that are labels."""
    model = keras.Sequential(
        [
            keras.layers.Input((64,)),
            keras.layers.Dense(hp["units"], activation="relu"),
            keras.layers.Dropout(hp["dropout"]),
            output.layer(),
        ]
    )
    model.compile(keras.optimizers.Adam(hp["learning_rate"]), output.loss, metrics=output.metrics)
    return model


study = ks.Study(
    "sparse",
    data=ks.datasets.digits(),
    build=build,
    space=ks.SearchSpace(ks.learning_rate(1e-4, 1e-1), ks.units(16, 128), ks.dropout()),
    objective="val_accuracy",
    trials=15,
    epochs=8,
    notes="Digits with labels as targets; `one-hot` is the same with one-hot rows.",
)
