"""Does a penalty on large weights help?

L2 adds the sum of all squared weights, times a factor, to the loss. L1 adds the sum of their
absolute values. A weight shrinks if it lowers the loss by less than its penalty. With L1, many
weights become 0.

`penalty` is the scientific hyperparameter. The nuisances are the learning rate and the factor of
each penalty, which exists only in trials with this penalty. The objective is the crossentropy,
logged as a metric. `val_loss` would include the penalty, so the weakest penalty would have the best
`val_loss`. Look at "answer" in `kerastudy show regularization`.

What was found: no clear difference. Training without a penalty is better than with L2 by 0.001 ±
0.012, and better than with L1 by 0.010 ± 0.024. Both intervals contain 0. The best epoch counts, so
all three also stop early, which is a remedy itself. See `underfitting-overfitting` for data with
wrong labels.

By plain Keras over five seeds, at a rate of 0.001: the crossentropy is 0.168 ± 0.020 without a
penalty. It is worse by 0.002 ± 0.003 with L1, and by 0.003 ± 0.005 with L2.
"""

import keras

import kerastudy as ks

output = ks.outputs.classes(10)


def build(hp):
    """Returns a compiled network whose kernels may have a penalty."""
    penalty = {
        "none": lambda: None,
        "l1": lambda: keras.regularizers.L1(hp["l1"]),
        "l2": lambda: keras.regularizers.L2(hp["l2"]),
    }[hp["penalty"]]
    model = keras.Sequential([keras.layers.Input((64,))])
    for _ in range(2):
        model.add(keras.layers.Dense(128, activation="relu", kernel_regularizer=penalty()))
    model.add(output.layer())
    model.compile(
        optimizer=keras.optimizers.Adam(hp["learning_rate"]),
        loss=output.loss,
        metrics=["accuracy", "sparse_categorical_crossentropy"],
    )
    return model


study = ks.Study(
    "regularization",
    data=ks.datasets.digits(validation=1000, test=497),
    build=build,
    space=ks.SearchSpace(
        ks.Choice("penalty", ["none", "l1", "l2"], role="scientific"),
        ks.l1(1e-5, 1e-2, off=False, when={"penalty": "l1"}),
        ks.l2(1e-5, 1e-1, off=False, when={"penalty": "l2"}),
        ks.learning_rate(3e-4, 3e-3),
    ),
    objective="val_sparse_categorical_crossentropy",
    trials=48,
    epochs=40,
    engine="optuna:quasi-random",
    notes="None, L1 or L2 on few images, each with its best factor and learning rate.",
)
