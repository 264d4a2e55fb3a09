"""Models with each loss and metric of Keras, and with a user's own losses and metrics."""

from collections.abc import Collection
from typing import Any

import keras
from exact_training import GENERATORS
from model_zoo import SPARSE, Values, compiled, dropouts, stack

layers, losses, metrics, ops = keras.layers, keras.losses, keras.metrics, keras.ops
LOSSES = (
    "BinaryCrossentropy BinaryFocalCrossentropy CategoricalCrossentropy "
    "CategoricalFocalCrossentropy CategoricalHinge CosineSimilarity Dice Hinge Huber "
    "KLDivergence LogCosh MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError "
    "MeanSquaredLogarithmicError Poisson SquaredHinge Tversky"
).split()
LOSSES_OF_CLASSES = ["SparseCategoricalCrossentropy", "CategoricalGeneralizedCrossEntropy"]
METRICS = (
    "AUC Accuracy BinaryAccuracy BinaryCrossentropy CategoricalAccuracy CategoricalCrossentropy "
    "CategoricalHinge ConcordanceCorrelation CosineSimilarity FalseNegatives FalsePositives Hinge "
    "KLDivergence LogCoshError MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError "
    "MeanSquaredLogarithmicError PearsonCorrelation Poisson Precision R2Score Recall "
    "RootMeanSquaredError SquaredHinge TrueNegatives TruePositives"
).split()
# One loss or metric of each kind.
SOME_LOSSES = ["BinaryFocalCrossentropy", "CosineSimilarity", "Dice", "MeanSquaredError"]
SOME_METRICS = ["AUC", "Accuracy", "FalsePositives", "PearsonCorrelation", "R2Score"]


def of_many_losses(names: Collection[str] = LOSSES) -> keras.Model:
    inputs = keras.Input((12,))
    hidden = layers.Dense(6, activation="tanh")(inputs)
    outputs = {name: layers.Dense(3, "softmax", name=name)(hidden) for name in names}
    model = keras.Model(inputs, outputs)
    model.compile("adam", {name: getattr(losses, name)() for name in names})
    return model


def of_some_losses_and_metrics() -> keras.Model:
    model = of_many_losses(SOME_LOSSES)
    some_metrics = [getattr(metrics, name)() for name in SOME_METRICS]
    model.compile(
        "adam",
        {name: getattr(losses, name)() for name in SOME_LOSSES},
        metrics={SOME_LOSSES[0]: [*some_metrics, metrics.F1Score("macro")]},
    )
    return model


def of_circles() -> keras.Model:
    model = keras.Sequential([layers.Input((12,)), layers.Dense(4), layers.UnitNormalization()])
    model.compile("adam", losses.Circle())
    return model


def of_alignments() -> keras.Model:
    model = keras.Sequential([layers.Input((12,)), layers.Reshape((12, 1)), layers.Dense(4)])
    model.compile("adam", losses.CTC())
    return model


def of_many_metrics() -> keras.Model:
    many_metrics = [getattr(metrics, name)() for name in METRICS]
    many_metrics += [
        metrics.F1Score("macro"),
        metrics.FBetaScore("micro"),
        metrics.OneHotIoU(3, [0, 1]),
        metrics.OneHotMeanIoU(3),
        metrics.PrecisionAtRecall(0.5),
        metrics.RecallAtPrecision(0.5),
        metrics.SensitivityAtSpecificity(0.5),
        metrics.SpecificityAtSensitivity(0.5),
        metrics.TopKCategoricalAccuracy(2),
    ]
    model = stack()
    model.compile("adam", "categorical_crossentropy", metrics=many_metrics)
    return model


def of_metrics_of_classes() -> keras.Model:
    class_metrics = [
        metrics.SparseCategoricalAccuracy(),
        metrics.SparseCategoricalCrossentropy(),
        metrics.SparseTopKCategoricalAccuracy(2),
        metrics.MeanIoU(3, sparse_y_pred=False),
    ]
    return compiled(stack(), metrics=class_metrics)


