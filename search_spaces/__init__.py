"""The ground floor: the search space.

| file | holds |
|---|---|
| `space` | `SearchSpace`: parameters together; which are active, what is valid, the grid |
| `parameters` | the kinds of parameters, and reading one back |
| `parameter` | what all kinds have in common |
| `float_parameter`, `int_parameter`, `choice_parameter` | Float; Int; Choice, Boolean, Fixed |
| `scales`, `grids` | how numbers spread over a range; the values that a step allows |
| `scalars`, `spelled` | plain values; tuples, lists and dicts in a choice |
| `conditions`, `membership` | when a parameter is active; whether values are in a space |
| `declaration`, `completion` | what a space is made of; values that leave something out |
| `combinations` | all configurations of a finite space |
| `serialization` | a space as JSON, its digest, its differences from another |
| `alterable`, `alterations` | one space made from another: `only`, `fix`, `replace` |
| `tailoring`, `spellings` | the same from a command line |
| `ready_made/` | `learning_rate()`, `dropout()`, `l2()`, …: usual ranges and scales |
| `hyperparameters` | `Hyperparameters`: the `hp` that a builder receives |
| `readable_values` | what every `hp` answers to |
| `inline_declarations` | `hp.Float(…)`, `trial.suggest_int(…)` |
| `reading`, `replaying` | what a builder reads; whether it would read the same again |
| `discovery` | `discover(build)`: the space of a builder that declares it inline |
| `tracing`, `traced_hyperparameters` | running a builder on chosen values; its `hp` |
| `exploration`, `probing`, `covering` | which values to run a builder on |
| `inference`, `variants` | conditions of what it declares; one name with several domains |
| `translations` | from Keras Tuner's and Optuna's words to our parameters |
| `keras_tuner_declarations` | the space of a `keras_tuner.HyperParameters` |
| `optuna_space`, `optuna_encodings` | the same space for Optuna |
| `keras_tuner_space` | the same space for Keras Tuner |
| `private_parts` | private names of libraries, declared and looked up |
| `errors`, `suggestions` | every error of kerastudy; what to suggest for a mistyped name |

Nothing here imports TensorFlow, Keras, MLflow or numpy. `optuna_space` and `keras_tuner_space`
import their libraries when they are used.
"""

from __future__ import annotations

from search_spaces.discovery import Discovery, discover
from search_spaces.errors import HyperparameterError, SearchSpaceError
from search_spaces.hyperparameters import Hyperparameters
from search_spaces.membership import Containment
from search_spaces.parameters import ROLES, Boolean, Choice, Fixed, Float, Int, Parameter
from search_spaces.ready_made import (
    activation,
    batch_normalization,
    batch_size,
    batchnorm,
    bias_initializer,
    dropout,
    epochs,
    initializer,
    kernel_initializer,
    l1,
    l1_l2,
    l2,
    label_smoothing,
    layers,
    learning_rate,
    momentum,
    optimizer,
    units,
)
from search_spaces.scalars import NOT_GIVEN, Scalar
from search_spaces.scales import SCALES
from search_spaces.space import SearchSpace
from search_spaces.tailoring import Tailoring

__all__ = [
    "NOT_GIVEN",
    "ROLES",
    "SCALES",
    "Boolean",
    "Choice",
    "Containment",
    "Discovery",
    "Fixed",
    "Float",
    "HyperparameterError",
    "Hyperparameters",
    "Int",
    "Parameter",
    "Scalar",
    "SearchSpace",
    "SearchSpaceError",
    "Tailoring",
    "activation",
    "batch_normalization",
    "batch_size",
    "batchnorm",
    "bias_initializer",
    "discover",
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
