"""Runs an objective function up to its first `model.fit`, so that it trains nothing.

This is how the function's search space is found, and how a trial's model is built again.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

from search_spaces import Hyperparameters, LimitReachedError
from search_spaces.errors import BuilderError
from studies.training.determinism.tensorflow_settings import noting_environment
from studies.training.keras_models import replaced_method
from studies.user_code import prunes_trial

if TYPE_CHECKING:
    import keras


# At most so many traced runs may end without a training. Nothing stops such a run before the end of
# the function, so it may take long.
_MOST_WHOLE_RUNS = 30


class FirstFit(NamedTuple):
    """The model and arguments of a function's first `fit`."""

    model: keras.Model
    arguments: Mapping[str, Any]  # The arguments of `fit`, by name.


class FunctionEnded(BaseException):
    """Stops a user's function early. An ``except Exception`` in the function does not catch it."""


def up_to_first_fit(function: Callable[[Any], Any], trial: Any) -> tuple[FirstFit | None, Any]:
    """Runs an objective function up to its first training. Errors of the function are passed on.

    Returns the first training. If the function trains nothing, returns None and the value that the
    function returned.
    """
    import keras

    fits: list[FirstFit] = []

    def stopping(name: str) -> Callable[..., Any]:
        method = getattr(keras.Model, name)
        signature = inspect.signature(method)

        @functools.wraps(method)
        def stop(model: keras.Model, *arguments: Any, **keywords: Any) -> Any:
            arguments_by_name = signature.bind_partial(model, *arguments, **keywords).arguments
            fits.append(FirstFit(model, arguments_by_name))
            raise FunctionEnded

        return stop

    returned = None
    with ExitStack() as methods:
        for name in ("fit", "train_on_batch"):
            methods.enter_context(replaced_method(name, stopping(name)))
        try:
            returned = function(trial)
        except FunctionEnded:
            pass
        except Exception as error:
            if not fits and not prunes_trial(error):
                raise
    return next(iter(fits), None), returned


class TracedObjective:
    """An objective function that is traced like a builder, to find its hyperparameters."""

    def __init__(self, name: str, function: Callable[[Any], Any]) -> None:
        self._name, self._function = name, function
        self._whole_runs = 0
        self.epochs = 1  # The number of epochs of the first training, with default hyperparameters.
        self._first = True

    def __call__(self, trial: Any) -> None:
        """Runs the function up to its first training.

        Raises LimitReachedError if `_MOST_WHOLE_RUNS` runs had no training, as more runs may take
        too long. Raises BuilderError if the function returns a model or several values, because it
        would do so with all hyperparameters.
        """
        if self._whole_runs >= _MOST_WHOLE_RUNS:
            raise LimitReachedError
        first, self._first = self._first, False
        with noting_environment():
            fit, returned = up_to_first_fit(self._function, trial)
        if fit is None:
            self._whole_runs += 1
            check_returned(self._name, returned)
            return
        epochs = fit.arguments.get("epochs", 1)
        if first and isinstance(epochs, int) and epochs > 1:
            self.epochs = epochs


def check_returned(study: str, returned: Any) -> None:
    """Raises BuilderError if a function returned a model or several values."""
    import keras

    if isinstance(returned, keras.Model):
        raise BuilderError(
            f"The objective_function of the study {study!r} returned a Keras model, so it is a "
            "builder. Give it with the data instead: Study(data=…, build=…, objective=…)."
        )
    if isinstance(returned, list | tuple) and len(returned) > 1:
        raise BuilderError(
            f"The objective_function of the study {study!r} returned {len(returned)} values: "
            f"{returned!r:.100}. Several objectives are not supported. Return one number, and "
            "note the others by trial.set_user_attr."
        )


def model_of(study: str, function: Callable[[Any], Any], hp: Hyperparameters) -> FirstFit:
    """Returns the first training of an objective function. Raises BuilderError if it has none."""
    fit, _ = up_to_first_fit(function, hp)
    if fit is None:
        raise BuilderError(
            f"The objective_function of the study {study!r} trains no Keras model for these "
            "hyperparameters."
        )
    return fit
