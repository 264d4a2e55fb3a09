"""A variational autoencoder: its steps call its parts, and never the model itself."""

import keras
import tensorflow as tf
import tiny_data
from keras import layers

import kerastudy as ks


class Autoencoder(keras.Model):
    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.seeds = keras.random.SeedGenerator(0)
        self.loss_tracker = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self.loss_tracker]

    def _loss(self, x):
        mean, log_variance = self.encoder(x)
        noise = keras.random.normal(keras.ops.shape(mean), seed=self.seeds)
        output = self.decoder(mean + keras.ops.exp(0.5 * log_variance) * noise)
        divergence = keras.ops.exp(log_variance) + mean**2 - 1.0 - log_variance
        return keras.ops.mean((x - output) ** 2) + 0.01 * keras.ops.mean(divergence)

    def train_step(self, data):
        x, _ = data
        with tf.GradientTape() as tape:
            loss = self._loss(x)
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        self.loss_tracker.update_state(loss)
        return {"loss": self.loss_tracker.result()}

    def test_step(self, data):
        x, _ = data
        self.loss_tracker.update_state(self._loss(x))
        return {"loss": self.loss_tracker.result()}


def build(hp):
    inputs = keras.Input((tiny_data.FEATURES,))
    hidden = layers.Dense(hp.Int("units", 4, 12, step=4), activation="relu")(inputs)
    encoder = keras.Model(inputs, [layers.Dense(2)(hidden), layers.Dense(2)(hidden)])
    latent = keras.Input((2,))
    decoder = keras.Model(latent, layers.Dense(tiny_data.FEATURES)(latent))
    model = Autoencoder(encoder, decoder)
    model.compile(keras.optimizers.Adam(hp.Choice("lr", [1e-2, 1e-3])))
    return model


study = ks.Study(
    "steps of parts", data=tiny_data.classes(), build=build, objective="val_loss", epochs=2
)
