"""The ground floor: the search space.

| file | holds |
|---|---|
| `discovery/` | the space of a builder that declares its hyperparameters inline |
| `inline/` | declarations within a builder, in the words of Keras Tuner or Optuna |
| `parameters/` | `Float`, `Int`, `Choice`: a name, a domain, a scale, a condition |
| `space/` | `SearchSpace`: parameters together |
| `translations/` | the space for Optuna and for Keras Tuner |
| `tailoring`, `spellings` | a space altered from the command line; values as texts |
| `ready_made`, `keras_names` | `learning_rate()`, `dropout()`, `l2()`, …: usual ranges and scales |
| `hyperparameters` | `Hyperparameters`: the `hp` that a builder receives |
| `library_parts` | private names of libraries, declared and looked up |
| `errors`, `suggestions` | every error of kerastudy; what to suggest for a mistyped name |

Nothing here imports TensorFlow, Keras, MLflow or numpy. `optuna_space` and `keras_tuner_space`
import their libraries when they are used.
"""

from __future__ import annotations

from search_spaces.discovery.discover import Discovery, discover
from search_spaces.errors import HyperparameterError, SearchSpaceError
from search_spaces.hyperparameters import Hyperparameters
from search_spaces.parameters.kinds import ROLES, Boolean, Choice, Fixed, Float, Int, Parameter
from search_spaces.parameters.scalars import NOT_GIVEN, Scalar
from search_spaces.parameters.scales import SCALES
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
from search_spaces.space.membership import Containment
from search_spaces.space.search_space import SearchSpace
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
