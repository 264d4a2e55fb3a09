"""Ready-made parameters: what the field usually searches, with its usual ranges and scales.

| file | holds |
|---|---|
| `architecture` | units, layers, activation, initializer, kernel_initializer, bias_initializer |
| `regularization` | l1, l2, l1_l2, dropout, batch_normalization (batchnorm) |
| `training` | learning_rate, momentum, epochs, batch_size, label_smoothing |
| `optimizers` | optimizer, with a learning rate and a momentum for each |
| `keras_names` | the names that Keras knows |
| `usual` | defaults and bounds where a range is overridden |

Each returns a parameter, or a group of parameters that goes into a SearchSpace as it is. Every
part can be overridden: `dropout(0.0, 0.6, name="dropout_top", role="scientific")`.
"""

from __future__ import annotations

from search_spaces.ready_made.architecture import (
    USUAL_BIAS_INITIALIZERS,
    USUAL_KERNEL_INITIALIZERS,
    activation,
    bias_initializer,
    initializer,
    kernel_initializer,
    layers,
    units,
)
from search_spaces.ready_made.keras_names import (
    ACTIVATIONS,
    BIAS_INITIALIZERS,
    INITIALIZER_ALIASES,
    INITIALIZERS,
    OPTIMIZERS,
    UNUSABLE_ACTIVATIONS,
    UNUSABLE_INITIALIZERS,
    UNUSABLE_OPTIMIZERS,
)
from search_spaces.ready_made.optimizers import LEARNING_RATES, MOMENTUM_OPTIMIZERS, optimizer
from search_spaces.ready_made.regularization import (
    batch_normalization,
    batchnorm,
    dropout,
    l1,
    l1_l2,
    l2,
)
from search_spaces.ready_made.training import (
    batch_size,
    epochs,
    label_smoothing,
    learning_rate,
    momentum,
)

__all__ = [
    "ACTIVATIONS",
    "BIAS_INITIALIZERS",
    "INITIALIZERS",
    "INITIALIZER_ALIASES",
    "LEARNING_RATES",
    "MOMENTUM_OPTIMIZERS",
    "OPTIMIZERS",
    "UNUSABLE_ACTIVATIONS",
    "UNUSABLE_INITIALIZERS",
    "UNUSABLE_OPTIMIZERS",
    "USUAL_BIAS_INITIALIZERS",
    "USUAL_KERNEL_INITIALIZERS",
    "activation",
    "batch_normalization",
    "batch_size",
    "batchnorm",
    "bias_initializer",
    "dropout",
    "epochs",
    "initializer",
    "kernel_initializer",
    "l1",
    "l1_l2",
    "l2",
    "label_smoothing",
    "layers",
    "learning_rate",
    "momentum",
    "optimizer",
    "units",
]
