"""A line through points with outliers: which loss finds it?

The smallest network there is, one `Dense(1)`, is linear regression: y = x · kernel + bias. The
points follow a known rule, with a little noise, but one in ten was measured wrongly. The mean
squared error gives those the most weight; the mean absolute error and Huber's loss give them less.

What it shows: losses can't be compared by their own values, since each has a unit of its own. So
the objective is a metric that all trials log, the mean absolute error on the validation part.
"""

import keras
import numpy as np

import kerastudy as ks

# Its own generator with a fixed seed: the same points in every process.
random = np.random.default_rng(0)
x = random.uniform(-1, 1, size=(600, 2)).astype("float32")
y = 3 * x[:, 0] - 2 * x[:, 1] + 1 + random.normal(scale=0.1, size=600)
y[random.choice(600, size=60, replace=False)] += 10


def build(hp):
    """Returns a compiled linear model of two features."""
    output = ks.outputs.regression(loss=hp["loss"])
    model = keras.Sequential([keras.layers.Input((2,)), output.layer()])
    model.compile(
        optimizer=keras.optimizers.SGD(hp["learning_rate"]),
        loss=output.loss,
        metrics=output.metrics,
    )
    return model


study = ks.Study(
    "linear-regression",
    data=ks.datasets.arrays(x, y.astype("float32"), name="a line with outliers"),
    build=build,
    space=ks.SearchSpace(
        ks.Choice("loss", ["mean_squared_error", "mean_absolute_error", "huber"]),
        ks.learning_rate(1e-2, 0.5),
    ),
    objective="val_mean_absolute_error",
    trials=15,
    epochs=15,
    batch_size=32,
    notes="Which loss finds the line y = 3 x₀ - 2 x₁ + 1 among outliers? Mean squared error, mean "
    "absolute error and Huber's, compared by the mean absolute error of the validation part.",
)
