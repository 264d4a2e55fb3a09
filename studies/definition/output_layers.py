"""`kerastudy.outputs`: the last layer, the loss and the metrics that fit a kind of targets.

    output = ks.outputs.classes(10)

    def build(hp):
        model = keras.Sequential([...])
        model.add(output.layer())
        model.compile(optimizer, loss=output.loss, metrics=output.metrics)
        return model

| target of a sample | function | layer | loss |
|---|---|---|---|
| 0 or 1 | `binary()` | 1 unit, sigmoid | binary crossentropy |
| a label, 0 to k - 1 | `classes(k)` | k units, softmax | sparse categorical crossentropy |
| a one-hot row of k | `one_hot(k)` | k units, softmax | categorical crossentropy |
| k numbers | `regression(k)` | k units, linear | mean squared error, or another |

Sources: https://keras.io/api/losses/probabilistic_losses/ describes the targets of the
crossentropies. https://keras.io/api/layers/activations/ describes softmax and sigmoid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from search_spaces import argument_checks as checks
from search_spaces.errors import StudyError

if TYPE_CHECKING:
    import keras

__all__ = ["Output", "binary", "classes", "one_hot", "regression"]


def __dir__() -> list[str]:
    return __all__


@dataclass(frozen=True)
class Output:
    """The last layer, loss and metrics for a kind of targets, made by a function of this module.

    All trials can use the same `Output`, since `layer` makes a new layer at each call.

    Attributes:
        units: The number of units of the last layer, at least 1.
        activation: The Keras name of the layer's activation.
        loss: The loss for `compile`: a Keras name, or anything else that `compile` takes.
    """

    units: int
    activation: str
    loss: Any
    _metrics: tuple[str, ...]

    @property
    def metrics(self) -> list[str]:
        """Keras names of the usual metrics, for `compile`: a new list, which you can extend."""
        return list(self._metrics)

    def layer(self, **options: Any) -> keras.layers.Dense:
        """Makes the last layer, a `keras.layers.Dense`.

        Args:
            **options: Other arguments of `Dense`, such as ``kernel_initializer`` or ``name``.
        """
        # Importing kerastudy must not import Keras.
        import keras

        return keras.layers.Dense(self.units, activation=self.activation, **options)


def binary() -> Output:
    """Returns the output for targets that are 0 or 1, of shape (n,) or (n, 1).

    The layer has one unit with a sigmoid. Its output is the probability of the target 1. The metric
    "accuracy" counts a probability above 0.5 as a 1. The targets may also be probabilities.

    Example:
        >>> ks.outputs.binary().loss
        'binary_crossentropy'
    """
    return Output(1, "sigmoid", "binary_crossentropy", ("accuracy",))


def classes(count: int) -> Output:
    """Returns the output for targets that are labels: whole numbers from 0 to ``count`` - 1.

    Args:
        count: The number of classes, at least 2.

    Raises:
        StudyError: If ``count`` is not a whole number of at least 2.

    Example:
        >>> ks.outputs.classes(10).units, ks.outputs.classes(10).activation
        (10, 'softmax')
    """
    units = _classes("classes", count)
    return Output(units, "softmax", "sparse_categorical_crossentropy", ("accuracy",))


def one_hot(count: int) -> Output:
    """Returns the output for one-hot rows, or rows of probabilities, of shape (n, ``count``).

    Args:
        count: The number of classes, at least 2.

    Raises:
        StudyError: If ``count`` is not a whole number of at least 2.

    Example:
        >>> ks.outputs.one_hot(3).loss
        'categorical_crossentropy'
    """
    units = _classes("one_hot", count)
    return Output(units, "softmax", "categorical_crossentropy", ("accuracy",))


def regression(
    count: int = 1,
    *,
    loss: Any = "mean_squared_error",
    metrics: Sequence[str] = ("mean_absolute_error",),
) -> Output:
    """Returns the output for numbers, of shape (n, ``count``), or (n,) if ``count`` is 1.

    The units are linear. With the mean squared error, the model learns the mean of the targets.
    With the mean absolute error, it learns their median, which outliers hardly move. Huber's loss
    (1964, "Robust Estimation of a Location Parameter") is squared for small errors and absolute for
    large ones.

    Args:
        count: How many numbers a target has, at least 1.
        loss: A name from https://keras.io/api/losses/regression_losses/, such as
            ``"mean_absolute_error"`` or ``"huber"``, or anything else that `compile` takes.
        metrics: Keras names of metrics. The default, the mean absolute error, is measured in the
            unit of the targets. It can also compare trials that have different losses.

    Raises:
        StudyError: If ``count`` is not a whole number of at least 1.

    Example:
        >>> ks.outputs.regression(loss="huber").metrics
        ['mean_absolute_error']
    """
    units = checks.whole_number("count in regression(count)", count, StudyError)
    return Output(units, "linear", loss, tuple(metrics))


def _classes(function: str, count: int) -> int:
    hint = "For two classes in one column of 0 and 1, take binary()." if count == 1 else ""
    setting = f"count in {function}(count)"
    return checks.whole_number(setting, count, StudyError, least=2, hint=hint)
