"""Images: a small convolutional network on handwritten digits of 8 by 8 pixels.

For a folder of images, take `ks.datasets.images("folder")`.
"""

import keras
from sklearn.datasets import load_digits

import kerastudy as ks

x, y = load_digits(return_X_y=True)
images = x.reshape(-1, 8, 8, 1).astype("uint8")  # small types stay small until the batch
output = ks.outputs.classes(10)


def build(hp):
    """Returns a compiled model; its first layer scales the pixels, in the champion too."""
    model = keras.Sequential([keras.layers.Input((8, 8, 1)), keras.layers.Rescaling(1 / 16)])
    for _ in range(hp["blocks"]):
        model.add(keras.layers.Conv2D(hp["filters"], 3, padding="same", activation="relu"))
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dropout(hp["dropout"]))
    model.add(output.layer())
    optimizer = keras.optimizers.Adam(hp["learning_rate"])
    model.compile(optimizer, loss=output.loss, metrics=output.metrics)
    return model


study = ks.Study(
    "small images",
    data=ks.datasets.arrays(images, y),
    build=build,
    space=ks.SearchSpace(
        ks.learning_rate(1e-3, 1e-1),
        ks.layers(1, 2, name="blocks"),
        ks.Choice("filters", [4, 8, 16]),
        ks.dropout(),
    ),
    objective="val_accuracy",
    trials=10,
    epochs=5,
)