def measured(hp: Values) -> keras.Model:
    model = stack(layers.Dense(8, activation="relu"), layers.Dropout(hp["rate"]))
    model.compile(
        keras.optimizers.Adam(hp["lr"]),
        losses.SparseCategoricalCrossentropy(ignore_class=2),
        metrics=["accuracy", metrics.SparseTopKCategoricalAccuracy(2, name="top")],
    )
    return model


def binary(hp: Values) -> keras.Model:
    hidden = layers.Dense(8, activation="relu", kernel_regularizer=keras.regularizers.L1(hp["l1"]))
    model = keras.Sequential([layers.Input((12,)), hidden, layers.Dense(1, activation="sigmoid")])
    model.compile(
        keras.optimizers.SGD(hp["lr"]),
        losses.BinaryFocalCrossentropy(label_smoothing=0.1),
        metrics=[metrics.AUC(num_thresholds=20), metrics.Precision(), "mae"],
    )
    return model


def weighed(hp: Values, loss: str = SPARSE) -> keras.Model:
    """Has metrics with weights and metrics without."""
    model = dropouts({"rate": hp["rate"], "l1": 1e-3, "l2": 1e-4, "lr": 1e-2})
    model.compile(
        keras.optimizers.Adam(0.01),
        loss,
        metrics=["accuracy"],
        weighted_metrics=["accuracy", getattr(metrics, METRIC_OF[loss])()],
    )
    return model


METRIC_OF = {
    SPARSE: "SparseCategoricalCrossentropy",
    "categorical_crossentropy": "CategoricalCrossentropy",
}


def of_weighted_steps() -> keras.Model:
    """Each step of a sequence has a weight."""
    model = keras.Sequential([layers.Input((4, 2)), layers.Dense(3, activation="softmax")])
    model.compile("sgd", SPARSE, weighted_metrics=["accuracy"])
    return model


class Moving(losses.Loss):  # type: ignore[misc]
    """Keeps a mean from batch to batch, and noise of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = keras.Variable(0.5, trainable=False, name="mean")
        self.seeds = keras.random.SeedGenerator(3)
        GENERATORS.append(self.seeds.state)

    def call(self, true: Any, predicted: Any) -> Any:
        loss = losses.sparse_categorical_crossentropy(true, predicted)
        self.mean.assign(0.9 * self.mean + 0.1 * ops.mean(loss))
        return loss * self.mean + 0.01 * keras.random.normal((), seed=self.seeds)


class MakingLate(losses.Loss):  # type: ignore[misc]
    """Creates its generator in its first call."""

    seeds = None

    def call(self, true: Any, predicted: Any) -> Any:
        self.seeds = self.seeds or keras.random.SeedGenerator(3)
        loss = losses.sparse_categorical_crossentropy(true, predicted)
        return loss + 0.1 * keras.random.uniform((), seed=self.seeds)


class Counted(losses.Loss):  # type: ignore[misc]
    """Depends on the number of its calls."""

    calls = 0

    def call(self, true: Any, predicted: Any) -> Any:
        self.calls += 1
        return self.calls * losses.sparse_categorical_crossentropy(true, predicted)


class Lasting(metrics.Mean):  # type: ignore[misc]
    """A metric that is never reset."""

    def update_state(self, true: Any, predicted: Any, sample_weight: Any = None) -> None:
        super().update_state(ops.mean(predicted[:, 0]))

    def reset_state(self) -> None:
        pass


class Lowest(metrics.Metric):  # type: ignore[misc]
    """Begins with another value than a reset gives."""

    def __init__(self) -> None:
        super().__init__(name="lowest")
        self.low = self.add_weight(shape=(), initializer="zeros", name="low")

    def update_state(self, true: Any, predicted: Any, sample_weight: Any = None) -> None:
        self.low.assign(ops.minimum(self.low, ops.min(predicted)))

    def result(self) -> Any:
        return self.low

    def reset_state(self) -> None:
        self.low.assign(1.0)


def with_state(loss: type[losses.Loss], *metric_classes: type[metrics.Metric]) -> keras.Model:
    model = stack(layers.Dense(4, activation="relu"), layers.Dropout(0.3), layers.Dense(4))
    model.compile("adam", loss(), metrics=[*(metric() for metric in metric_classes), "accuracy"])
    return model
