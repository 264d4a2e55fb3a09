"""The usual hyperparameters of Keras models, with the usual ranges and scales.

Each function returns a parameter, or a group of parameters, for a SearchSpace. All arguments can be
changed: `dropout(0.0, 0.6, name="dropout_top", role="scientific")`. Most functions take a range or
values, and:

    name                    the name of the parameter
    default                 the value to begin with. If left out, it is the usual value, such as
                            0.001 for a learning rate. If no value is usual, or if the range
                            does not contain it, the default is the middle of the range in its
                            scale, or the first of the listed values
    role, when, otherwise   see `Parameter`

All functions raise SearchSpaceError if an argument is wrong. If a docstring names no source for a
range, the range is our own choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Unpack

from search_spaces.argument_checks import whole_number
from search_spaces.errors import SearchSpaceError
from search_spaces.parameters import Boolean, Choice, Declared, Float, Int, Parameter
from search_spaces.texts import suggestion

# The names of Keras 3.15's initializers, activations and optimizers are listed here, so that this
# module does not import Keras. They are from https://keras.io/api/layers/initializers/,
# https://keras.io/api/layers/activations/ and https://keras.io/api/optimizers/. A test compares
# them with the installed Keras.

INITIALIZERS: Final = tuple(
    """
    glorot_normal glorot_uniform he_normal he_uniform identity lecun_normal lecun_uniform ones
    orthogonal random_normal random_uniform truncated_normal variance_scaling zeros
    """.split()
)
"""All initializers of a Dense kernel that Keras makes from the name alone."""

ACTIVATIONS: Final = tuple(
    """
    celu elu exponential gelu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu
    linear log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax
    softplus softsign sparse_plus sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink
    """.split()
)
"""All activations that Keras makes from the name alone and that keep the shape of the input."""

OPTIMIZERS: Final = tuple(
    """
    adadelta adafactor adagrad adam adamax adamw ftrl lion muon nadam rmsprop schedulefreeadamw
    sgd
    """.split()
)
"""All optimizers that Keras makes from the name alone. Case does not matter, as in Keras."""

USUAL_KERNEL_INITIALIZERS: Final = tuple(
    """
    glorot_uniform glorot_normal he_uniform he_normal lecun_uniform lecun_normal orthogonal
    truncated_normal random_normal
    """.split()
)
"""Random initializers for kernels, Keras's default first. Constant kernels do not learn."""

LEARNING_RATES: Final[Mapping[str, tuple[float, float, float]]] = {
    "adadelta": (1e-3, 1.0, 1e-3),
    "adafactor": (1e-4, 1e-1, 1e-3),
    "adagrad": (1e-4, 1.0, 1e-3),
    "adam": (1e-5, 1e-2, 1e-3),
    "adamax": (1e-5, 1e-2, 1e-3),
    "adamw": (1e-5, 1e-2, 1e-3),
    "ftrl": (1e-4, 1e-1, 1e-3),
    "lion": (1e-6, 1e-2, 1e-3),
    "muon": (1e-4, 1e-1, 1e-3),
    "nadam": (1e-5, 1e-2, 1e-3),
    "rmsprop": (1e-5, 1e-2, 1e-3),
    "schedulefreeadamw": (1e-4, 1e-1, 2.5e-3),
    "sgd": (1e-4, 1.0, 1e-2),
}
"""The lowest and the highest learning rate to search, and Keras's default, by optimizer.

The defaults are those of https://keras.io/api/optimizers/. The ranges are our own choice. They
follow the advice of that page: 1.0 for Adadelta, higher rates for Adagrad, lower rates for Lion
(as in arXiv:2302.06675).
"""

MOMENTUM_OPTIMIZERS: Final = ("muon", "rmsprop", "sgd")
"""The optimizers whose Keras class takes a `momentum`."""


def units(
    low: int = 16,
    high: int = 512,
    *,
    step: int = 1,
    name: str = "units",
    **declared: Unpack[Declared],
) -> Int:
    """How many units a layer has, usually 16 to 512 on a log scale.

    Bengio 2012 (arXiv:1206.5533, section 3.2) searches this number on a log scale, and finds that
    too many units hurt little with regularization. A `step` above 1 is the ratio of neighbouring
    values: with `step=2`, the values are 16, 32, 64 and so on. A step makes a study faster: more
    trials have layers of the same sizes, and such trials share a traced TensorFlow function.

    Example:
        >>> ks.units(16, 128)
        Int('units', 16, 128, scale='log')
    """
    return Int(name, low, high, scale="log", step=step, **declared)


