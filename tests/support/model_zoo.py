"""Small models of many kinds, to show that trainers train them bit for bit alike.

Each takes samples of 12 numbers and gives probabilities of 3 classes, unless it says otherwise,
and its hyperparameters as a dict. `ZOO` has two or three sets of them for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

layers = keras.layers
Values = Mapping[str, Any]
Builder = Callable[[Values], keras.Model]
SPARSE = "sparse_categorical_crossentropy"
_OFTEN = [{"rate": 0.3, "lr": 0.01}, {"rate": 0.45, "lr": 0.003}]


def compiled(model: keras.Model, optimizer: Any = "adam", metrics: Any = ("accuracy",)) -> Any:
    model.compile(optimizer, SPARSE, metrics=list(metrics))
    return model


def stack(*inner: keras.Layer, units: int = 3) -> keras.Sequential:
    output = layers.Dense(units, activation="softmax", dtype="float32")
    return keras.Sequential([layers.Input((12,)), *inner, output])


def dropouts(hp: Values) -> keras.Model:
    """The usual one: regularized, normalized, dropped out."""
    regularizer = keras.regularizers.L1L2(hp["l1"], hp["l2"])
    inner = [
        layers.Dense(8, activation="relu", kernel_regularizer=regularizer),
        layers.BatchNormalization(),
        layers.Dropout(hp["rate"]),
        layers.Dense(8, activation="relu", kernel_regularizer=keras.regularizers.L2(hp["l2"])),
        layers.Dropout(hp["rate"] / 2),
    ]
    return compiled(stack(*inner), keras.optimizers.Adam(hp["lr"]))


def noises(hp: Values) -> keras.Model:
    inner = [
        layers.GaussianNoise(hp["rate"]),
        layers.Dense(8, activation="selu"),
        layers.AlphaDropout(hp["rate"]),
        layers.Dense(8, activation="gelu"),
        layers.GaussianDropout(0.2),
    ]
    return compiled(stack(*inner), keras.optimizers.RMSprop(hp["lr"]))


def rescaled(hp: Values) -> keras.Model:
    """Constants beside the dropout's own, which TensorFlow merges with it."""
    inner = [
        layers.Rescaling(0.3),
        layers.Dropout(hp["rate"]),
        layers.Rescaling(1 / 7, offset=0.1),
        layers.Dense(8, activation="elu"),
        layers.Rescaling(0.7),
        layers.GaussianNoise(hp["rate"]),
        layers.Rescaling(1.3, offset=0.3),
    ]
    return compiled(stack(*inner), keras.optimizers.SGD(hp["lr"]))


def dropout_in_a_row(hp: Values) -> keras.Model:
    inputs = keras.Input((12,))
    hidden = layers.Dense(8)(inputs) * 0.3
    hidden = layers.Dropout(hp["rate"])(layers.Dropout(hp["rate"])(hidden))
    hidden = keras.ops.multiply(layers.LeakyReLU(0.3)(hidden), 0.7)
    outputs = layers.Dense(3, activation="softmax")(hidden)
    return compiled(keras.Model(inputs, outputs), keras.optimizers.Adam(hp["lr"]))


def pooled(hp: Values) -> keras.Model:
    inner = [
        layers.Reshape((4, 3)),
        layers.Conv1D(4, 2, padding="same", activation="swish"),
        layers.SpatialDropout1D(hp["rate"]),
        layers.GlobalAveragePooling1D(),
        layers.Dropout(hp["rate"]),
    ]
    return compiled(stack(*inner), keras.optimizers.Nadam(hp["lr"]))


