"""What does a convolution know that Dense does not?

It knows which pixels are neighbours. A dense layer does not: if the pixels of all images are
shuffled in the same way, it learns just as well. A convolution looks at 3 by 3 neighbours, with the
same weights everywhere. So it has fewer weights to learn, and what it learns at one place it knows
at all places. This should help if there are only 200 images to train on.

`network` is the scientific hyperparameter: `dense`, `convolutional`, and `shuffled`, which is the
same convolution on shuffled images. Learning rate and dropout are nuisances: each network is judged
at its best. Look at "answer" in `kerastudy show convolutional`, and at the number of weights: 9,610
in the dense network, 6,090 in the other two.

What was found: with the convolution, 0.947 of 1,000 validation images are classified correctly.
This is 0.033 ± 0.022 more than on shuffled pixels. Both networks have the same number of weights
and see the same pixels, so this is what knowing the neighbours is worth. With the dense network,
the accuracy is lower by 0.006 ± 0.023, which may be chance: 8 by 8 pixels are few enough for a
dense layer, too.

By plain Keras over five seeds, at a rate of 0.005: the accuracy with the convolution is 0.944 ±
0.009. It is lower by 0.031 ± 0.007 on shuffled pixels, and by 0.012 ± 0.012 with the dense network.
"""

import keras
import numpy as np

import kerastudy as ks

output = ks.outputs.classes(10)
# All images get the same new order, so nothing but the places of the pixels is lost.
order = np.random.default_rng(0).permutation(64)


def build(hp):
    """Returns a compiled network for rows of 64 pixels."""
    model = keras.Sequential([keras.layers.Input((64,))])
    if hp["network"] == "dense":
        model.add(keras.layers.Dense(128, activation="relu"))
    else:
        shape = keras.layers.Reshape((8, 8, 1))
        if hp["network"] == "shuffled":
            # This layer multiplies by a fixed matrix of zeros and ones, which reorders the pixels.
            model.add(keras.layers.Dense(64, use_bias=False, trainable=False, name="shuffle"))
        model.add(shape)
        for filters in (16, 32):
            model.add(keras.layers.Conv2D(filters, 3, padding="same", activation="relu"))
            model.add(keras.layers.MaxPooling2D())
        model.add(keras.layers.Flatten())
    model.add(keras.layers.Dropout(hp["dropout"]))
    model.add(output.layer())
    if hp["network"] == "shuffled":
        model.get_layer("shuffle").set_weights([np.eye(64)[order].T])
    model.compile(keras.optimizers.Adam(hp["learning_rate"]), output.loss, metrics=output.metrics)
    return model


study = ks.Study(
    "convolutional",
    data=ks.datasets.digits(validation=1000, test=597),
    build=build,
    space=ks.SearchSpace(
        ks.Choice("network", ["dense", "convolutional", "shuffled"], role="scientific"),
        ks.learning_rate(1e-3, 2e-2),
        ks.dropout(0.0, 0.5),
    ),
    objective="val_accuracy",
    trials=24,
    epochs=25,
    engine="optuna:quasi-random",
    notes="A dense network, a convolutional one, and the same on shuffled pixels, on 200 images.",
)
