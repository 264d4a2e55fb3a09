"""MNIST, the field's first example, with one hidden layer.

Keras downloads the images (11 MB) when they are first needed. Where there is no network, give
them as an npz file with the arrays x_train, y_train, x_test and y_test:

    kerastudy launch mnist --data mnist.npz
    KERASTUDY_DATA=mnist.npz kerastudy launch mnist

`--data` goes before the variable. What it shows: the images stay the bytes they are, and the model
itself scales them to 0 to 1, so that its champion takes images as they come.
"""

import keras

import kerastudy as ks

output = ks.outputs.classes(10)


def build(hp):
    """Returns a compiled network for images of 28 by 28 bytes."""
    model = keras.Sequential(
        [
            keras.layers.Input((28, 28)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(hp["units"], activation=hp["activation"]),
            keras.layers.Dropout(hp["dropout"]),
            output.layer(),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(hp["learning_rate"]),
        loss=output.loss,
        metrics=output.metrics,
    )
    return model


study = ks.Study(
    "mnist",
    data=ks.datasets.mnist(),
    build=build,
    space=ks.SearchSpace(
        ks.learning_rate(1e-4, 1e-1),
        ks.units(16, 64),
        ks.activation(["relu", "gelu", "tanh"]),
        ks.dropout(),
    ),
    objective="val_accuracy",
    trials=10,
    epochs=2,
    batch_size=512,
    notes="One hidden layer on MNIST's handwritten digits.",
)
