"""HyperModel.fit with a training loop of its own, on a model that is never compiled."""

import keras
import keras_tuner
import tensorflow as tf
import tiny_data

import kerastudy as ks


class Looped(keras_tuner.HyperModel):
    def build(self, hp):
        return keras.Sequential(
            [
                keras.layers.Flatten(),
                keras.layers.Dense(hp.Int("units", 4, 12, step=4), activation="relu"),
                keras.layers.Dropout(0.1),
                keras.layers.Dense(tiny_data.CLASSES),
            ]
        )

    def fit(self, hp, model, x, y, validation_data, callbacks=None, **kwargs):
        batch_size = hp.Int("batch_size", 8, 16, step=8, default=16)
        training = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(64).batch(batch_size)
        validation = tf.data.Dataset.from_tensor_slices(validation_data).batch(batch_size)
        optimizer = keras.optimizers.Adam(hp.Choice("learning_rate", [1e-2, 1e-3]))
        loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        epoch_loss = keras.metrics.Mean()

        @tf.function
        def train(samples, labels):
            with tf.GradientTape() as tape:
                loss = loss_of(labels, model(samples, training=True))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

        @tf.function
        def validate(samples, labels):
            epoch_loss.update_state(loss_of(labels, model(samples, training=False)))

        for callback in callbacks:
            callback.set_model(model)
        best = float("inf")
        for epoch in range(3):
            for callback in callbacks:
                callback.on_epoch_begin(epoch)
            for samples, labels in training:
                train(samples, labels)
            for samples, labels in validation:
                validate(samples, labels)
            loss = float(epoch_loss.result().numpy())
            for callback in callbacks:
                # With a name of its own, which no metric of Keras has.
                callback.on_epoch_end(epoch, logs={"my_loss": loss})
            epoch_loss.reset_state()
            best = min(best, loss)
        return best


study = ks.Study(
    "fit custom loop",
    data=tiny_data.classes(),
    build=Looped(),
    objective=ks.Objective("my_loss", "min"),
    epochs=3,
)
