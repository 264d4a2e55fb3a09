"""How many samples should one step see?

A batch is the samples of one step. Small batches take many steps an epoch, in directions that are
noisy. Large ones take few, in better directions, and each step may be longer. So a batch size is as
good as its learning rate, which is a nuisance here; `batch_size` is the scientific hyperparameter.
Look at "answer" in `kerastudy show batch-size`, then in the report at the slice of `learning_rate`:
how do the best rates move with the batch size?

What was found, by plain Keras over five seeds and ten epochs: a batch size is as good as its
learning rate. At 0.1 batches of 8 are right in 0.960 ± 0.008, of 32 in 0.947 ± 0.013, of 128 in
0.889 ± 0.008, of 512 in 0.66 ± 0.04: fewer steps, so less learnt. At 1.0 batches of 32 have 0.961 ±
0.010, of 128 0.951 ± 0.023 and of 512 0.89 ± 0.06. So a larger batch wants a larger rate, up to
where the steps get too long; 32 is a good start.
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
