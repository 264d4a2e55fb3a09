"""Handwritten digits, one hidden layer: the first study.

Which learning rate, dropout, L2 strength and initializer suit a small network? On scikit-learn's
1,797 images of 8 by 8 pixels, nothing is downloaded, and a trial takes less than a second.
"""

import keras

import kerastudy as ks


def build(hp):
    """Returns a compiled network for ten classes."""
    model = keras.Sequential([keras.layers.Input((64,))])
    model.add(
        keras.layers.Dense(
            64,
            activation="relu",
            kernel_initializer=hp["kernel_initializer"],
            kernel_regularizer=keras.regularizers.L2(hp["l2"]),
        )
    )
    model.add(keras.layers.Dropout(hp["dropout"]))
    model.add(keras.layers.Dense(10, activation="softmax"))
    model.compile(
        optimizer=keras.optimizers.SGD(hp["learning_rate"], momentum=0.9),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


study = ks.Study(
    "digits",
    data=ks.datasets.digits(),
    build=build,
    space=ks.SearchSpace(
        ks.learning_rate(1e-3, 1.0, default=0.01),
        ks.dropout(),
        ks.l2(),
        ks.kernel_initializer(["glorot_uniform", "he_normal", "lecun_normal"]),
    ),
    objective="val_accuracy",
    trials=20,
    epochs=6,
    batch_size=64,
    pruner="median",
    notes="A small network on scikit-learn's handwritten digits.",
)
