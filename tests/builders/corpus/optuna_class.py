"""A class whose objects are called with a trial."""

import keras
import tiny_data

import kerastudy as ks


class ModelOf:
    def __init__(self, inputs, outputs):
        self.inputs = inputs
        self.outputs = outputs

    def __call__(self, trial):
        model = keras.Sequential([keras.Input((self.inputs,))])
        for i in range(trial.suggest_int("layers", 1, 2)):
            model.add(self.layer(trial, i))
        model.add(keras.layers.Dense(self.outputs, activation="softmax"))
        rate = trial.suggest_float("lr", 1e-3, 1e-1, log=True)
        model.compile(
            keras.optimizers.SGD(rate),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        return model

    def layer(self, trial, i):
        activation = trial.suggest_categorical("activation", ["relu", "selu", None])
        return keras.layers.Dense(trial.suggest_int(f"units_{i}", 4, 8), activation=activation)


study = ks.Study(
    "optuna class",
    data=tiny_data.classes(),
    build=ModelOf(tiny_data.FEATURES, tiny_data.CLASSES),
    objective="val_accuracy",
    epochs=4,
)