def layers(
    low: int = 1, high: int = 4, *, name: str = "num_layers", **declared: Unpack[Declared]
) -> Int:
    """How many layers, usually 1 to 4 on a linear scale.

    The name "num_layers" is that of Keras Tuner's guide
    (https://keras.io/keras_tuner/guides/getting_started/).

    Example:
        >>> ks.layers(1, 3)
        Int('num_layers', 1, 3)
    """
    _check_bounds("A number of layers", low, high, 0, math.inf)
    return Int(name, low, high, **declared)


def activation(
    values: Sequence[str] = ("relu", "gelu", "silu", "elu", "selu", "tanh", "sigmoid"),
    *,
    name: str = "activation",
    **declared: Unpack[Declared],
) -> Choice:
    """The activation of hidden layers, by its name in https://keras.io/api/layers/activations/.

    Example:
        >>> ks.activation(["relu", "gelu"])
        Choice('activation', ['relu', 'gelu'])
    """
    return Choice(name, _checked(values, "activation", ACTIVATIONS), **declared)


def initializer(
    values: Sequence[str] = USUAL_KERNEL_INITIALIZERS,
    *,
    name: str = "kernel_initializer",
    **declared: Unpack[Declared],
) -> Choice:
    """The initializer of a layer's kernel, by its name in https://keras.io/api/layers/initializers/.

    Sources: Glorot and Bengio 2010; He et al. 2015 (arXiv:1502.01852); LeCun et al. 1998,
    "Efficient BackProp"; Saxe et al. 2013 for orthogonal (arXiv:1312.6120). Keras's default,
    "glorot_uniform", is the first.

    Pass the name to each layer: `Dense(…, kernel_initializer=hp["kernel_initializer"])`. Each layer
    then makes its own initializer, with a seed that Keras draws from the trial's seed. Don't share
    an initializer object between layers: it gives layers of the same shape the same weights.

    Example:
        >>> ks.initializer(["glorot_uniform", "he_normal"])
        Choice('kernel_initializer', ['glorot_uniform', 'he_normal'])
    """
    return Choice(name, _checked(values, "initializer", INITIALIZERS), **declared)


def l1(
    low: float = 1e-6,
    high: float = 1e-1,
    *,
    off: bool = True,
    name: str = "l1",
    **declared: Unpack[Declared],
) -> Float | tuple[Boolean, Float]:
    """The factor of an L1 penalty on weights, usually 1e-6 to 1e-1 on a log scale, or off.

    Bengio 2012 (arXiv:1206.5533, section 3.2) searches the factors of L1 and L2 penalties on a log
    scale. Keras's own default, 0.01 (https://keras.io/api/layers/regularizers/), lies in the range.

    Zero has no logarithm, so a Boolean "use_l1", False by default, turns the penalty on. While it
    is False, `hp["l1"]` is 0.0. A builder passes `hp["l1"]` to `keras.regularizers.L1`, and does
    not read "use_l1". With `off=False`, the penalty is always on, and there is no "use_l1".

    Example:
        >>> ks.SearchSpace(ks.l1()).names
        ('use_l1', 'l1')
        >>> ks.l1(off=False)
        Float('l1', 1e-06, 0.1, scale='log')
    """
    role, when = declared.get("role", "nuisance"), declared.get("when")
    switch = Boolean(f"use_{name}", role=role, when=when)
    if off:
        declared["when"] = {switch.name: True}
    if declared.get("when"):
        declared.setdefault("otherwise", 0.0)
    factor = Float(name, low, high, scale="log", **declared)
    return (switch, factor) if off else factor


def l2(
    low: float = 1e-6,
    high: float = 1e-1,
    *,
    off: bool = True,
    name: str = "l2",
    **declared: Unpack[Declared],
) -> Float | tuple[Boolean, Float]:
    """The factor of an L2 penalty on weights, with the options of `l1` and the Boolean "use_l2".

    Example:
        >>> space = ks.SearchSpace(ks.l2())
        >>> space.resolve({"use_l2": False})
        {'use_l2': False, 'l2': 0.0}
    """
    return l1(low, high, off=off, name=name, **declared)


