"""Arrays, with few samples of one class: class weights and the area under the curve.

Accuracy would be 0.9 for a model that never finds the rare class, so the objective is the area
under the precision-recall curve.
"""

import keras
import numpy as np

import kerastudy as ks

random = np.random.default_rng(0)
x = random.normal(size=(600, 8)).astype("float32")
y = (x[:, 0] + x[:, 1] ** 2 + 0.3 * random.normal(size=600) > 2.6).astype("int64")
output = ks.outputs.binary()


def build(hp):
    """Returns a compiled model whose output is the probability of the rare class."""
    model = keras.Sequential([keras.layers.Input((8,))])
    model.add(keras.layers.Dense(hp["units"], activation="relu"))
    model.add(output.layer())
    optimizer = keras.optimizers.Adam(hp["learning_rate"])
    metrics = [*output.metrics, keras.metrics.AUC(curve="PR", name="precision_recall")]
    model.compile(optimizer, loss=output.loss, metrics=metrics)
    return model


study = ks.Study(
    "rare class",
    data=ks.datasets.arrays(x, y, preprocess="standardize"),
    build=build,
    space=ks.SearchSpace(ks.learning_rate(1e-3, 1e-1), ks.units(8, 64, step=2)),
    objective=ks.Objective("val_precision_recall", "max"),
    class_weight="balanced",
    trials=12,
    epochs=20,
)