def convolutional(hp: Values) -> keras.Model:
    inner = [
        layers.Reshape((4, 3, 1)),
        layers.Conv2D(4, 2, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.SpatialDropout2D(hp["rate"]),
        layers.MaxPooling2D((2, 1)),
        layers.DepthwiseConv2D((2, 2), activation="tanh"),
        layers.Flatten(),
    ]
    optimizer = keras.optimizers.AdamW(hp["lr"], weight_decay=hp["rate"] / 100)
    return compiled(stack(*inner), optimizer)


def recurrent(hp: Values) -> keras.Model:
    inner = [
        layers.Reshape((4, 3)),
        layers.LSTM(4, dropout=hp["rate"], recurrent_dropout=0.2),
    ]
    return compiled(stack(*inner), keras.optimizers.Adam(hp["lr"]))


def embedded(hp: Values) -> keras.Model:
    """Sparse gradients."""
    inner = [
        layers.Lambda(lambda x: keras.ops.cast(keras.ops.abs(x) * 3, "int32") % 9),
        layers.Embedding(9, 4, embeddings_regularizer=keras.regularizers.L2(hp["rate"] / 100)),
        layers.SpatialDropout1D(hp["rate"]),
        layers.SimpleRNN(4),
    ]
    return compiled(stack(*inner), keras.optimizers.Adagrad(hp["lr"]))


def attentive(hp: Values) -> keras.Model:
    inputs = keras.Input((12,))
    steps = layers.Reshape((4, 3))(inputs)
    hidden = layers.MultiHeadAttention(2, 2, dropout=hp["rate"])(steps, steps)
    hidden = layers.LayerNormalization()(hidden + steps)
    outputs = layers.Dense(3, activation="softmax")(layers.Flatten()(hidden))
    return compiled(keras.Model(inputs, outputs), keras.optimizers.Adam(hp["lr"]))


def normalized(hp: Values) -> keras.Model:
    inner = [
        layers.Normalization(mean=0.1, variance=2.0),
        layers.Dense(8, kernel_constraint="max_norm"),
        layers.LayerNormalization(),
        layers.GroupNormalization(2),
        layers.UnitNormalization(),
        layers.PReLU(),
        layers.ActivityRegularization(l2=hp["rate"] / 10),
        layers.Dense(8, activity_regularizer=keras.regularizers.L1(hp["rate"] / 10)),
    ]
    return compiled(stack(*inner), keras.optimizers.Adadelta(hp["lr"]))


def momentum(hp: Values) -> keras.Model:
    optimizer = keras.optimizers.SGD(hp["lr"], momentum=hp["rate"], nesterov=hp.get("n", False))
    return compiled(stack(layers.Dense(8, activation="tanh")), optimizer)


def scheduled(hp: Values) -> keras.Model:
    schedule = keras.optimizers.schedules.CosineDecay(
        hp["lr"], 9, warmup_target=0.1, warmup_steps=2
    )
    optimizer = keras.optimizers.Adamax(schedule, global_clipnorm=0.5)
    return compiled(stack(layers.Dense(8), layers.Dropout(hp["rate"])), optimizer)


def clipped(hp: Values) -> keras.Model:
    optimizer = keras.optimizers.Ftrl(hp["lr"], clipvalue=0.1)
    return compiled(stack(layers.Dense(8), layers.Dropout(hp["rate"])), optimizer)


def averaged(hp: Values) -> keras.Model:
    optimizer = keras.optimizers.Lion(
        hp["lr"], use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=3, weight_decay=0.01
    )
    return compiled(stack(layers.Dense(8), layers.Dropout(hp["rate"])), optimizer)


def averaged_at_the_end(hp: Values) -> keras.Model:
    optimizer = keras.optimizers.Adam(hp["lr"], use_ema=True, amsgrad=True)
    return compiled(stack(layers.Dense(8), layers.Dropout(hp["rate"])), optimizer)


def accumulated(hp: Values) -> keras.Model:
    optimizer = keras.optimizers.Adam(hp["lr"], gradient_accumulation_steps=2)
    return compiled(stack(layers.Dense(8), layers.Dropout(hp["rate"])), optimizer)


def decayed(hp: Values) -> keras.Model:
    optimizer = keras.optimizers.RMSprop(
        hp["lr"], momentum=0.5, centered=True, weight_decay=hp["rate"] / 10
    )
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return compiled(stack(layers.Dense(8)), optimizer)


def mixed(hp: Values) -> keras.Model:
    """Half precision, with a loss scale that adapts itself."""
    inner = [
        layers.Dense(8, dtype="mixed_float16", kernel_regularizer=keras.regularizers.L2(hp["l2"])),
        layers.Dropout(hp["rate"], dtype="mixed_float16"),
        layers.Dense(8, dtype="mixed_bfloat16", activation="relu"),
        layers.Dropout(hp["rate"], dtype="mixed_bfloat16"),
    ]
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(hp["lr"]))
    return compiled(stack(*inner), optimizer)


