"""How large should the steps of SGD be?

Gradient descent follows the gradient of the loss downhill. The learning rate says how far each step
goes. With steps that are too short, ten epochs get nowhere; with steps that are too long, the
network jumps over the valley, and learns nothing either.

`learning_rate` is the scientific hyperparameter, and the only one. Its range is wide on purpose:
look in the report at its slice, which goes up, and then falls off a cliff. "answer" in `kerastudy
show learning-rate` compares the quarters of the range.

What was found, by plain Keras over five seeds and ten epochs: the accuracy is 0.097 ± 0.044 at a
rate of 0.0001, and 0.160 ± 0.075 at 0.001: hardly better than a guess. It is 0.749 ± 0.016 at 0.01,
0.947 ± 0.013 at 0.1 and 0.961 ± 0.010 at 1.0. At 10.0 it is 0.101 ± 0.001: a guess again. So look
for the rate by factors of ten, and stay below the cliff.
"""

import keras

import kerastudy as ks

output = ks.outputs.classes(10)


def build(hp):
    """Returns a compiled network of one hidden layer."""
    hidden = keras.layers.Dense(64, activation="relu")
    model = keras.Sequential([keras.layers.Input((64,)), hidden, output.layer()])
    model.compile(keras.optimizers.SGD(hp["learning_rate"]), output.loss, metrics=output.metrics)
    return model


study = ks.Study(
    "learning-rate",
    data=ks.datasets.digits(),
    build=build,
    space=ks.SearchSpace(ks.learning_rate(1e-4, 10.0, role="scientific")),
    objective="val_accuracy",
    trials=48,
    epochs=10,
    engine="optuna:quasi-random",
    notes="Learning rates of plain SGD from 0.0001 to 10, on a log scale.",
)
