"""Every loss and metric of Keras, and layers that keep something: as by hand, to the bit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

import keras
import numpy as np
import pytest
from exact_training import by_hand, by_trainer, leave_out_checks, samples, spec_of
from model_zoo import compiled, stack
from suite import exhaustive_but

import kerastudy as ks
from studies.training import CompiledTrainer, configure_tensorflow

layers, losses, metrics = keras.layers, keras.losses, keras.metrics
X = np.random.default_rng(0).normal(size=(64, 12)).astype("float32")
CLASSES = np.arange(64) % 3
ONE_HOT = np.eye(3, dtype="float32")[CLASSES]
LOSSES = {
    name: getattr(losses, name)
    for name in (
        "BinaryCrossentropy BinaryFocalCrossentropy CategoricalCrossentropy "
        "CategoricalFocalCrossentropy CategoricalHinge CosineSimilarity Dice Hinge Huber "
        "KLDivergence LogCosh MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError "
        "MeanSquaredLogarithmicError Poisson SquaredHinge Tversky"
    ).split()
}
OF_CLASSES = {
    "SparseCategoricalCrossentropy": losses.SparseCategoricalCrossentropy,
    "CategoricalGeneralizedCrossEntropy": losses.CategoricalGeneralizedCrossEntropy,
}
METRICS = (
    "AUC Accuracy BinaryAccuracy BinaryCrossentropy CategoricalAccuracy CategoricalCrossentropy "
    "CategoricalHinge ConcordanceCorrelation CosineSimilarity FalseNegatives FalsePositives Hinge "
    "KLDivergence LogCoshError MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError "
    "MeanSquaredLogarithmicError PearsonCorrelation Poisson Precision R2Score Recall "
    "RootMeanSquaredError SquaredHinge TrueNegatives TruePositives"
).split()


@pytest.fixture(autouse=True)
def policy() -> Iterator[None]:
    configure_tensorflow(None)
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


def data(y: Any) -> Any:
    return ks.datasets.arrays(X, y, validation=24, test=None).load()


# One of each kind: the others are of a kind with them.
SOME_LOSSES = ["BinaryFocalCrossentropy", "CosineSimilarity", "Dice", "Huber", "MeanSquaredError"]
SOME_METRICS = ["AUC", "Accuracy", "FalsePositives", "PearsonCorrelation", "Precision", "R2Score"]


def of_many_losses(names: Collection[str] = LOSSES) -> keras.Model:
    inputs = keras.Input((12,))
    hidden = layers.Dense(6, activation="tanh")(inputs)
    outputs = {name: layers.Dense(3, "softmax", name=name)(hidden) for name in names}
    model = keras.Model(inputs, outputs)
    model.compile("adam", {name: LOSSES[name]() for name in names})
    return model


def of_some_losses_and_metrics() -> keras.Model:
    model = of_many_losses(SOME_LOSSES)
    kept = [getattr(metrics, name)() for name in SOME_METRICS]
    model.compile(
        "adam",
        {name: LOSSES[name]() for name in SOME_LOSSES},
        metrics={SOME_LOSSES[0]: [*kept, metrics.F1Score("macro")]},
    )
    return model


def of_many_losses_of_classes() -> keras.Model:
    inputs = keras.Input((12,))
    outputs = {name: layers.Dense(3, "softmax", name=name)(inputs) for name in OF_CLASSES}
    model = keras.Model(inputs, outputs)
    model.compile("adam", {name: loss() for name, loss in OF_CLASSES.items()})
    return model


def of_circles() -> keras.Model:
    model = keras.Sequential([layers.Input((12,)), layers.Dense(4), layers.UnitNormalization()])
    model.compile("adam", losses.Circle())
    return model


def of_many_metrics() -> keras.Model:
    model = keras.Sequential([layers.Input((12,)), layers.Dense(3, activation="softmax")])
    kept = [getattr(metrics, name)() for name in METRICS]
    kept += [
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
    model.compile("adam", "categorical_crossentropy", metrics=kept)
    return model


def of_metrics_of_classes() -> keras.Model:
    kept = [
        metrics.SparseCategoricalAccuracy(),
        metrics.SparseCategoricalCrossentropy(),
        metrics.SparseTopKCategoricalAccuracy(2),
        metrics.MeanIoU(3, sparse_y_pred=False),
    ]
    return compiled(stack(), metrics=kept)


def of_several_optimizers() -> keras.Model:
    chosen = keras.optimizers.OptimizerMap(keras.optimizers.Adam(0.01))
    chosen[".*first.*"] = keras.optimizers.SGD(0.1)
    inner = [layers.Dense(8, activation="relu", name="first"), layers.Dense(4)]
    return compiled(stack(*inner), keras.optimizers.MultiOptimizer(chosen))


def masked() -> keras.Model:
    inner = [
        layers.Lambda(lambda x: keras.ops.cast(keras.ops.abs(x) * 3, "int32") % 9),
        layers.Embedding(9, 4, mask_zero=True),
        layers.GRU(3),
    ]
    return compiled(stack(*inner))


def of_a_global_policy() -> keras.Model:
    keras.config.set_dtype_policy("mixed_float16")
    return compiled(stack(layers.Dense(8, activation="relu"), layers.BatchNormalization()))


class Counting(keras.layers.Layer):
    """Each call counts, also one that is made ahead of the training."""

    def build(self, shape: Any) -> None:
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x: Any) -> Any:
        self.calls.assign_add(1.0)
        return x * (1 + self.calls / 100)


class Doubling(keras.Sequential):
    def compute_loss(self, *arguments: Any, **options: Any) -> Any:
        return 2.0 * super().compute_loss(*arguments, **options)


def stateful() -> keras.Model:
    model = keras.Sequential(
        [
            layers.Input((12,), batch_size=8),
            layers.Reshape((4, 3)),
            layers.LSTM(4, stateful=True),
            layers.Dense(3, activation="softmax"),
        ]
    )
    return compiled(model)


MODELS: dict[str, tuple[Callable[[], keras.Model], Any]] = {
    "losses": (of_many_losses, dict.fromkeys(LOSSES, ONE_HOT)),
    "some of both": (of_some_losses_and_metrics, dict.fromkeys(SOME_LOSSES, ONE_HOT)),
    "losses of classes": (of_many_losses_of_classes, dict.fromkeys(OF_CLASSES, CLASSES)),
    "a circle loss": (of_circles, CLASSES),
    "metrics": (of_many_metrics, ONE_HOT),
    "metrics of classes": (of_metrics_of_classes, CLASSES),
    "several optimizers": (of_several_optimizers, CLASSES),
    "masks": (masked, CLASSES),
    "a global policy": (of_a_global_policy, CLASSES),
    "a layer that counts": (lambda: compiled(stack(Counting())), CLASSES),
    "a loss of its own": (lambda: compiled(Doubling(stack().layers)), CLASSES),
    "a convolutional LSTM": (
        lambda: compiled(
            stack(layers.Reshape((3, 2, 2, 1)), layers.ConvLSTM2D(2, 2), layers.Flatten())
        ),
        CLASSES,
    ),
    "a stateful LSTM": (stateful, CLASSES),
}


# Masks are in a model of `test_exactness`; that of a stateful LSTM is verified by `fit` below.
@pytest.mark.parametrize("what", exhaustive_but([], MODELS))
def test_trained_as_by_hand(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if what == "some of both":
        leave_out_checks(monkeypatch)
    build, y = MODELS[what]
    splits, spec = data(y), spec_of(batch_size=8)
    wanted = by_hand(build, splits, spec)
    trainer = CompiledTrainer("compiled")
    for _ in range(2):
        assert by_trainer(trainer, build, splits, spec) == wanted
    # What MultiOptimizer holds can't be compared surely.
    assert trainer.programs.made == (2 if what == "several optimizers" else 1)


class WithAFit(keras.Sequential):
    def fit(self, *arguments: Any, **options: Any) -> Any:
        return super().fit(*arguments, **options)


def of_alignments() -> keras.Model:
    model = keras.Sequential([layers.Input((12,)), layers.Reshape((12, 1)), layers.Dense(4)])
    model.compile("adam", losses.CTC())
    return model


@pytest.mark.parametrize(
    ("build", "y"),
    [
        (lambda: compiled(WithAFit(stack().layers)), CLASSES),
        pytest.param(
            of_alignments,
            np.stack([CLASSES, CLASSES[::-1]], 1).astype("int32") + 1,
            marks=pytest.mark.exhaustive,
        ),
        # Also verified by `fit`, below.
        pytest.param(stateful, CLASSES, marks=pytest.mark.exhaustive),
    ],
)
def test_trained_plainly_as_by_hand(build: Callable[[], keras.Model], y: Any) -> None:
    splits, spec = data(y), spec_of(batch_size=8)
    # A program trains the stateful one, see above.
    trainer = CompiledTrainer("plain" if build is stateful else "auto")
    assert by_trainer(trainer, build, splits, spec) == by_hand(build, splits, spec)
    assert trainer.used[0] == "plain"


def test_a_metric_with_a_value_for_each_class_is_a_metric_for_each() -> None:
    def build() -> keras.Model:
        model = keras.Sequential([layers.Input((12,)), layers.Dense(3, activation="softmax")])
        model.compile("adam", "categorical_crossentropy", metrics=[metrics.F1Score()])
        return model

    # As the plain trainer does, see `test_plain_trainer`.
    trainer = CompiledTrainer("compiled")
    found = by_trainer(trainer, build, data(ONE_HOT), spec_of(1))[0].metrics
    by_class = by_hand(build, data(ONE_HOT), spec_of(1))[0].metrics["f1_score"]
    assert [found[f"f1_score_{i}"] for i in range(3)] == [float(v) for v in by_class]


@pytest.mark.exhaustive
def test_a_study_of_a_stateful_model_is_verified_by_fit(tmp_path: Any) -> None:
    """Its batches have one size; what it keeps from batch to batch is in no checkpoint."""

    def build(hp: Any) -> keras.Model:
        model = stateful()
        model.optimizer.learning_rate = hp["learning_rate"]
        return model

    training = samples()
    arrays = ks.datasets.arrays(training.train.x, training.train.y, validation=16, test=None)
    study = ks.Study(
        "stateful",
        data=arrays,
        build=build,
        space=ks.SearchSpace(ks.learning_rate()),
        batch_size=8,
        epochs=2,
        trials=1,
    )
    history = study.launch(store=tmp_path / "store", progress=False, verify="full")
    assert not history.description.warnings
    assert history.best is not None
    assert history.best.verified == "model.fit, identical"
