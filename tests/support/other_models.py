"""Models of kinds that `model_zoo` has not: more layers, optimizers and schedules."""

from __future__ import annotations

import keras
from model_zoo import Builder, Values, compiled, stack

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


OTHERS: dict[str, tuple[Builder, list[Values]]] = {
    each.__name__: (each, _OFTEN)
    for each in (volumes, gated, augmented, scheduled_freely, shared, restarted, stepped, slowed)
}