def dropout(
    low: float = 0.0,
    high: float = 0.5,
    *,
    step: float | None = None,
    name: str = "dropout",
    **declared: Unpack[Declared],
) -> Float:
    """The fraction of units that a dropout layer sets to zero, usually 0.0 to 0.5.

    Srivastava et al. 2014 (JMLR 15, "Dropout: A Simple Way to Prevent Neural Networks from
    Overfitting", appendix A.4) drop 0.2 to 0.5 of the hidden units. In Keras, this fraction is the
    `rate` of https://keras.io/api/layers/regularization_layers/dropout/.

    Example:
        >>> ks.dropout(0.0, 0.6, step=0.2)
        Float('dropout', 0.0, 0.6, step=0.2)
    """
    _check_bounds("A dropout rate", low, high, 0.0, 1.0)
    if high == 1:
        expected = "below 1, at which a layer drops all of its inputs"
        raise SearchSpaceError.of_setting("A dropout rate", expected, high, "0.5 is a usual end.")
    return Float(name, low, high, step=step, **declared)


def batchnorm(*, name: str = "batch_normalization", **declared: Unpack[Declared]) -> Boolean:
    """Whether to normalize each layer over its batch.

    The method is that of Ioffe and Szegedy 2015 (arXiv:1502.03167). In Keras, it is the layer
    https://keras.io/api/layers/normalization_layers/batch_normalization/.

    Example:
        >>> ks.batchnorm()
        Boolean('batch_normalization')
    """
    return Boolean(name, **declared)


def learning_rate(
    low: float = 1e-4,
    high: float = 1e-1,
    *,
    name: str = "learning_rate",
    **declared: Unpack[Declared],
) -> Float:
    """The learning rate, usually 1e-4 to 1e-1 on a log scale.

    Bengio 2012 (arXiv:1206.5533, section 3.1.1) calls it the most important hyperparameter, and
    searches values between 1e-6 and 1 on a log scale, for standardized inputs. The usual default
    is that of Keras's Adam, 1e-3 (https://keras.io/api/optimizers/adam/).

    Example:
        >>> ks.learning_rate()
        Float('learning_rate', 0.0001, 0.1, scale='log', default=0.001)
        >>> ks.learning_rate(1e-3, 1.0).default
        0.001
    """
    return Float(name, low, high, scale="log", **_with_default(1e-3, low, high, declared))


def momentum(
    low: float = 0.01, high: float = 0.99, *, name: str = "momentum", **declared: Unpack[Declared]
) -> Float:
    """The momentum of SGD, RMSprop or Muon, usually 0.01 to 0.99 on a reversed log scale.

    The distance from 1 matters, since momentum averages over about 1 / (1 - momentum) steps. With
    the usual range, 1 - momentum is searched on a log scale, as Google's tuning playbook advises
    (https://github.com/google-research/tuning_playbook). Half of this scale lies above 0.9.

    The usual default, 0.9, is customary (Sutskever et al. 2013, Goyal et al. 2017,
    arXiv:1706.02677). Keras's own default, 0.0, means no momentum.

    Example:
        >>> ks.momentum()
        Float('momentum', 0.01, 0.99, scale='reverse_log', default=0.9)
    """
    _check_bounds("A momentum", low, high, 0.0, 1.0)
    return Float(name, low, high, scale="reverse_log", **_with_default(0.9, low, high, declared))


def epochs(
    low: int = 5, high: int = 50, *, name: str = "epochs", **declared: Unpack[Declared]
) -> Int:
    """How many epochs to train for, usually 5 to 50 on a linear scale.

    An epoch is one pass over the training data. A trial's value is that of its best epoch, so too
    many epochs cost only time. The range is for data sets that fit in memory. Bengio 2012
    (arXiv:1206.5533, section 3.1.1) advises early stopping instead of searching this number.

    Example:
        >>> ks.epochs(5, 20)
        Int('epochs', 5, 20)
    """
    _check_bounds("A number of epochs", low, high, 1, math.inf)
    return Int(name, low, high, **declared)


def batch_size(
    values: Sequence[int] = (16, 32, 64, 128, 256),
    *,
    name: str = "batch_size",
    **declared: Unpack[Declared],
) -> Choice:
    """How many examples a training step sees, usually a power of two from 16 to 256.

    Bengio 2012 (arXiv:1206.5533, section 3.1.1) advises sizes from 1 to a few hundred, and 32 as a
    default. Keras's own default is 32 (https://keras.io/api/models/model_training_apis/).

    Example:
        >>> ks.batch_size([32, 64])
        Choice('batch_size', [32, 64])
    """
    sizes = [whole_number("A batch size", size, SearchSpaceError) for size in values]
    return Choice(name, sizes, **(Declared(default=32) if 32 in sizes else {}) | declared)


