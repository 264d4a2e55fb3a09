"""A study of a table with numbers, categories and missing values."""

import pathlib

import keras
import numpy as np
import pandas as pd

import kerastudy as ks

FILE = pathlib.Path(__file__).with_name("houses.csv")
if not FILE.exists():
    random = np.random.default_rng(5)
    houses = pd.DataFrame(
        {
            "area": random.normal(100, 30, 240).round(1),
            "built": random.integers(1900, 2020, 240).astype(float),
            "garden": random.random(240) < 0.5,
            "city": random.choice(["Oslo", "Bergen", "Rome"], 240),
        }
    )
    houses["price"] = houses["area"] / 50 + houses["garden"] + 2 * (houses["city"] == "Oslo")
    houses.loc[::7, "built"] = np.nan
    houses.to_csv(FILE, index=False)

# In earlier versions, a layer of the model turned a table into numbers.
if hasattr(ks.datasets, "table"):
    data, first = ks.datasets.table(FILE, target="price"), []
else:
    data = ks.datasets.csv(FILE, target="price")
    first = [ks.preprocessing.tabular(data)]


def build(hp):
    """Returns a compiled model of the price."""
    hidden = keras.layers.Dense(hp.Int("units", 8, 32), activation="relu")
    model = keras.Sequential([*first, hidden, keras.layers.Dense(1)])
    rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log")
    model.compile(keras.optimizers.Adam(rate), "mse", metrics=["mae"])
    return model


study = ks.Study("table", data=data, build=build, objective="val_mae", trials=5, epochs=3)