def frozen(hp: Values) -> keras.Model:
    inner = stack(layers.Dense(8), layers.BatchNormalization(), layers.Dropout(hp["rate"]), units=5)
    inner.trainable = False
    return compiled(stack(inner, layers.Dense(4, activation="relu")))


def branched(hp: Values) -> keras.Model:
    inputs = keras.Input((12,))
    hidden = layers.Dropout(hp["rate"])(layers.Dense(8, activation="relu")(inputs))
    one = layers.Dense(3, activation="softmax", name="one")(hidden)
    other = layers.Dense(3, name="other")(hidden)
    model = keras.Model(inputs, layers.Average()([one, keras.ops.softmax(other)]))
    return compiled(model, keras.optimizers.Adam(hp["lr"]))


def measured(hp: Values) -> keras.Model:
    """Losses and metrics with state and settings."""
    model = stack(layers.Dense(8, activation="relu"), layers.Dropout(hp["rate"]))
    model.compile(
        keras.optimizers.Adam(hp["lr"]),
        keras.losses.SparseCategoricalCrossentropy(ignore_class=2),
        metrics=[
            "accuracy",
            keras.metrics.SparseTopKCategoricalAccuracy(2, name="top"),
            keras.metrics.SparseCategoricalCrossentropy(),
        ],
    )
    return model


def binary(hp: Values) -> keras.Model:
    """Of one unit, with the area under a curve."""
    hidden = layers.Dense(8, activation="relu", kernel_regularizer=keras.regularizers.L1(hp["l1"]))
    model = keras.Sequential([layers.Input((12,)), hidden, layers.Dense(1, activation="sigmoid")])
    model.compile(
        keras.optimizers.SGD(hp["lr"]),
        keras.losses.BinaryFocalCrossentropy(label_smoothing=0.1),
        metrics=[keras.metrics.AUC(num_thresholds=20), keras.metrics.Precision(), "mae"],
    )
    return model


class Gate(keras.Layer):
    """A layer of the user's own, with a weight, a number and a random state."""

    def __init__(self, strength: float, rate: float) -> None:
        super().__init__()
        self.strength = strength
        self.drop = layers.Dropout(rate)

    def build(self, shape: Sequence[int]) -> None:
        self.gate = self.add_weight(shape=(shape[-1],), initializer="ones", name="gate")

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.drop(inputs * keras.ops.sigmoid(self.gate) * self.strength, training=training)


def custom(hp: Values) -> keras.Model:
    return compiled(stack(layers.Dense(8), Gate(hp["strength"], hp["rate"])))


class Subclassed(keras.Model):
    """A model written as a class, with a residual connection and a loss of its own."""

    def __init__(self, units: int, rate: float) -> None:
        super().__init__()
        self.hidden = [layers.Dense(units, activation="relu") for _ in range(2)]
        self.drop = layers.Dropout(rate)
        self.out = layers.Dense(3, activation="softmax")

    def call(self, inputs: Any, training: bool = False) -> Any:
        first = self.hidden[0](inputs)
        self.add_loss(0.01 * keras.ops.mean(first))
        return self.out(self.drop(first + self.hidden[1](first), training=training))


def subclassed(hp: Values) -> keras.Model:
    return compiled(Subclassed(6, hp["rate"]), keras.optimizers.Adam(hp["lr"]))


