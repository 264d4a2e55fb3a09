"""Running an objective function up to its first `fit`: its hyperparameters, its model.

So its space is found without training, and the model of a trial is built again.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

from search_spaces import Hyperparameters, SearchSpace
from search_spaces.discovery.tracing import LimitReachedError
from search_spaces.errors import BuilderError
from studies.training.objective_fits import replaced_method
from studies.training.process import global_settings
from studies.user_code import prunes_trial

if TYPE_CHECKING:
    import keras

# A function that trains no Keras model runs as a whole each time.
_MOST_WHOLE_RUNS = 30


class FirstFit(NamedTuple):
    """The first training of a function, before it begins."""

    model: keras.Model
    arguments: Mapping[str, Any]  # Of `fit`, by name.


class Returned(NamedTuple):
    """What a function returned that trains no Keras model."""

    value: Any


class _Reached(BaseException):
    """Ends a function at its first training; not an `Exception`, which it may catch."""


def up_to_first_fit(function: Callable[[Any], Any], trial: Any) -> FirstFit | Returned:
    """Runs an objective function until it would train a model; raises what it raises before."""
    import keras

    found: list[FirstFit] = []

    def ending(name: str) -> Callable[..., Any]:
        method = getattr(keras.Model, name)
        signature = inspect.signature(method)

        @functools.wraps(method)
        def reached(model: keras.Model, *arguments: Any, **keywords: Any) -> Any:
            given = signature.bind_partial(model, *arguments, **keywords).arguments
            found.append(FirstFit(model, given))
            raise _Reached

        return reached

    with ExitStack() as replaced:
        for name in ("fit", "train_on_batch"):
            replaced.enter_context(replaced_method(name, ending(name)))
        try:
            returned = Returned(function(trial))
        except _Reached:
            returned = Returned(None)
        except Exception as error:
            if not found and not prunes_trial(error):
                raise
            returned = Returned(None)
    return found[0] if found else returned


class TracedObjective:
    """An objective function as a builder that only declares its hyperparameters."""

    def __init__(self, name: str, function: Callable[[Any], Any]) -> None:
        self._name, self._function = name, function
        self._whole = 0
        self.epochs = 1  # Of its first training with the default hyperparameters.
        self.trains = False  # Whether a Keras model was trained for any hyperparameters.
        self._first = True

    def __call__(self, trial: Any) -> None:
        """Runs it up to its first training.

        Raises LimitReachedError if it has run as a whole so often that more would take too long,
        and BuilderError if it returns what no value of hyperparameters mends.
        """
        if self._whole >= _MOST_WHOLE_RUNS:
            raise LimitReachedError
        first, self._first = self._first, False
        with global_settings.noting_environment():
            found = up_to_first_fit(self._function, trial)
        if isinstance(found, Returned):
            self._whole += 1
            check_returned(self._name, found.value)
            return
        self.trains = True
        epochs = found.arguments.get("epochs", 1)
        if first and isinstance(epochs, int) and epochs > 1:
            self.epochs = epochs


def check_returned(study: str, returned: Any) -> None:
    """Raises BuilderError for what no hyperparameters mend: a model, several objectives."""
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
    """Returns the model that an objective function trains first, and how; BuilderError if none."""
    found = up_to_first_fit(function, hp)
    if isinstance(found, Returned):
        raise BuilderError(
            f"The objective_function of the study {study!r} trains no Keras model for these "
            "hyperparameters."
        )
    return found


Report = Callable[[float, int], bool]
"""Takes a value and its step, from 0; returns whether the pruner would end the trial."""


class ObjectiveTrial(Hyperparameters):
    """Hyperparameters whose `report` and `should_prune` ask the study's pruner."""

    def __init__(
        self, space: SearchSpace, values: Mapping[str, Any], *, number: int, report: Report
    ) -> None:
        super().__init__(space, values, number=number)
        self._report, self._prunes = report, False
        self._steps: set[int] = set()

    def report(self, value: float, step: int) -> None:
        """Reports a value after a step; as in Optuna, a second one for a step is ignored.

        Raises:
            TypeError: If one is no number.
            ValueError: If the step is below 0.
        """
        try:
            value, step = float(value), int(step)
        except (TypeError, ValueError):
            raise TypeError(
                f"trial.report takes a number and a whole step. Received: {value!r:.100} and "
                f"{step!r:.100}."
            ) from None
        if step < 0:
            raise ValueError(f"trial.report takes a step from 0. Received: {step}.")
        if step not in self._steps:
            self._steps.add(step)
            self._prunes = self._report(value, step)

    def should_prune(self) -> bool:
        """Returns whether the pruner would end the trial after its last report."""
        return self._prunes

    @property
    def noted(self) -> dict[str, Any]:
        """The user's attributes, those that JSON lacks as texts."""
        return {str(key): _as_json(value) for key, value in self.user_attrs.items()}


def _as_json(value: Any) -> Any:
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError):
        pass
    try:
        # A number of numpy's.
        return json.loads(json.dumps(value.item(), allow_nan=False))
    except (AttributeError, TypeError, ValueError):
        return repr(value)[:1000]
