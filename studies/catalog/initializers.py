"""With which weights should a network begin?

Five hidden layers of 32 units learn the digits for eight epochs. Their first weights are of four
kinds. "zeros" are all 0. "random_normal" has a standard deviation of 0.05 for layers of any width.
Glorot's and He's deviations fit the width, so that the signal keeps its size from layer to layer.

`kernel_initializer` is the scientific hyperparameter. The learning rate is a nuisance, tuned for
each initializer so that the comparison is fair. Look at "answer" in `kerastudy show initializers`,
and at its chart in the report: one interval for each initializer.

What was found, by plain Keras over five seeds: zeros never learn. All units of a layer stay alike,
so the network guesses, and one image in ten is classified correctly. With random_normal, the signal
fades through the five layers, and the first epochs are lost. How much is lost depends on the
learning rate: the accuracy is 0.51 ± 0.16 at 0.001, and 0.73 ± 0.12 at 0.02, where He's initializer
has 0.943 ± 0.010. At their best rate, 0.005, Glorot's (0.942 ± 0.015) and He's (0.951 ± 0.004) are
alike. So Keras's default, glorot_uniform, is a good choice, and other hyperparameters should be
tuned first.
"""

import keras

import kerastudy as ks

output = ks.outputs.classes(10)


def build(hp):
    """Returns a compiled network of five hidden layers."""
    model = keras.Sequential([keras.layers.Input((64,))])
    for _ in range(5):
        model.add(
            keras.layers.Dense(32, activation="relu", kernel_initializer=hp["kernel_initializer"])
        )
    model.add(output.layer())
    model.compile(keras.optimizers.Adam(hp["learning_rate"]), output.loss, metrics=output.metrics)
    return model


study = ks.Study(
    "initializers",
    data=ks.datasets.digits(),
    build=build,
    space=ks.SearchSpace(
        ks.Choice(
            "kernel_initializer",
            ["glorot_uniform", "he_normal", "random_normal", "zeros"],
            role="scientific",
        ),
        ks.learning_rate(1e-3, 2e-2),
    ),
    objective="val_accuracy",
    trials=80,
    epochs=8,
    engine="optuna:quasi-random",
    notes="Zeros, a fixed deviation, Glorot's or He's weights, each at its best learning rate.",
)
