"""A study whose trials fail, and a study whose launch is killed in the third epoch of a trial."""

import pathlib
import time

import keras
import numpy as np

import kerastudy as ks

random = np.random.default_rng(8)
x = random.normal(size=(200, 6)).astype("float32")
y = (x[:, :3].sum(axis=1) > 0).astype("int64")
# The script makes the file "stop"; when "stopped" appears, it kills the launch, and removes both.
STOP, STOPPED = (
    pathlib.Path(__file__).with_name("stop"),
    pathlib.Path(__file__).with_name("stopped"),
)


def build(hp):
    """Returns a compiled model, or raises, or returns one whose loss is no number."""
    if hp["how"] == "raises":
        raise ValueError("these units can't be built")
    model = keras.Sequential([keras.layers.Input((6,)), keras.layers.Dense(hp["units"], "tanh")])
    model.add(keras.layers.Dropout(0.2))
    model.add(keras.layers.Dense(1, "sigmoid"))
    rate = float("nan") if hp["how"] == "diverges" else hp["learning_rate"]
    model.compile(
        keras.optimizers.SGD(rate, momentum=0.9), "binary_crossentropy", metrics=["accuracy"]
    )
    return model


class Stops(keras.callbacks.Callback):
    """Waits at the end of the third epoch of a trial of many units, if the script asks for it."""

    def __init__(self, units):
        """Takes the units of the trial."""
        super().__init__()
        self.units = units

    def on_epoch_end(self, epoch, logs=None):
        """Says that the point is reached, and waits to be killed."""
        while epoch == 2 and self.units == 16 and STOP.exists():
            STOPPED.touch()
            time.sleep(0.05)


def study(name, ways, **settings):
    """Returns a study of this builder and data."""
    space = ks.SearchSpace(
        ks.learning_rate(1e-3, 0.5), ks.Choice("units", [4, 16]), ks.Choice("how", ways)
    )
    data = ks.datasets.arrays(x, y)
    return ks.Study(name, data=data, build=build, space=space, objective="val_loss", **settings)


infeasible = study("infeasible", ["works", "raises", "works too", "diverges"], trials=8, epochs=2)
killed = study("killed", ["works"], trials=5, epochs=5, callbacks=lambda hp: [Stops(hp["units"])])