def closed_over(hp: Values) -> keras.Model:
    """Functions that close over a hyperparameter."""
    strength = hp["strength"]

    def loss(true: Any, predicted: Any) -> Any:
        return keras.losses.sparse_categorical_crossentropy(true, predicted) * strength

    model = stack(layers.Dense(8), layers.Lambda(lambda x: x * strength))
    model.compile("adam", loss, metrics=["accuracy"])
    return model


def seeded(hp: Values) -> keras.Model:
    inner = [layers.Dense(8, kernel_initializer=hp["initializer"]), layers.Dropout(0.5, seed=3)]
    return compiled(stack(*inner))


_STRONG = [
    {"strength": 0.5, "rate": 0.2},
    {"strength": 1.5, "rate": 0.2},
    {"strength": 0.5, "rate": 0.4},
]

# How many programs the sets of values need, where that is more than one.
PROGRAMS = {
    "dropouts": 2,  # Without dropout and L1 it is another structure.
    "dropout_in_a_row": 2,  # It stands beside constants.
    "recurrent": 2,  # What is not lifted:
    "attentive": 2,
    "normalized": 2,
    "momentum": 3,  # With Nesterov's, and without momentum at all.
    "scheduled": 2,  # Its warmup stands beside constants.
    "stepped": 2,
    "custom": 2,
    "closed_over": 2,
}
# Samples in a batch, where these are not 16, which leaves a rest; see `exact_training.samples`.
BATCH_SIZES = {
    **dict.fromkeys(["noises", "rescaled", "attentive", "embedded", "decayed", "custom"], 8),
    **dict.fromkeys(["convolutional", "normalized", "momentum", "mixed", "binary"], 8),
    **dict.fromkeys(["accumulated", "subclassed", "measured"], 10),
    "recurrent": 12,
    "seeded": 100,
}
ZOO: dict[str, tuple[Builder, list[Values]]] = {
    "dropouts": (
        dropouts,
        [
            {"rate": 0.3, "l1": 1e-3, "l2": 1e-4, "lr": 1e-2},
            {"rate": 0.1, "l1": 3e-3, "l2": 7e-3, "lr": 3e-3},
            {"rate": 0.0, "l1": 0.0, "l2": 7e-3, "lr": 3e-3},
        ],
    ),
    "noises": (noises, _OFTEN),
    "rescaled": (rescaled, _OFTEN),
    "dropout_in_a_row": (dropout_in_a_row, _OFTEN),
    "pooled": (pooled, _OFTEN),
    "convolutional": (convolutional, _OFTEN),
    "recurrent": (recurrent, _OFTEN),
    "embedded": (embedded, _OFTEN),
    "attentive": (attentive, _OFTEN),
    "normalized": (normalized, _OFTEN),
    "momentum": (
        momentum,
        [*_OFTEN, {"rate": 0.9, "lr": 0.1, "n": True}, {"rate": 0.0, "lr": 1.0}],
    ),
    "scheduled": (scheduled, _OFTEN),
    "clipped": (clipped, _OFTEN),
    "averaged": (averaged, _OFTEN),
    "averaged_at_the_end": (averaged_at_the_end, _OFTEN),
    "accumulated": (accumulated, _OFTEN),
    "decayed": (decayed, _OFTEN),
    "mixed": (
        mixed,
        [{"rate": 0.3, "l2": 1e-3, "lr": 1e-2}, {"rate": 0.4, "l2": 1e-2, "lr": 1e-3}],
    ),
    "frozen": (frozen, _OFTEN),
    "branched": (branched, _OFTEN),
    "measured": (measured, _OFTEN),
    "binary": (binary, [{"l1": 1e-3, "lr": 0.1}, {"l1": 1e-2, "lr": 0.3}]),
    "custom": (custom, _STRONG),
    "subclassed": (subclassed, _OFTEN),
    "closed_over": (closed_over, _STRONG),
    "seeded": (seeded, [{"initializer": "he_normal"}, {"initializer": "orthogonal"}]),
}
