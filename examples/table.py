"""What does a house cost? A table with numbers, categories and missing values.

Numbers are standardized, and categories become one-hot; means, deviations and the list of cities
come from the training part alone. The champion takes the columns of the file.
"""

import keras

import kerastudy as ks

data = ks.datasets.table("houses.csv", target="price")
output = ks.outputs.regression()


def build(hp):
    """Returns a compiled model that predicts in the unit of the price."""
    prices = data.load().train.y
    model = keras.Sequential()
    model.add(keras.layers.Dense(hp["units"], activation="relu"))
    model.add(keras.layers.Dropout(hp["dropout"]))
    model.add(output.layer())
    model.add(keras.layers.Rescaling(float(prices.std()), float(prices.mean())))
    optimizer = keras.optimizers.Adam(hp["learning_rate"])
    model.compile(optimizer, loss=output.loss, metrics=output.metrics)
    return model


study = ks.Study(
    "houses",
    data=data,
    build=build,
    space=ks.SearchSpace(ks.learning_rate(1e-3, 1e-1), ks.units(8, 64, step=2), ks.dropout()),
    objective="val_mean_absolute_error",
    trials=12,
    epochs=20,
)
