"""Does batch normalization help a deep network?

Batch normalization brings the inputs of a layer to mean 0 and deviation 1 over each batch, then
scales and shifts them by weights of its own. So a layer need not follow every change of the layers
before it.

`batch_normalization` is the scientific hyperparameter, on or off in five layers. The learning rate
of SGD, a nuisance, is tuned in a range whose ends differ by a factor of 100. Look at "answer" in
`kerastudy show batch-normalization`, then in the report at the slice of `learning_rate`.

What was found, by plain Keras over five seeds: it depends on the learning rate. At 0.003, the
accuracy after eight epochs is 0.896 ± 0.016 with batch normalization, and 0.51 ± 0.07 without. At
0.3, it is 0.921 ± 0.018 with batch normalization, and networks without it never learn: 0.12 ± 0.05.
In between, at 0.03, both do well: 0.953 ± 0.013 with it, and 0.927 ± 0.020 without. They differ by
0.026 ± 0.031, which is no clear difference. So batch normalization helps most if the right rate is
unknown.
"""

import keras

import kerastudy as ks

output = ks.outputs.classes(10)


def build(hp):
    """Returns a compiled network of five hidden layers."""
    model = keras.Sequential([keras.layers.Input((64,))])
    for _ in range(5):
        model.add(keras.layers.Dense(32, use_bias=not hp["batch_normalization"]))
        if hp["batch_normalization"]:
            model.add(keras.layers.BatchNormalization())
        model.add(keras.layers.Activation("relu"))
    model.add(output.layer())
    optimizer = keras.optimizers.SGD(hp["learning_rate"], momentum=0.9)
    model.compile(optimizer, loss=output.loss, metrics=output.metrics)
    return model


study = ks.Study(
    "batch-normalization",
    data=ks.datasets.digits(),
    build=build,
    space=ks.SearchSpace(ks.batchnorm(role="scientific"), ks.learning_rate(3e-3, 3e-1)),
    objective="val_accuracy",
    trials=40,
    epochs=8,
    engine="optuna:quasi-random",
    notes="Five layers with and without it, each at its best learning rate.",
)
