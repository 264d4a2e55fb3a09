"""Is it good to be right in 95 of 100 cases?

The data are 3,000 samples, of which one in twenty is positive, like frauds or rare diseases. Always
saying no is right in 94 % of the cases, and finds no positive. So accuracy says little here.
*Precision* is the share of alarms that are right, and *recall* the share of positives that raise an
alarm. Both depend on the threshold, 0.5. The objective is the *AUC*, which doesn't: it is the share
of pairs, of a positive and a negative, that the network puts in the right order.

`balanced` is the scientific hyperparameter: `class_weight="balanced"` makes both classes count the
same in training. Look at "answer" in `kerastudy show metrics`. Then compare the four metrics of the
best trial of each kind by `kerastudy show metrics --trial N`.

What was found, by plain Keras over five seeds: without weights, the accuracy is 0.954 ± 0.003,
hardly more than by always saying no (0.944). The precision is 0.75 ± 0.15, and the recall 0.31 ±
0.04: two of three positives are missed. With weights, the recall is 0.65 ± 0.16, the precision 0.17
± 0.04 and the accuracy 0.78 ± 0.08. The AUC is 0.84 ± 0.02 without and 0.84 ± 0.03 with weights:
the order of the samples stays, and the weights only act like a lower threshold. The better choice
depends on the costs of a false alarm and of a missed positive.
"""

import keras
from sklearn.datasets import make_classification

import kerastudy as ks

output = ks.outputs.binary()
x, y = make_classification(
    3000, 20, n_informative=6, weights=[0.95], class_sep=0.8, flip_y=0.01, random_state=0
)


def build(hp):
    """Returns a compiled network whose output is the probability of a positive."""
    hidden = keras.layers.Dense(32, activation="relu")
    model = keras.Sequential([keras.layers.Input((20,)), hidden, output.layer()])
    metrics = [
        keras.metrics.AUC(name="auc"),
        keras.metrics.Precision(name="precision"),
        keras.metrics.Recall(name="recall"),
    ]
    optimizer = keras.optimizers.Adam(hp["learning_rate"])
    model.compile(optimizer, loss=output.loss, metrics=[*output.metrics, *metrics])
    return model


def class_weight(hp):
    """Returns weights that make both classes count the same in training, or none."""
    return "balanced" if hp["balanced"] else None


study = ks.Study(
    "metrics",
    data=ks.datasets.arrays(x.astype("float32"), y, name="one in twenty"),
    build=build,
    class_weight=class_weight,
    space=ks.SearchSpace(ks.Boolean("balanced", role="scientific"), ks.learning_rate(1e-3, 3e-2)),
    objective="val_auc",
    trials=24,
    epochs=15,
    engine="optuna:quasi-random",
    notes="Accuracy, AUC, precision and recall where one sample in twenty is positive.",
)
