"""Is a tumour malignant or benign? Two classes, one sigmoid.

scikit-learn's breast cancer data: 569 tumours, 30 measurements of each. Their ranges differ by a
factor of up to 10,000, so they are standardized; mean and variance are those of the training part
alone, so that nothing of the validation part gets into the training.

What it shows: the objective is `val_loss`, the crossentropy. It is finer than accuracy, which only
asks on which side of 0.5 each of 114 tumours falls, so that many trials are equally good. It may
be the objective because no layer has a penalty: with L1 or L2, `val_loss` is error and penalty
together, and a search for the lowest would prefer a weak penalty for its own sake.
"""

import keras

import kerastudy as ks

output = ks.outputs.binary()


def build(hp):
    """Returns a compiled network whose output is the probability of a benign tumour."""
    model = keras.Sequential(
        [
            keras.layers.Input((30,)),
            keras.layers.Dense(
                hp["units"], activation="relu", kernel_initializer=hp["kernel_initializer"]
            ),
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
    "binary",
    data=ks.datasets.breast_cancer(preprocess="standardize"),
    build=build,
    space=ks.SearchSpace(
        ks.learning_rate(1e-4, 1e-1),
        ks.units(4, 64),
        ks.kernel_initializer(["glorot_uniform", "he_normal"]),
        ks.dropout(),
    ),
    objective="val_loss",
    trials=15,
    epochs=15,
    batch_size=32,
    pruner="median",
    notes="Malignant or benign: a sigmoid and binary crossentropy on scikit-learn's breast cancer "
    "data, standardized.",
)
