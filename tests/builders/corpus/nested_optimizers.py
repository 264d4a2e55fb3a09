"""An optimizer by its name, each with hyperparameters of its own."""

import keras
import tiny_data

import kerastudy as ks


def make_optimizer(hp):
    name = hp.Choice("optimizer", ["adam", "sgd", "rmsprop"])
    if name == "sgd":
        return keras.optimizers.SGD(
            hp.Float("sgd_learning_rate", 1e-3, 1e-1, sampling="log"),
            momentum=hp.Float("momentum", 0.0, 0.9),
            nesterov=hp.Boolean("nesterov"),
        )
    with hp.conditional_scope("optimizer", ["adam", "rmsprop"]):
        learning_rate = hp.Float("adaptive_learning_rate", 1e-4, 1e-2, sampling="log")
    return {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}[name](learning_rate)


def build(hp):
    model = keras.Sequential(
        [
            keras.Input((tiny_data.FEATURES,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(tiny_data.CLASSES, activation="softmax"),
        ]
    )
    model.compile(make_optimizer(hp), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


study = ks.Study("nested optimizers", data=tiny_data.classes(), build=build, epochs=3)
