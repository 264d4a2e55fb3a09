"""How well does one hidden layer read MNIST?

MNIST is the field's first example: 70,000 images of handwritten digits, of 28 by 28 pixels.
`Flatten` puts the pixels in a row, a `Dense` layer looks for patterns in them, and a softmax makes
ten probabilities.

Keras downloads the images (11 MB) when they are first needed. Without a network, give them as an
npz file with the arrays x_train, y_train, x_test and y_test:

    kerastudy launch mnist --data mnist.npz
    KERASTUDY_DATA=mnist.npz kerastudy launch mnist

If you give both, `--data` counts.

The report's confusion matrix, and the images below it, show which digits are confused. The images
stay bytes, and the model itself divides them by 255. So the champion takes images as they are.
`kerastudy evaluate mnist` then opens the sealed test part.

What was found: 0.9847 of the validation images are classified correctly, and 0.9856 (0.983 to
0.988) of the test images. By plain Keras over five seeds, untuned: 512 units classify 0.983 ± 0.001
of the test images correctly at a rate that falls from 0.002 along a cosine, and 0.980 ± 0.001 at a
constant rate.
"""

import keras

import kerastudy as ks

EPOCHS, BATCH_SIZE = 10, 128
# 48,000 of the 60,000 images are for training.
STEPS = 48_000 // BATCH_SIZE

output = ks.outputs.classes(10)


def build(hp):
    """Returns a compiled network for images of 28 by 28 bytes."""
    model = keras.Sequential(
        [
            keras.layers.Input((28, 28)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(hp["units"], activation=hp["activation"]),
            keras.layers.Dropout(hp["dropout"]),
            output.layer(),
        ]
    )
    # The rate falls from its highest value to 0, along a cosine.
    rate = keras.optimizers.schedules.CosineDecay(hp["learning_rate"], EPOCHS * STEPS)
    optimizer = keras.optimizers.Adam(rate)
    model.compile(optimizer, loss=output.loss, metrics=output.metrics)
    return model


study = ks.Study(
    "mnist",
    data=ks.datasets.mnist(),
    build=build,
    space=ks.SearchSpace(
        ks.learning_rate(1e-3, 5e-3),
        ks.units(256, 768),
        ks.activation(["relu", "gelu"]),
        ks.dropout(),
    ),
    objective="val_accuracy",
    trials=8,
    epochs=EPOCHS,
    batch_size=BATCH_SIZE,
    notes="Digits by one hidden layer: how wide, how fast, which activation, how much dropout?",
)
