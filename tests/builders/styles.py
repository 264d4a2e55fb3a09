"""Studies with builders in the styles of Keras Tuner's guides."""

import keras
import keras_tuner
import numpy as np
import tensorflow as tf
from keras import layers

import kerastudy as ks

FEATURES, CLASSES = 4, 3


def classes():
    """40 samples of 4 features in 3 classes, which two of the features tell apart."""
    x = np.random.default_rng(0).normal(size=(40, FEATURES)).astype("float32")
    y = np.digitize(x[:, 0] + x[:, 1], [-0.6, 0.6]).astype("int32")
    return ks.datasets.arrays(x, y, validation=8, test=0)


def numbers():
    """40 samples of 4 features, and a number that is nearly linear in them."""
    draw = np.random.default_rng(1)
    x = draw.normal(loc=2.0, scale=3.0, size=(40, FEATURES)).astype("float32")
    y = (x @ np.array([0.5, -0.2, 0.1, 0.0]) + draw.normal(scale=0.1, size=40)).astype("float32")
    return ks.datasets.arrays(x, y, validation=8, test=0)


# Keras Tuner's scopes, and parent_name where one declaration has a parent.
def build_conditional_scopes(hp):
    kind = hp.Choice("kind", ["wide", "deep", "linear"])
    inputs = keras.Input((FEATURES,))
    x = inputs
    with hp.conditional_scope("kind", ["wide"]):
        if kind == "wide":
            x = layers.Dense(hp.Int("wide_units", 16, 48, step=16), activation="relu")(x)
    with hp.conditional_scope("kind", ["deep"]):
        # These are declared for each kind. Outside of its scope, a hyperparameter has no value.
        depth = hp.Int("depth", 2, 3)
        units = hp.Int("deep_units", 4, 8, step=4)
        if kind == "deep":
            for _ in range(depth):
                x = layers.Dense(units, activation="tanh")(x)
    l2 = hp.Choice("l2", [1e-3, 1e-4], parent_name="kind", parent_values=["linear"])
    outputs = layers.Dense(1, kernel_regularizer=None if l2 is None else keras.regularizers.L2(l2))(
        x
    )
    model = keras.Model(inputs, outputs)
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    return model


conditional_scopes = ks.Study(
    "conditional scopes", data=numbers(), build=build_conditional_scopes, epochs=3
)


# A declared space, to which the builder adds.
declared = ks.SearchSpace(
    ks.Int("units", 4, 16, step=4, default=8),
    ks.Choice("optimizer", ["adam", "sgd"]),
    ks.Float("adam_rate", 1e-4, 1e-2, scale="log", when={"optimizer": "adam"}),
    ks.Float("sgd_rate", 1e-2, 1e-1, scale="log", when={"optimizer": "sgd"}),
    ks.Boolean("nesterov", when={"optimizer": "sgd"}),
    ks.Fixed("activation", "tanh"),
)


def build_declared_space(hp):
    units = hp.Int("units", 32, 512)
    drop = hp.Float("drop", 0.0, 0.2, step=0.1)
    model = keras.Sequential(
        [
            layers.Input((FEATURES,)),
            layers.Dense(units, activation=hp["activation"]),
            layers.Dropout(drop),
            layers.Dense(1),
        ]
    )
    if hp["optimizer"] == "adam":
        optimizer = keras.optimizers.Adam(hp["adam_rate"])
    else:
        optimizer = keras.optimizers.SGD(hp["sgd_rate"], momentum=0.5, nesterov=hp["nesterov"])
    model.compile(optimizer, loss="mse")
    return model


declared_space = ks.Study(
    "declared space", data=numbers(), build=build_declared_space, space=declared, epochs=3
)


# HyperModel.fit that tunes what model.fit is called with, and says how long is trained.
class TunesTraining(keras_tuner.HyperModel):
    def build(self, hp):
        model = keras.Sequential(
            [
                keras.Input((FEATURES,)),
                layers.Dense(hp.Int("units", 4, 16, step=4), activation="relu"),
                layers.Dropout(0.2),
                layers.Dense(CLASSES, activation="softmax"),
            ]
        )
        model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(
            *args,
            epochs=hp.Int("epochs", 1, 3, default=2),
            batch_size=hp.Choice("batch_size", [8, 16]),
            shuffle=hp.Boolean("shuffle"),
            **kwargs,
        )


