"""How far will a disease have come in a year?

The data are scikit-learn's diabetes data: 442 patients, 10 measurements of each, and a target from
25 to 346. The output of a new network is about 0, and small steps take long to reach 150. So people
scale the target. But then everyone who uses the model must scale its predictions back.

This study lets the model do so. Its last layer, `Rescaling`, turns a number z about 0 into mean +
deviation · z, with the mean and the standard deviation of the training targets. The targets stay as
they are, so the metrics and the champion's predictions are in the original unit. The gradients are
those for a scaled target, times a constant, which Adam divides out again.

`loss` is the scientific hyperparameter: the mean squared error, the mean absolute error, or
Huber's, which is squared up to one standard deviation and absolute beyond.

What was found: no clear difference. In the unit of the target, the mean squared error is better
than Huber's by 0.08 ± 0.79, and better than the mean absolute error by 0.09 ± 1.7: there are no
outliers to which the losses would react differently. The best value is 41, but with 88 patients to
validate on, expect 45 (36 to 54) on new data.

By plain Keras over five seeds: with Huber's loss, the mean absolute error is 44.3 ± 3.2. With the
other losses it is worse by 0.2 ± 1.2 and 0.5 ± 0.7, which is no clear difference either.
"""

import keras

import kerastudy as ks

data = ks.datasets.diabetes(preprocess="standardize")


def build(hp):
    """Returns a compiled network that predicts in the unit of the target."""
    # These targets are from the variable `data`. For other data, change this variable.
    targets = data.load().train.y
    mean, deviation = float(targets.mean()), float(targets.std())
    loss = {
        "mse": keras.losses.MeanSquaredError,
        "mae": keras.losses.MeanAbsoluteError,
        # This loss is squared up to one standard deviation, and absolute beyond.
        "huber": lambda: keras.losses.Huber(delta=deviation),
    }[hp["loss"]]
    output = ks.outputs.regression(loss=loss())
    model = keras.Sequential(
        [
            keras.layers.Input((10,)),
            keras.layers.Dense(hp["units"], activation=hp["activation"]),
            keras.layers.Dropout(hp["dropout"]),
            output.layer(),
            keras.layers.Rescaling(scale=deviation, offset=mean),
        ]
    )
    model.compile(keras.optimizers.Adam(hp["learning_rate"]), output.loss, metrics=output.metrics)
    return model


study = ks.Study(
    "regression",
    data=data,
    build=build,
    space=ks.SearchSpace(
        ks.Choice("loss", ["mse", "mae", "huber"], role="scientific"),
        ks.learning_rate(1e-3, 1e-1),
        ks.units(8, 64),
        ks.activation(["relu", "tanh"]),
        ks.dropout(),
    ),
    objective="val_mean_absolute_error",
    trials=48,
    epochs=20,
    engine="optuna:quasi-random",
    notes="Diabetes by three losses, in the unit of the target: the model scales its output back.",
)
