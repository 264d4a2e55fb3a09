"""A HyperModel within another one: not tunable, so all of its own has its default."""

import keras
import keras_tuner
import tiny_data

import kerastudy as ks


class Body(keras_tuner.HyperModel):
    def build(self, hp):
        return keras.Sequential(
            [
                keras.layers.Dense(hp.Int("body_units", 4, 64, default=6), activation="relu"),
                keras.layers.Dropout(hp.Float("body_dropout", 0.0, 0.5, default=0.1)),
            ]
        )


class Whole(keras_tuner.HyperModel):
    def __init__(self, body):
        super().__init__()
        self.body = body

    def build(self, hp):
        inputs = keras.Input((tiny_data.FEATURES,))
        x = self.body.build(hp)(inputs)
        if hp.Boolean("normalized"):
            x = keras.layers.LayerNormalization()(x)
        x = keras.layers.Dense(hp.Int("head_units", 4, 12, step=4), activation="relu")(x)
        model = keras.Model(inputs, keras.layers.Dense(1)(x))
        model.compile(hp.Choice("optimizer", ["adam", "rmsprop"]), loss="mse")
        return model


study = ks.Study(
    "part not tunable", data=tiny_data.numbers(), build=Whole(Body(tunable=False)), epochs=3
)
