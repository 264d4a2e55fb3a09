"""Small models of every kind that Keras has, each with its data: the corpus of the trainers.

Each case is trained by plain `fit` and by both trainers, see `test_exactness`. A builder takes its
hyperparameters as a dict. Its model takes samples of 12 numbers and gives probabilities of 3
classes, unless its data is other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import losses_and_metrics as kinds
import numpy as np
import two_sided
from exact_training import COUNT, GENERATORS, VALIDATION, by_fit, by_hand, samples
from model_zoo import SPARSE, Gate, Values, closed_over, compiled, dropouts, stack

from studies.data import Splits

layers, optimizers, ops = keras.layers, keras.optimizers, keras.ops
schedules, regularizers = keras.optimizers.schedules, keras.regularizers
OFTEN: list[Values] = [{"rate": 0.3, "lr": 0.01}, {"rate": 0.45, "lr": 0.003}]
WITH_L2: list[Values] = [
    {"rate": 0.3, "lr": 0.01, "l2": 1e-3},
    {"rate": 0.4, "lr": 0.001, "l2": 1e-2},
]


@dataclass(frozen=True)
class Case:
    """A model, and what it is trained on.

    Attributes:
        build: Makes the model of hyperparameters.
        values: Sets of hyperparameters, one for each trial.
        batch_size: 8 divides both parts of the data, 10 the training alone, 12 the validation
            alone, and 16 neither: `fit` tells TensorFlow the size of a batch where it divides.
        programs: How many programs the sets of values need.
        data: Makes the data.
        class_weight: Weights of classes.
        trainer: Which trainer the compiled one ends with.
        judge: How plain Keras trains it.
        resumes: Whether weights and optimizer are all of a training's state.
    """

    build: Callable[[Values], keras.Model]
    values: Sequence[Values] = tuple(OFTEN)
    batch_size: int = 16
    programs: int = 1
    data: Callable[[], Splits] = samples
    class_weight: Mapping[int, float] | None = None
    trainer: str = "compiled"
    judge: Callable[..., Any] = by_hand
    resumes: bool = True


def stacked(
    inner: Callable[[Values], Sequence[keras.Layer]],
    optimizer: Callable[[Values], Any] = lambda hp: optimizers.Adam(hp["lr"]),
    **options: Any,
) -> Case:
    """The case of a Sequential model."""
    return Case(lambda hp: compiled(stack(*inner(hp)), optimizer(hp)), **options)


def optimized(optimizer: Callable[[Values], Any], **options: Any) -> Case:
    """The case of an optimizer."""
    return stacked(lambda hp: [layers.Dense(8), layers.Dropout(hp["rate"])], optimizer, **options)


def single(build: Callable[[], keras.Model], **options: Any) -> Case:
    """The case of a model without hyperparameters."""
    return Case(lambda hp: build(), values=({},), **{"batch_size": 8, **options})


def dropout_in_a_row(hp: Values) -> keras.Model:
    inputs = keras.Input((12,))
    hidden = layers.Dense(8)(inputs) * 0.3
    hidden = layers.Dropout(hp["rate"])(layers.Dropout(hp["rate"])(hidden))
    hidden = ops.multiply(layers.LeakyReLU(0.3)(hidden), 0.7)
    outputs = layers.Dense(3, activation="softmax")(hidden)
    return compiled(keras.Model(inputs, outputs), optimizers.Adam(hp["lr"]))


def attentive(hp: Values) -> keras.Model:
    inputs = keras.Input((12,))
    steps = layers.Reshape((4, 3))(inputs)
    hidden = layers.MultiHeadAttention(2, 2, dropout=hp["rate"])(steps, steps)
    hidden = layers.LayerNormalization()(hidden + steps)
    outputs = layers.Dense(3, activation="softmax")(layers.Flatten()(hidden))
    return compiled(keras.Model(inputs, outputs), optimizers.Adam(hp["lr"]))


def shared(hp: Values) -> keras.Model:
    """A layer that is used twice."""
    inputs = keras.Input((12,))
    twice = layers.Dense(12, activation="tanh")
    hidden = layers.Dropout(hp["rate"])(twice(twice(inputs)))
    outputs = layers.Dense(3, activation="softmax")(hidden)
    rates = schedules.PolynomialDecay(hp["lr"], 6, hp["lr"] / 10, power=2.0)
    optimizer = optimizers.SGD(rates, momentum=0.5, clipnorm=0.5)
    return compiled(keras.Model(inputs, outputs), optimizer)


def branched(hp: Values) -> keras.Model:
    inputs = keras.Input((12,))
    hidden = layers.Dropout(hp["rate"])(layers.Dense(8, activation="relu")(inputs))
    one = layers.Dense(3, activation="softmax", name="one")(hidden)
    other = layers.Dense(3, name="other")(hidden)
    model = keras.Model(inputs, layers.Average()([one, ops.softmax(other)]))
    return compiled(model, optimizers.Adam(hp["lr"]))


def decayed(hp: Values) -> Any:
    decay = hp["rate"] / 10
    optimizer = optimizers.RMSprop(hp["lr"], momentum=0.5, centered=True, weight_decay=decay)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def frozen(hp: Values) -> keras.Model:
    inner = stack(layers.Dense(8), layers.BatchNormalization(), layers.Dropout(hp["rate"]), units=5)
    inner.trainable = False
    return compiled(stack(inner, layers.Dense(4, activation="relu")))


class Subclassed(keras.Model):
    """A model written as a class, with a residual connection and a loss of its own."""

    def __init__(self, units: int, rate: float) -> None:
        super().__init__()
        self.hidden = [layers.Dense(units, activation="relu") for _ in range(2)]
        self.drop = layers.Dropout(rate)
        self.out = layers.Dense(3, activation="softmax")

    def call(self, inputs: Any, training: bool = False) -> Any:
        first = self.hidden[0](inputs)
        self.add_loss(0.01 * ops.mean(first))
        return self.out(self.drop(first + self.hidden[1](first), training=training))


def of_many_parts(hp: Values) -> keras.Model:
    """A model of many parts. It is trained wrongly if one of its parts is."""
    inner = [
        layers.Lambda(lambda x: ops.cast(ops.abs(x) * 3, "int32") % 9),
        layers.Embedding(9, 4, mask_zero=True),
        layers.SimpleRNN(4, dropout=0.2, recurrent_dropout=0.2),
        layers.Dense(8, activation="relu", kernel_regularizer=regularizers.L1L2(hp["l2"])),
        layers.BatchNormalization(),
        Gate(0.5, 0.2),
        layers.Dropout(hp["rate"]),
    ]
    optimizer = optimizers.Adam(hp["lr"], gradient_accumulation_steps=2)
    return compiled(stack(*inner), optimizer)


class Counting(layers.Layer):
    """Each call counts, also one that is made ahead of the training."""

    def build(self, shape: Any) -> None:
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x: Any) -> Any:
        self.calls.assign_add(1.0)
        return x * (1 + self.calls / 100)


class Doubling(keras.Sequential):
    def compute_loss(self, *arguments: Any, **options: Any) -> Any:
        return 2.0 * super().compute_loss(*arguments, **options)


class WithAFit(keras.Sequential):
    def fit(self, *arguments: Any, **options: Any) -> Any:
        return super().fit(*arguments, **options)


class Lately(layers.Layer):
    """Makes a sublayer when it is built, and builds another when it is first trained."""

    def __init__(self) -> None:
        super().__init__()
        self.trained_only, self.dropout = layers.Dense(8), layers.Dropout(0.3)

    def build(self, shape: Any) -> None:
        self.always = layers.Dense(8, activation="relu")

    def call(self, x: Any, training: bool = False) -> Any:
        hidden = self.always(x)
        if training:
            hidden = hidden + 0.1 * self.trained_only(x)
        return self.dropout(hidden, training=training)


class BuiltByCall(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = Lately(), layers.Dense(3, activation="softmax")

    def call(self, x: Any, training: bool = False) -> Any:
        return self.last(self.first(x, training=training))


def built_by_call() -> keras.Model:
    """Calls the model with a sample, as each trial does first. Then its tracing fails."""
    model = compiled(BuiltByCall())
    model(X[:1])
    return model


def of_several_optimizers() -> keras.Model:
    chosen = optimizers.OptimizerMap(optimizers.Adam(0.01))
    chosen[".*first.*"] = optimizers.SGD(0.1)
    inner = [layers.Dense(8, activation="relu", name="first"), layers.Dense(4)]
    return compiled(stack(*inner), optimizers.MultiOptimizer(chosen))


def of_a_global_policy() -> keras.Model:
    keras.config.set_dtype_policy("mixed_float16")
    return compiled(stack(layers.Dense(8, activation="relu"), layers.BatchNormalization()))


def stateful() -> keras.Model:
    inner = [layers.Reshape((4, 3)), layers.LSTM(4, stateful=True)]
    outputs = layers.Dense(3, activation="softmax")
    return compiled(keras.Sequential([layers.Input((12,), batch_size=8), *inner, outputs]))


def several_steps() -> keras.Model:
    """Takes several steps at once, which may be more than an epoch has left."""
    model = stack(layers.Dense(4), layers.Dropout(0.3))
    model.compile("sgd", SPARSE, steps_per_execution=2)
    return model


def with_a_function() -> keras.Model:
    seeds = keras.random.SeedGenerator(5)
    GENERATORS.append(seeds.state)
    noise = layers.Lambda(lambda x: x + keras.random.normal((12,), stddev=0.1, seed=seeds))
    return compiled(stack(noise, layers.Dropout(0.3)))


# Layers.
CORPUS: dict[str, Case] = {
    "dropouts": Case(
        dropouts,
        [
            {"rate": 0.3, "l1": 1e-3, "l2": 1e-4, "lr": 1e-2},
            {"rate": 0.1, "l1": 3e-3, "l2": 7e-3, "lr": 3e-3},
            # The structure differs if there is no dropout and no L1.
            {"rate": 0.0, "l1": 0.0, "l2": 7e-3, "lr": 3e-3},
        ],
        programs=2,
    ),
    "noises": stacked(
        lambda hp: [
            layers.GaussianNoise(hp["rate"]),
            layers.Dense(8, activation="selu"),
            layers.AlphaDropout(hp["rate"]),
            layers.Dense(8, activation="gelu"),
            layers.GaussianDropout(0.2),
        ],
        lambda hp: optimizers.RMSprop(hp["lr"]),
        batch_size=8,
    ),
    # The model has constants, which TensorFlow merges with the dropout's own.
    "rescaled": stacked(
        lambda hp: [
            layers.Rescaling(0.3),
            layers.Dropout(hp["rate"]),
            layers.Rescaling(1 / 7, offset=0.1),
            layers.Dense(8, activation="elu"),
            layers.Rescaling(0.7),
            layers.GaussianNoise(hp["rate"]),
            layers.Rescaling(1.3, offset=0.3),
        ],
        lambda hp: optimizers.SGD(hp["lr"]),
        batch_size=8,
    ),
    "dropout in a row": Case(dropout_in_a_row, programs=2),
    "pooled": stacked(
        lambda hp: [
            layers.Reshape((4, 3)),
            layers.Conv1D(4, 2, padding="same", activation="swish"),
            layers.SpatialDropout1D(hp["rate"]),
            layers.GlobalAveragePooling1D(),
            layers.Dropout(hp["rate"]),
        ],
        lambda hp: optimizers.Nadam(hp["lr"]),
    ),
    "convolutional": stacked(
        lambda hp: [
            layers.Reshape((4, 3, 1)),
            layers.Conv2D(4, 2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.SpatialDropout2D(hp["rate"]),
            layers.MaxPooling2D((2, 1)),
            layers.DepthwiseConv2D((2, 2), activation="tanh"),
            layers.Flatten(),
        ],
        lambda hp: optimizers.AdamW(hp["lr"], weight_decay=hp["rate"] / 100),
        batch_size=8,
    ),
    "augmented": stacked(
        lambda hp: [
            layers.Reshape((3, 4, 1)),
            layers.RandomFlip(),
            layers.RandomContrast(0.2),
            layers.SeparableConv2D(4, 2),
            layers.RMSNormalization(),
            layers.Conv2DTranspose(2, 2),
            layers.Flatten(),
            layers.Dropout(hp["rate"]),
        ],
        lambda hp: optimizers.Adafactor(hp["lr"]),
    ),
    "volumes": stacked(
        lambda hp: [
            layers.Reshape((3, 2, 2, 1)),
            layers.ConvLSTM2D(2, 2, padding="same"),
            layers.Reshape((2, 2, 2, 1)),
            layers.Conv3D(4, 2, padding="same", activation="relu"),
            layers.SpatialDropout3D(hp["rate"]),
            layers.Flatten(),
        ],
        lambda hp: optimizers.Lamb(schedules.ExponentialDecay(hp["lr"], 2, 0.9)),
    ),
    "recurrent": stacked(
        lambda hp: [
            layers.Reshape((4, 3)),
            layers.LSTM(4, dropout=hp["rate"], recurrent_dropout=0.2),
        ],
        batch_size=12,
        programs=2,
    ),
    "gated": stacked(
        lambda hp: [
            layers.Reshape((4, 3)),
            layers.Masking(0.0),
            layers.TimeDistributed(layers.Dense(4, activation="tanh")),
            layers.Bidirectional(layers.GRU(3)),
            layers.Dropout(hp["rate"]),
        ],
        lambda hp: optimizers.Muon(hp["lr"]),
    ),
    "stateful LSTM": single(stateful, resumes=False),
    # Embeddings have sparse gradients.
    "embedded": stacked(
        lambda hp: [
            layers.Lambda(lambda x: ops.cast(ops.abs(x) * 3, "int32") % 9),
            layers.Embedding(9, 4, embeddings_regularizer=regularizers.L2(hp["rate"] / 100)),
            layers.SpatialDropout1D(hp["rate"]),
            layers.SimpleRNN(4),
        ],
        lambda hp: optimizers.Adagrad(hp["lr"]),
        batch_size=8,
    ),
    "attentive": Case(attentive, batch_size=8, programs=2),
    "normalized": stacked(
        lambda hp: [
            layers.Normalization(mean=0.1, variance=2.0),
            layers.Dense(8, kernel_constraint="max_norm"),
            layers.LayerNormalization(),
            layers.GroupNormalization(2),
            layers.UnitNormalization(),
            layers.PReLU(),
            layers.ActivityRegularization(l2=hp["rate"] / 10),
            layers.Dense(8, activity_regularizer=regularizers.L1(hp["rate"] / 10)),
        ],
        lambda hp: optimizers.Adadelta(hp["lr"]),
        batch_size=8,
        programs=2,
    ),
    # Half precision, with a loss scale that adapts itself.
    "mixed": stacked(
        lambda hp: [
            layers.Dense(8, dtype="mixed_float16", kernel_regularizer=regularizers.L2(hp["l2"])),
            layers.Dropout(hp["rate"], dtype="mixed_float16"),
            layers.Dense(8, dtype="mixed_bfloat16", activation="relu"),
            layers.Dropout(hp["rate"], dtype="mixed_bfloat16"),
        ],
        lambda hp: optimizers.LossScaleOptimizer(optimizers.Adam(hp["lr"])),
        values=WITH_L2,
        batch_size=8,
    ),
    "global policy": single(of_a_global_policy),
    "of many parts": Case(of_many_parts, WITH_L2),
    # There are many steps, so that a trainer may run several of them in a call.
    "wide floats": single(
        lambda: dropouts({"rate": 0.3, "l1": 1e-3, "l2": 1e-4, "lr": 1e-2}),
        data=lambda: samples(
            inputs=np.random.default_rng(5).normal(size=(400, 12)), targets=np.arange(400) % 3
        ),
    ),
    "seeded": stacked(
        lambda hp: [layers.Dense(8, kernel_initializer=hp["start"]), layers.Dropout(0.5, seed=3)],
        lambda hp: "adam",
        values=[{"start": "he_normal"}, {"start": "orthogonal"}],
        batch_size=100,
    ),
    "shared": Case(shared),
    "branched": Case(branched),
    "frozen": Case(frozen),
    "subclassed": Case(
        lambda hp: compiled(Subclassed(6, hp["rate"]), optimizers.Adam(hp["lr"])), batch_size=10
    ),
    "of one's own": stacked(
        lambda hp: [layers.Dense(8), Gate(hp["strength"], hp["rate"])],
        lambda hp: "adam",
        values=[
            {"strength": 0.5, "rate": 0.2},
            {"strength": 1.5, "rate": 0.2},
            {"strength": 0.5, "rate": 0.4},
        ],
        batch_size=8,
        programs=2,
    ),
    "closed over": Case(closed_over, [{"strength": 0.5}, {"strength": 1.5}], programs=2),
    "counting": single(lambda: compiled(stack(Counting()))),
    "with its own loss": single(lambda: compiled(Doubling(stack().layers))),
    "with its own fit": single(lambda: compiled(WithAFit(stack().layers)), trainer="plain"),
    "built by a call": single(built_by_call, batch_size=16, trainer="plain"),
    "several steps": single(several_steps, batch_size=10, trainer="plain"),
    "a function's generator": single(with_a_function, batch_size=16),
}
# Optimizers.
CORPUS |= {
    "momentum": optimized(
        lambda hp: optimizers.SGD(hp["lr"], hp["momentum"], nesterov=hp["nesterov"]),
        values=[
            {"rate": 0.3, "lr": lr, "momentum": momentum, "nesterov": nesterov}
            for lr, momentum, nesterov in (
                (0.01, 0.3, False),
                (0.003, 0.45, False),
                (0.1, 0.9, True),
                (1.0, 0.0, False),
            )
        ],
        batch_size=8,
        programs=3,
    ),
    "clipped": optimized(lambda hp: optimizers.Ftrl(hp["lr"], clipvalue=0.1)),
    "averaged": optimized(
        lambda hp: optimizers.Lion(
            hp["lr"], use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=3, weight_decay=0.01
        )
    ),
    # `fit` writes its averages into the model at its end, so a `fit` per epoch is another training.
    "averaged at the end": optimized(
        lambda hp: optimizers.Adam(hp["lr"], use_ema=True, amsgrad=True), judge=by_fit
    ),
    "accumulated": optimized(
        lambda hp: optimizers.Adam(hp["lr"], gradient_accumulation_steps=2), batch_size=10
    ),
    "decayed": optimized(decayed, batch_size=8),
    "schedule-free": optimized(lambda hp: optimizers.ScheduleFreeAdamW(hp["lr"])),
    # The warmup is beside constants.
    "warmed up": optimized(
        lambda hp: optimizers.Adamax(
            schedules.CosineDecay(hp["lr"], 9, warmup_target=0.1, warmup_steps=2),
            global_clipnorm=0.5,
        ),
        programs=2,
    ),
    "restarted": optimized(
        lambda hp: optimizers.SGD(schedules.CosineDecayRestarts(hp["lr"], 2, alpha=hp["rate"] / 10))
    ),
    "stepped": optimized(
        lambda hp: optimizers.RMSprop(
            schedules.PiecewiseConstantDecay([2, 4], [hp["lr"], 0.003, 0.001])
        ),
        programs=2,
    ),
    "slowed": optimized(
        lambda hp: optimizers.Adam(
            schedules.InverseTimeDecay(hp["lr"], 2, hp["rate"], staircase=True)
        )
    ),
    # What MultiOptimizer holds can't be compared surely: each trial has a program of its own.
    "several optimizers": single(of_several_optimizers, programs=2, resumes=False),
}
X = samples().train.x
CLASSES = np.arange(COUNT) % 3
ONE_HOT = np.eye(3, dtype="float32")[CLASSES]
RANDOM = np.random.default_rng(7)
WEIGHTS = RANDOM.uniform(0.0, 3.0, COUNT)
WEIGHTS[::5] = 0.0
READY = (RANDOM.normal(size=(VALIDATION, 12)), np.arange(VALIDATION) % 3)
STEPS = np.arange(COUNT * 4).reshape(COUNT, 4)


def aimed(y: Any) -> Callable[[], Splits]:
    """Makes the samples with other targets."""
    return lambda: samples(targets=y)


# Losses and metrics.
CORPUS |= {
    "losses": single(kinds.of_many_losses, data=aimed(dict.fromkeys(kinds.LOSSES, ONE_HOT))),
    "losses of classes": single(
        lambda: kinds.of_many_losses(kinds.LOSSES_OF_CLASSES),
        data=aimed(dict.fromkeys(kinds.LOSSES_OF_CLASSES, CLASSES)),
    ),
    "some losses and metrics": single(
        kinds.of_some_losses_and_metrics, data=aimed(dict.fromkeys(kinds.SOME_LOSSES, ONE_HOT))
    ),
    "circle loss": single(kinds.of_circles),
    "alignments": single(
        kinds.of_alignments,
        data=aimed(np.stack([CLASSES, CLASSES[::-1]], 1).astype("int32") + 1),
        trainer="plain",
    ),
    "metrics": single(kinds.of_many_metrics, data=aimed(ONE_HOT)),
    "metrics of classes": single(kinds.of_metrics_of_classes),
    "measured": Case(kinds.measured, batch_size=10),
    "binary": Case(
        kinds.binary,
        [{"l1": 1e-3, "lr": 0.1}, {"l1": 1e-2, "lr": 0.3}],
        batch_size=8,
        data=lambda: samples(classes=2),
    ),
    "state of a loss": single(
        lambda: kinds.with_state(kinds.Moving, kinds.Lasting), batch_size=16, resumes=False
    ),
    "state of a metric": single(
        lambda: kinds.with_state(kinds.losses.SparseCategoricalCrossentropy, kinds.Lowest),
        batch_size=16,
    ),
    "late generator": single(lambda: kinds.with_state(kinds.MakingLate), trainer="plain"),
    "counted calls": single(lambda: kinds.with_state(kinds.Counted), trainer="plain"),
}
# Weights. The validation part is ready-made if all samples train.
CORPUS |= {
    f"weights of {name}": Case(kinds.weighed, data=data)
    for name, data in {
        "both parts": lambda: samples(sample_weight=WEIGHTS),
        "whole numbers": lambda: samples(sample_weight=np.arange(COUNT) % 4),
        "training only": lambda: samples(sample_weight=WEIGHTS, validation=READY),
        "validation only": lambda: samples(validation=(*READY, WEIGHTS[:VALIDATION])),
    }.items()
}
CORPUS |= {
    "weights of steps": single(
        kinds.of_weighted_steps,
        batch_size=16,
        data=lambda: samples(
            inputs=RANDOM.normal(size=(COUNT, 4, 2)),
            targets=STEPS % 3,
            sample_weight=(STEPS % 5).astype(float),
        ),
    ),
    # A class without a weight counts 1. The validation is not weighted.
    "weights of classes": Case(kinds.weighed, class_weight={0: 0.3, 2: 5.0}),
    "weights of classes in a column": Case(
        kinds.weighed, data=aimed(CLASSES[:, None]), class_weight={0: 0.3, 2: 5.0}
    ),
    "weights of one-hot classes": Case(
        lambda hp: kinds.weighed(hp, "categorical_crossentropy"),
        data=aimed(ONE_HOT),
        class_weight={0: 0.3, 2: 5.0},
    ),
}
# Several inputs and outputs. What Keras can't weigh is refused, see test_target_checks.
CORPUS |= {
    f"two inputs, {name}" + ", weighted" * weighted: Case(
        build,
        WITH_L2,
        data=lambda data=data, weights=WEIGHTS[: two_sided.COUNT] if weighted else None: data(
            sample_weight=weights
        ).load(),
    )
    for name, (build, data) in two_sided.MODELS.items()
    for weighted in (False, True)
    if not (weighted and name == "listed, given names")
}
