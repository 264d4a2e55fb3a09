"""Ready-made parameters of layers: how many, how wide, their activation and initial weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Unpack

from search_spaces.parameters.choice_parameter import Choice
from search_spaces.parameters.parameter import Declared
from search_spaces.parameters.ranged import Int
from search_spaces.parameters.scalars import NOT_GIVEN
from search_spaces.ready_made.keras_names import (
    ACTIVATIONS,
    BIAS_INITIALIZERS,
    INITIALIZER_ALIASES,
    INITIALIZERS,
    UNUSABLE_ACTIVATIONS,
    UNUSABLE_INITIALIZERS,
    check_names,
)
from search_spaces.ready_made.usual import check_bounds

USUAL_KERNEL_INITIALIZERS: Final = (
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
    "orthogonal",
    "truncated_normal",
    "random_normal",
)
"""Random initializers for kernels, Keras's default first; a constant kernel would not learn."""

USUAL_BIAS_INITIALIZERS: Final = ("zeros", "random_normal", "truncated_normal")
"""Initializers for biases, Keras's default first."""


def units(
    low: int = 16,
    high: int = 512,
    *,
    step: int = 1,
    name: str = "units",
    default: int | None = None,
    **declared: Unpack[Declared],
) -> Int:
    """How many units a layer has, usually 16 to 512 on a log scale.

    Bengio 2012 (arXiv:1206.5533, section 3.2) searches it on a log scale, and finds that more than
    needed hurts little with regularization. The range is our own choice.

    Args:
        low: The fewest units, 1 or more.
        high: The most units.
        step: 1 for any number; above 1 the ratio of neighbours: 2 takes powers of two.
        name: What the parameter is called.
        default: How many to begin with; left out, the range's middle in its scale.
        **declared: `role`, `when` and `otherwise`, as every parameter takes them.

    Raises:
        SearchSpaceError: If any of them is wrong.

    Example:
        >>> ks.units(16, 128)
        Int('units', 16, 128, scale='log')
    """
    return Int(name, low, high, scale="log", step=step, default=default, **declared)


def layers(
    low: int = 1,
    high: int = 4,
    *,
    name: str = "num_layers",
    default: int | None = None,
    **declared: Unpack[Declared],
) -> Int:
    """How many layers, usually 1 to 4 on a linear scale.

    The name, "num_layers", is that of Keras Tuner's guide
    (https://keras.io/keras_tuner/guides/getting_started/), so that its builders read it. The range
    is our own choice.

    Args:
        low: The fewest layers.
        high: The most layers.
        name: What the parameter is called.
        default: How many to begin with; left out, the range's middle.
        **declared: `role`, `when` and `otherwise`, as every parameter takes them.

    Raises:
        SearchSpaceError: If any of them is wrong.

    Example:
        >>> ks.layers(1, 3)
        Int('num_layers', 1, 3)
    """
    check_bounds("A number of layers", low, high, 0, math.inf)
    return Int(name, low, high, default=default, **declared)


def activation(
    values: Sequence[str] = ("relu", "gelu", "silu", "elu", "selu", "tanh", "sigmoid"),
    *,
    name: str = "activation",
    default: str | None = None,
    **declared: Unpack[Declared],
) -> Choice:
    """The activation of hidden layers, by its Keras name.

    Args:
        values: Names from https://keras.io/api/layers/activations/; see `ACTIVATIONS`.
        name: What the parameter is called.
        default: The activation to begin with; left out, the first.
        **declared: `role`, `when` and `otherwise`, as every parameter takes them.

    Raises:
        SearchSpaceError: If Keras has no activation of that name, with near matches, or none that
            can be used by its name.

    Example:
        >>> ks.activation(["relu", "gelu"])
        Choice('activation', ['relu', 'gelu'])
    """
    return Choice(
        name,
        check_names(values, "activation", ACTIVATIONS, unusable=UNUSABLE_ACTIVATIONS),
        default=NOT_GIVEN if default is None else default,
        **declared,
    )


def kernel_initializer(
    values: Sequence[str] = USUAL_KERNEL_INITIALIZERS,
    *,
    name: str = "kernel_initializer",
    default: str | None = None,
    **declared: Unpack[Declared],
) -> Choice:
    """How a layer's kernel begins, by its Keras name.

    Sources: Glorot and Bengio 2010; He et al. 2015 (arXiv:1502.01852); LeCun et al. 1998,
    "Efficient BackProp"; Saxe et al. 2013 for orthogonal (arXiv:1312.6120). Keras's default,
    "glorot_uniform", is the first.

    Seeds: a trial's seed sets Python's `random`, from which Keras draws the seed of each
    initializer in the order in which layers are built. So pass the name on,
    `Dense(…, kernel_initializer=hp["kernel_initializer"])`: each layer then makes its own
    initializer, and the same trial makes the same weights again. One initializer object shared by
    several layers keeps one seed, and would give layers of the same shape the same weights.

    Args:
        values: Names from https://keras.io/api/layers/initializers/; see `INITIALIZERS`.
        name: What the parameter is called.
        default: The initializer to begin with; left out, the first.
        **declared: `role`, `when` and `otherwise`, as every parameter takes them.

    Raises:
        SearchSpaceError: If Keras has no initializer of that name, with near matches, or none that
            can be used by its name.

    Example:
        >>> ks.kernel_initializer(["glorot_uniform", "he_normal"])
        Choice('kernel_initializer', ['glorot_uniform', 'he_normal'])
    """
    return Choice(
        name,
        check_names(
            values, "initializer", INITIALIZERS, INITIALIZER_ALIASES, UNUSABLE_INITIALIZERS
        ),
        default=NOT_GIVEN if default is None else default,
        **declared,
    )


initializer = kernel_initializer
"""Another name for `kernel_initializer`; the parameter is called the same."""


def bias_initializer(
    values: Sequence[str] = USUAL_BIAS_INITIALIZERS,
    *,
    name: str = "bias_initializer",
    default: str | None = None,
    **declared: Unpack[Declared],
) -> Choice:
    """How a layer's bias begins, by its Keras name; Keras's default, "zeros", is the first.

    What `kernel_initializer` says of seeds holds here too.

    Args:
        values: Names from https://keras.io/api/layers/initializers/; see `BIAS_INITIALIZERS`.
        name: What the parameter is called.
        default: The initializer to begin with; left out, the first.
        **declared: `role`, `when` and `otherwise`, as every parameter takes them.

    Raises:
        SearchSpaceError: If Keras has no initializer of that name, with near matches, or none that
            can fill a vector.

    Example:
        >>> ks.bias_initializer(["zeros", "ones"])
        Choice('bias_initializer', ['zeros', 'ones'])
    """
    matrices = [each for each in INITIALIZERS if each not in BIAS_INITIALIZERS]
    aliases = {alias: known for alias, known in INITIALIZER_ALIASES.items()}
    needs_matrix = {
        each: "it needs a matrix, and a bias is a vector"
        for each in (*matrices, *(alias for alias, known in aliases.items() if known in matrices))
    }
    return Choice(
        name,
        check_names(
            values,
            "initializer",
            BIAS_INITIALIZERS,
            aliases,
            {**UNUSABLE_INITIALIZERS, **needs_matrix},
        ),
        default=NOT_GIVEN if default is None else default,
        **declared,
    )
