"""How far will a disease have come? A target far from 0.

scikit-learn's diabetes data: 442 patients, 10 measurements of each, and a target from 25 to 346.
A fresh network gives numbers about 0, and takes long to reach 150 in small steps. So the target
should be scaled, and then the predictions are scaled, too, and have to be scaled back by everyone
who uses the model.

What it shows: let the model do it. Its last layer, `Rescaling`, turns z, a number about 0, into
mean + deviation · z, with the mean and the standard deviation of the training targets. All layers
before it work on the scaled target; the targets stay as they are, so the metrics, and what the
champion predicts, are in the original unit. The gradient is that of the scaled target times a
constant, which Adam divides out again.
"""

import keras

import kerastudy as ks

data = ks.datasets.diabetes(preprocess="standardize")
output = ks.outputs.regression()


def build(hp):
    """Returns a compiled network that predicts in the unit of the target."""
    # Of the training part alone, and of these data: with other data, name them above as well.
    targets = data.load().train.y
    model = keras.Sequential(
        [
            keras.layers.Input((10,)),
            keras.layers.Dense(hp["units"], activation=hp["activation"]),
            keras.layers.Dropout(hp["dropout"]),
            output.layer(),
            keras.layers.Rescaling(scale=float(targets.std()), offset=float(targets.mean())),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(hp["learning_rate"]),
        loss=output.loss,
        metrics=output.metrics,
    )
    return model


study = ks.Study(
    "regression",
    data=data,
    build=build,
    space=ks.SearchSpace(
        ks.learning_rate(1e-4, 1e-1),
        ks.units(4, 64),
        ks.activation(["relu", "gelu", "tanh"]),
        ks.dropout(),
    ),
    objective="val_mean_absolute_error",
    trials=15,
    epochs=20,
    batch_size=32,
    pruner="median",
    notes="A regression on scikit-learn's diabetes data. The model scales its output back, so that "
    "errors and predictions are in the unit of the target.",
)
