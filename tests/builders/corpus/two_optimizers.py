"""A generator against a discriminator, each with an optimizer of its own."""

import keras
import tensorflow as tf
import tiny_data
from keras import layers

import kerastudy as ks

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


def build(hp):
    units = hp.Int("units", 4, 12, step=4)
    judge = keras.Sequential([keras.Input((tiny_data.FEATURES,)), layers.Dense(units)])
    judge.add(layers.LeakyReLU(0.2))
    judge.add(layers.Dense(1))
    generator = keras.Sequential([keras.Input((LATENT,)), layers.Dense(tiny_data.FEATURES)])
    model = Adversaries(judge, generator)
    rate = hp.Choice("lr", [1e-2, 1e-3])
    model.compile(
        keras.optimizers.Adam(rate),
        keras.optimizers.Adam(rate),
        keras.losses.BinaryCrossentropy(from_logits=True),
    )
    return model


study = ks.Study(
    "two optimizers",
    data=tiny_data.classes(),
    build=build,
    objective=ks.Objective("val_d_loss", "min"),
    epochs=3,
)
