"""How many samples should one step see?

A batch is the samples of one step. With small batches, an epoch has many steps, in noisy
directions. With large batches it has few steps, in better directions, and each step may be longer.
So the best batch size depends on the learning rate, which is a nuisance here; `batch_size` is the
scientific hyperparameter. Look at "answer" in `kerastudy show batch-size`. Then look in the report
at the slice of `learning_rate`: how does the best rate change with the batch size?

What was found, by plain Keras over five seeds and ten epochs: the best batch size depends on the
learning rate. At a rate of 0.1, the accuracy is 0.960 ± 0.008 with batches of 8, 0.947 ± 0.013 with
32, 0.889 ± 0.008 with 128 and 0.66 ± 0.04 with 512, because fewer steps learn less. At a rate of
1.0, it is 0.961 ± 0.010 with 32, 0.951 ± 0.023 with 128 and 0.89 ± 0.06 with 512. So larger batches
need a larger rate, until the steps get too long. 32 is a good start.
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
    "batch-size",
    data=ks.datasets.digits(),
    build=build,
    space=ks.SearchSpace(
        ks.batch_size([8, 32, 128, 512], role="scientific"), ks.learning_rate(1e-2, 1.0)
    ),
    objective="val_accuracy",
    trials=64,
    epochs=10,
    engine="optuna:quasi-random",
    notes="Batches of 8, 32, 128 or 512 samples, each at its best learning rate of SGD.",
)
