"""The ground floor: what may be tried.

    parameters       Float, Int, Choice, Boolean, Fixed: a name, a domain, a scale, a condition
    space            SearchSpace: parameters together; which are active, what is valid, the grid
    tailoring        Tailoring: a space altered as a command line asks
    hyperparameters  Hyperparameters: the `hp` that a model builder receives
    discovery        discover(build): the space of a builder that declares it inline
    variants         one name that a builder declares with several domains
    reading          which parameters of a declared space a builder reads
    replaying        whether a function would read the same of other hyperparameters
    spelled          tuples, lists and dicts among the values of a choice
    ready_made       learning_rate(), dropout(), l2(), …: the field's usual ranges and scales
    optuna_space     OptunaSpace: the same space for Optuna (import it from there)
    keras_tuner_declarations  the space that a keras_tuner.HyperParameters declares
    private_parts    private names of libraries, declared and looked up
    errors           every error of kerastudy, as one tree
    suggestions      what to suggest for a mistyped name

Nothing here imports TensorFlow, Keras, MLflow or numpy, and only `optuna_space` imports Optuna,
when it is used.
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
