"""Models of kinds that `model_zoo` has not: more layers, optimizers and schedules.

And two of many kinds at once: what trains one of its models wrongly trains one of them wrongly.
"""

from __future__ import annotations

from typing import Any

import keras
from model_zoo import Builder, Gate, Subclassed, Values, compiled, stack

layers = keras.layers
schedules = keras.optimizers.schedules
_OFTEN = [{"rate": 0.3, "lr": 0.01}, {"rate": 0.45, "lr": 0.003}]


def volumes(hp: Values) -> keras.Model:
    inner = [
        layers.Reshape((3, 2, 2, 1)),
        layers.Conv3D(4, 2, padding="same", activation="relu"),
        layers.SpatialDropout3D(hp["rate"]),
        layers.Flatten(),
    ]
    rates = schedules.ExponentialDecay(hp["lr"], 2, 0.9)
    return compiled(stack(*inner), keras.optimizers.Lamb(rates))


def gated(hp: Values) -> keras.Model:
    inner = [
        layers.Reshape((4, 3)),
        layers.Masking(0.0),
        layers.TimeDistributed(layers.Dense(4, activation="tanh")),
        layers.Bidirectional(layers.GRU(3)),
        layers.Dropout(hp["rate"]),
    ]
    return compiled(stack(*inner), keras.optimizers.Muon(hp["lr"]))


def augmented(hp: Values) -> keras.Model:
    inner = [
        layers.Reshape((3, 4, 1)),
        layers.RandomFlip(),
        layers.RandomContrast(0.2),
        layers.SeparableConv2D(4, 2),
        layers.RMSNormalization(),
        layers.Conv2DTranspose(2, 2),
        layers.Flatten(),
        layers.Dropout(hp["rate"]),
    ]
    return compiled(stack(*inner), keras.optimizers.Adafactor(hp["lr"]))


def scheduled_freely(hp: Values) -> keras.Model:
    inner = [layers.Dense(8, activation="swish"), layers.Dropout(hp["rate"])]
    return compiled(stack(*inner), keras.optimizers.ScheduleFreeAdamW(hp["lr"]))


def restarted(hp: Values) -> keras.Model:
    rates = schedules.CosineDecayRestarts(hp["lr"], 2, alpha=hp["rate"] / 10)
    return compiled(stack(layers.Dense(8)), keras.optimizers.SGD(rates))


def stepped(hp: Values) -> keras.Model:
    rates = schedules.PiecewiseConstantDecay([2, 4], [hp["lr"], 0.003, 0.001])
    return compiled(stack(layers.Dense(8)), keras.optimizers.RMSprop(rates))


def slowed(hp: Values) -> keras.Model:
    rates = schedules.InverseTimeDecay(hp["lr"], 2, hp["rate"], staircase=True)
    return compiled(stack(layers.Dense(8)), keras.optimizers.Adam(rates))


def shared(hp: Values) -> keras.Model:
    """A layer that is used twice."""
    inputs = keras.Input((12,))
    twice = layers.Dense(12, activation="tanh")
    hidden = layers.Dropout(hp["rate"])(twice(twice(inputs)))
    outputs = layers.Dense(3, activation="softmax")(hidden)
    rates = schedules.PolynomialDecay(hp["lr"], 6, hp["lr"] / 10, power=2.0)
    optimizer = keras.optimizers.SGD(rates, momentum=0.5, clipnorm=0.5)
    return compiled(keras.Model(inputs, outputs), optimizer)


def of_many_parts(hp: Values) -> keras.Model:
    """Masks, a recurrent layer, one of the user's own, regularizers; gradients are accumulated."""
    inner = [
        layers.Lambda(lambda x: keras.ops.cast(keras.ops.abs(x) * 3, "int32") % 9),
        layers.Embedding(9, 4, mask_zero=True),
        layers.SimpleRNN(4, dropout=0.2, recurrent_dropout=0.2),
        layers.Dense(8, activation="relu", kernel_regularizer=keras.regularizers.L1L2(hp["l2"])),
        layers.BatchNormalization(),
        Gate(0.5, 0.2),
        layers.Dropout(hp["rate"]),
    ]
    optimizer = keras.optimizers.Adam(hp["lr"], gradient_accumulation_steps=2)
    return compiled(stack(*inner), optimizer)


class HalfPrecise(Subclassed):
    """Of its hidden layers, one is in half precision."""

    def __init__(self, units: int, rate: float) -> None:
        super().__init__(units, rate)
        self.half = layers.Dense(units, activation="relu", dtype="mixed_float16")

    def call(self, inputs: Any, training: bool = False) -> Any:
        hidden = keras.ops.cast(self.half(inputs), "float32")
        return super().call(hidden, training=training)


def of_other_parts(hp: Values) -> keras.Model:
    """A class with a loss of its own, and a loss scale that adapts itself."""
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(hp["lr"]))
    return compiled(HalfPrecise(6, hp["rate"]), optimizer)


OTHERS: dict[str, tuple[Builder, list[Values]]] = {
    each.__name__: (each, _OFTEN)
    for each in (volumes, gated, augmented, scheduled_freely, shared, restarted, stepped, slowed)
}
_PARTS = [{**values, "l2": l2} for values, l2 in zip(_OFTEN, (1e-3, 1e-2), strict=True)]
OTHERS |= {each.__name__: (each, _PARTS) for each in (of_many_parts, of_other_parts)}
