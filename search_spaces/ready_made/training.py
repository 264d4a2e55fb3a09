"""Ready-made parameters of training: learning rate, momentum, epochs, batch size, targets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Unpack

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.choice_parameter import Choice
from search_spaces.parameters.parameter import Declared
from search_spaces.parameters.ranged import Float, Int
from search_spaces.parameters.scalars import NOT_GIVEN, MaybeScalar
from search_spaces.ready_made.usual import check_bounds, usual


def learning_rate(
    low: float = 1e-4,
    high: float = 1e-1,
    *,
    name: str = "learning_rate",
    default: float | None = None,
    **declared: Unpack[Declared],
) -> Float:
    """The learning rate, usually 1e-4 to 1e-1 on a log scale.

    Bengio 2012 (arXiv:1206.5533, section 3.1.1) calls it the most important hyperparameter, with
    values between 1e-6 and 1 for standardized inputs, explored on a log scale. The default is that
    of Keras's Adam, 1e-3 (https://keras.io/api/optimizers/adam/), where the range holds it.

    Args:
        low: The lowest rate, above 0.
        high: The highest rate.
        name: What the parameter is called.
        default: The rate to begin with; left out, 1e-3, or the range's middle.
        **declared: `role`, `when` and `otherwise`, as every parameter takes them.

    Raises:
        SearchSpaceError: If any of them is wrong.

    Example:
        >>> ks.learning_rate()
        Float('learning_rate', 0.0001, 0.1, scale='log', default=0.001)
        >>> ks.learning_rate(1e-3, 1.0).default
        0.001
    """
    return Float(name, low, high, scale="log", default=usual(default, 1e-3, low, high), **declared)


def momentum(
    low: float = 0.01,
    high: float = 0.99,
    *,
    name: str = "momentum",
    default: float | None = None,
    **declared: Unpack[Declared],
) -> Float:
    """The momentum of SGD, RMSprop or Muon, usually 0.01 to 0.99 on a reversed log scale.

    What counts is how far it is from 1: the average runs over about 1 / (1 - momentum) steps. With
    the usual range, where low and high add up to 1, the reversed log scale searches 1 - momentum
    on a log scale, as Google's tuning playbook advises
    (https://github.com/google-research/tuning_playbook), and half of it lies above 0.9. The
    default, 0.9, is the customary one (Sutskever et al. 2013, Goyal et al. 2017, arXiv:1706.02677);
    Keras's own is 0.0, which is no momentum.

    Args:
        low: The lowest momentum, above 0, as the scale needs it.
        high: The highest momentum, below 1.
        name: What the parameter is called.
        default: The momentum to begin with; left out, 0.9, or the range's middle.
        **declared: `role`, `when` and `otherwise`, as every parameter takes them.

    Raises:
        SearchSpaceError: If any of them is wrong.

    Example:
        >>> ks.momentum()
        Float('momentum', 0.01, 0.99, scale='reverse_log', default=0.9)
    """
    check_bounds("A momentum", low, high, 0.0, 1.0)
    return Float(
        name, low, high, scale="reverse_log", default=usual(default, 0.9, low, high), **declared
    )


def epochs(
    low: int = 5,
    high: int = 50,
    *,
    name: str = "epochs",
    default: int | None = None,
    **declared: Unpack[Declared],
) -> Int:
    """How many epochs to train for, usually 5 to 50 on a linear scale.

    An epoch is one pass over the training data. The best epoch of a trial is what counts, so the
    highest number is a budget more than a risk. The range is our own choice, for data sets that
    fit in memory; Bengio 2012 (arXiv:1206.5533, section 3.1.1) advises early stopping over
    searching the number.

    Args:
        low: The fewest epochs.
        high: The most epochs.
        name: What the parameter is called.
        default: How many to begin with; left out, the range's middle.
        **declared: `role`, `when` and `otherwise`, as every parameter takes them.

    Raises:
        SearchSpaceError: If any of them is wrong.

    Example:
        >>> ks.epochs(5, 20)
        Int('epochs', 5, 20)
    """
    check_bounds("A number of epochs", low, high, 1, math.inf)
    return Int(name, low, high, default=default, **declared)


def batch_size(
    values: Sequence[int] = (16, 32, 64, 128, 256),
    *,
    name: str = "batch_size",
    default: int | None = None,
    **declared: Unpack[Declared],
) -> Choice:
    """How many examples a training step sees, usually a power of two from 16 to 256.

    Bengio 2012 (arXiv:1206.5533, section 3.1.1): between 1 and a few hundred, 32 a good default.
    32 is Keras's own default too (https://keras.io/api/models/model_training_apis/).

    Args:
        values: The sizes, whole numbers of 1 or more.
        name: What the parameter is called.
        default: The size to begin with; left out, 32, or the first.
        **declared: `role`, `when` and `otherwise`, as every parameter takes them.

    Raises:
        SearchSpaceError: If any of them is wrong.

    Example:
        >>> ks.batch_size([32, 64])
        Choice('batch_size', [32, 64])
    """
    sizes = tuple(values)
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise SearchSpaceError(
                f"A batch size must be a whole number of 1 or more, received {size!r}."
            )
    first: MaybeScalar = 32 if 32 in sizes else NOT_GIVEN
    return Choice(name, sizes, default=first if default is None else default, **declared)


def label_smoothing(
    low: float = 0.0,
    high: float = 0.2,
    *,
    name: str = "label_smoothing",
    default: float | None = None,
    **declared: Unpack[Declared],
) -> Float:
    """How much of a target's weight is spread over all classes, usually 0.0 to 0.2.

    Szegedy et al. 2016 (arXiv:1512.00567, section 7) used 0.1, the default here. In Keras it is an
    argument of the cross-entropy losses that take one-hot or binary targets
    (https://keras.io/api/losses/probabilistic_losses/), from 0 to 1.

    Args:
        low: The least smoothing.
        high: The most smoothing, at most 1.
        name: What the parameter is called.
        default: The smoothing to begin with; left out, 0.1, or the range's middle.
        **declared: `role`, `when` and `otherwise`, as every parameter takes them.

    Raises:
        SearchSpaceError: If any of them is wrong.

    Example:
        >>> ks.label_smoothing()
        Float('label_smoothing', 0.0, 0.2)
    """
    check_bounds("A label smoothing", low, high, 0.0, 1.0)
    return Float(name, low, high, default=usual(default, 0.1, low, high), **declared)
