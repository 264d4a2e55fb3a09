"""Which function should the hidden layers have?

Without one, "linear", five layers can do no more than one: a chain of matrices is a matrix. The
sigmoid was the first choice for decades. Tanh is a sigmoid about 0, and relu lets pass what is
above 0.

`activation` is the scientific hyperparameter, the learning rate a nuisance. Look at "answer" in
`kerastudy show activations`, then in the report at its chart, an interval for each function, and at
the curve of a trial of each.

What was found: the sigmoid is worse by 0.29 ± 0.26 of accuracy, and underfits. Its slope is 0.25 at
most, so that five layers leave a thousandth of the gradient to the first. Linear is worse by 0.014
± 0.010 only: the digits are almost a linear problem, which is good to know of any data. Tanh leads
relu by 0.013 ± 0.015: no clear difference.
"""

import keras

import kerastudy as ks

output = ks.outputs.classes(10)


def build(hp):
    """Returns a compiled network of five hidden layers."""
    model = keras.Sequential([keras.layers.Input((64,))])
    for _ in range(5):
        model.add(keras.layers.Dense(32, activation=hp["activation"]))
    model.add(output.layer())
    optimizer = keras.optimizers.Adam(hp["learning_rate"])
    model.compile(optimizer, loss=output.loss, metrics=output.metrics)
    return model


study = ks.Study(
    "activations",
    data=ks.datasets.digits(),
    build=build,
    space=ks.SearchSpace(
        ks.activation(["relu", "tanh", "sigmoid", "linear"], role="scientific"),
        ks.learning_rate(1e-3, 2e-2),
    ),
    objective="val_accuracy",
    trials=80,
    epochs=8,
    engine="optuna:quasi-random",
    notes="Which activation should five hidden layers have? Relu, tanh, sigmoid or none, compared "
    "by what each reaches with its best learning rate.",
)
