"""A space declared as Keras Tuner's HyperParameters, to which the builder adds."""

import keras
import keras_tuner
import tiny_data

import kerastudy as ks

space = keras_tuner.HyperParameters()
space.Int("units", 4, 16, step=4, default=8)
space.Choice("optimizer", ["adam", "sgd"])
with space.conditional_scope("optimizer", ["adam"]):
    space.Float("learning_rate", 1e-4, 1e-2, sampling="log")
with space.conditional_scope("optimizer", ["sgd"]):
    space.Float("learning_rate", 1e-2, 1e-1, sampling="log")
    space.Boolean("nesterov")
space.Fixed("activation", "tanh")


def build(hp):
    units = hp.Int("units", 32, 512)
    drop = hp.Float("drop", 0.0, 0.2, step=0.1)
    model = keras.Sequential(
        [
            keras.layers.Input((tiny_data.FEATURES,)),
            keras.layers.Dense(units, activation=hp.get("activation")),
            keras.layers.Dropout(drop),
            keras.layers.Dense(1),
        ]
    )
    rate = hp.get("learning_rate")
    if hp.get("optimizer") == "adam":
        assert 1e-4 <= rate <= 1e-2
        optimizer = keras.optimizers.Adam(rate)
    else:
        assert 1e-2 <= rate <= 1e-1
        optimizer = keras.optimizers.SGD(rate, momentum=0.5, nesterov=hp.get("nesterov"))
    model.compile(optimizer, loss="mse")
    return model


study = ks.Study("tuner space", data=tiny_data.numbers(), build=build, space=space, epochs=3)