def optimizer(
    values: Sequence[str] = ("adam", "sgd", "rmsprop"),
    *,
    learning_rate: bool = False,
    momentum: bool = False,
    name: str = "optimizer",
    **declared: Unpack[Declared],
) -> Choice | tuple[Parameter, ...]:
    """The optimizer, by its name in https://keras.io/api/optimizers/, and optimizers' parameters.

    Choi et al. 2019 (arXiv:1910.05446) show that a comparison of optimizers is fair only if each
    optimizer is tuned in its own range. So `learning_rate=True` adds a learning rate for each
    optimizer, which is active only with that optimizer. In the same way, `momentum=True` adds a
    momentum for each optimizer that has one.

    Args:
        values: Names, such as "adam"; see `OPTIMIZERS`.
        learning_rate: Whether to add "adam.learning_rate" and so on, with the ranges and defaults
            of `LEARNING_RATES`.
        momentum: Whether to add "sgd.momentum" and so on; see `MOMENTUM_OPTIMIZERS`.
        name: The name of the choice.
        **declared: Options of the choice. The added parameters have the role "nuisance".

    Returns:
        A Choice, or a group if parameters are added.

    Example:
        >>> ks.optimizer(["adam", "sgd"], learning_rate=False)
        Choice('optimizer', ['adam', 'sgd'])
        >>> ks.SearchSpace(ks.optimizer(["adam"], learning_rate=True)).names
        ('optimizer', 'adam.learning_rate')
    """
    # Keras looks optimizers up by their names in lower case.
    names = _checked(values, "optimizer", OPTIMIZERS, str.lower)
    choice = Choice(name, names, **declared)
    group: list[Parameter] = [choice]
    if momentum and not any(value.lower() in MOMENTUM_OPTIMIZERS for value in names):
        raise SearchSpaceError(
            f"momentum=True needs an optimizer with a momentum: none of {list(names)!r} has one",
            hint=f"Leave momentum=True out, or add one of {list(MOMENTUM_OPTIMIZERS)!r}.",
        )
    for value in names:
        only = {name: value}
        if learning_rate:
            low, high, first = LEARNING_RATES[value.lower()]
            group.append(_rate(low, high, name=f"{value}.learning_rate", default=first, when=only))
        if momentum and value.lower() in MOMENTUM_OPTIMIZERS:
            group.append(_momentum(name=f"{value}.momentum", when=only))
    return tuple(group) if learning_rate or momentum else choice


# Inside `optimizer`, the arguments `learning_rate` and `momentum` hide the functions of the same
# names. So the functions get second names.
_rate, _momentum = learning_rate, momentum


def _with_default(usual: float, low: object, high: object, declared: Declared) -> Declared:
    """Returns the options of a range. Adds the usual default if it lies in the range."""
    numbers = isinstance(low, int | float) and isinstance(high, int | float)
    inside = numbers and low <= usual <= high  # type: ignore[operator]
    return Declared(default=usual) | declared if inside else declared


def _check_bounds(setting: str, low: object, high: object, least: float, most: float) -> None:
    """Checks the ends of a range."""
    for bound in (low, high):
        # Int and Float refuse bounds that aren't numbers.
        if isinstance(bound, int | float) and not least <= bound <= most:
            expected = f"{least!r} or more" if most == math.inf else f"from {least!r} to {most!r}"
            raise SearchSpaceError.of_setting(setting, expected, bound, "Narrow the range.")


def _checked(
    values: Sequence[str], kind: str, names: Sequence[str], spelled: Callable[[str], str] = str
) -> tuple[str, ...]:
    """Checks that all values are in `names`, and returns the values."""
    if isinstance(values, str):
        raise SearchSpaceError.of_setting(
            f"The {kind} values", "a list or a tuple of names", values, f"Write [{values!r}]."
        )
    for value in values:
        if not isinstance(value, str):
            raise SearchSpaceError.of_setting(f"A Keras {kind}", "a name", value)
        if spelled(value) not in names:
            near = suggestion(value, names)
            raise SearchSpaceError(
                f"{value!r} is no Keras {kind} that can be made from its name alone",
                hint=f"{near} A builder can make any other {kind} itself.",
            )
    return tuple(values)
