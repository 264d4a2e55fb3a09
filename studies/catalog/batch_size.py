"""How many samples should one step see?

A batch is the samples of one step. Small batches take many steps an epoch, in directions that are
noisy. Large ones take few, in better directions, and each step may be longer. So a batch size is as
good as its learning rate, which is a nuisance here; `batch_size` is the scientific hyperparameter.
Look at "answer" in `kerastudy show batch-size`, then in the report at the slice of `learning_rate`:
how do the best rates move with the batch size?
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
        ks.batch_size([8, 32, 128, 512], role="scientific"),
        ks.learning_rate(1e-2, 1.0),
    ),
    objective="val_accuracy",
    trials=64,
    epochs=10,
    engine="optuna:quasi-random",
    notes="Batches of 8, 32, 128 or 512 samples, each at its best learning rate of SGD.",
)