fit_tunes_training = ks.Study(
    "fit tunes training", data=classes(), build=TunesTraining(), objective="val_accuracy"
)


# HyperModel.fit that measures the trained model itself and returns several metrics.
class Measured(keras_tuner.HyperModel):
    def build(self, hp):
        model = keras.Sequential([keras.Input((FEATURES,))])
        model.add(layers.Dense(hp.Int("units", 4, 12, step=4), activation="relu"))
        model.add(layers.Dense(1))
        model.compile(hp.Choice("optimizer", ["adam", "rmsprop"]), loss="mse")
        return model

    def fit(self, hp, model, x, y, validation_data, **kwargs):
        model.fit(x, y, **kwargs)
        x_val, y_val = validation_data
        errors = np.abs(model.predict(x_val, verbose=0).flatten() - y_val)
        return {"worst_error": np.max(errors), "typical_error": np.median(errors)}


fit_returns_dict = ks.Study(
    "fit returns dict",
    data=numbers(),
    build=Measured(),
    objective=ks.Objective("typical_error", "min"),
    epochs=2,
)


# A generator against a discriminator, each with an optimizer of its own.
LATENT = 3


class Adversaries(keras.Model):
    def __init__(self, discriminator, generator):
        super().__init__()
        self.discriminator, self.generator = discriminator, generator
        self.seeds = keras.random.SeedGenerator(1)
        self.d_loss_metric = keras.metrics.Mean(name="d_loss")
        self.g_loss_metric = keras.metrics.Mean(name="g_loss")

    def compile(self, d_optimizer, g_optimizer, loss_fn):
        super().compile()
        self.d_optimizer, self.g_optimizer, self.loss_fn = d_optimizer, g_optimizer, loss_fn

    @property
    def metrics(self):
        return [self.d_loss_metric, self.g_loss_metric]

    def _generated(self, count):
        return self.generator(keras.random.normal((count, LATENT), seed=self.seeds))

    def _judged(self, real):
        count = keras.ops.shape(real)[0]
        both = keras.ops.concatenate([self._generated(count), real])
        labels = keras.ops.concatenate([keras.ops.ones((count, 1)), keras.ops.zeros((count, 1))])
        return self.loss_fn(labels, self.discriminator(both))

    def train_step(self, data):
        real = data[0]
        with tf.GradientTape() as tape:
            d_loss = self._judged(real)
        weights = self.discriminator.trainable_weights
        self.d_optimizer.apply_gradients(zip(tape.gradient(d_loss, weights), weights, strict=True))
        count = keras.ops.shape(real)[0]
        with tf.GradientTape() as tape:
            judged = self.discriminator(self._generated(count))
            g_loss = self.loss_fn(keras.ops.zeros((count, 1)), judged)
        weights = self.generator.trainable_weights
        self.g_optimizer.apply_gradients(zip(tape.gradient(g_loss, weights), weights, strict=True))
        self.d_loss_metric.update_state(d_loss)
        self.g_loss_metric.update_state(g_loss)
        return {metric.name: metric.result() for metric in self.metrics}

    def test_step(self, data):
        self.d_loss_metric.update_state(self._judged(data[0]))
        return {"d_loss": self.d_loss_metric.result()}


def build_two_optimizers(hp):
    units = hp.Int("units", 4, 12, step=4)
    judge = keras.Sequential([keras.Input((FEATURES,)), layers.Dense(units)])
    judge.add(layers.LeakyReLU(0.2))
    judge.add(layers.Dense(1))
    generator = keras.Sequential([keras.Input((LATENT,)), layers.Dense(FEATURES)])
    model = Adversaries(judge, generator)
    rate = hp.Choice("lr", [1e-2, 1e-3])
    model.compile(
        keras.optimizers.Adam(rate),
        keras.optimizers.Adam(rate),
        keras.losses.BinaryCrossentropy(from_logits=True),
    )
    return model


two_optimizers = ks.Study(
    "two optimizers",
    data=classes(),
    build=build_two_optimizers,
    objective=ks.Objective("val_d_loss", "min"),
    epochs=3,
)
