"""One of Keras Tuner's ready hypermodels, on images as small as it takes."""

import keras_tuner.applications
import tiny_data

import kerastudy as ks

study = ks.Study(
    "ready hypermodel",
    data=tiny_data.images(size=16, count=8),
    build=keras_tuner.applications.HyperXception(input_shape=(16, 16, 3), classes=2),
    objective="val_accuracy",
    trials=1,
    epochs=1,
    batch_size=4,
)
