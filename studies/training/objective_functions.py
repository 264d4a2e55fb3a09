"""Runs a study's objective function up to its first `fit`, or watches every `fit` that it calls.

A run up to the first training finds the function's space, or builds a trial's model again, without
training. To watch trainings, Keras's own methods are replaced while the function runs. The
replacements do the same: the callbacks that they add read the logs and change nothing, so a
training gives the same bits.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import numpy as np

from search_spaces import Hyperparameters, LimitReachedError, SearchSpace
from search_spaces.errors import BuilderError
from studies.data import array_digest, combined_digest
from studies.definition.objective import known_direction
from studies.training.models import copy_of, replaced_method, scalars
from studies.training.process.determinism import noting_environment
from studies.user_code import prunes_trial
from tracking.records import BestEpoch, Objective

if TYPE_CHECKING:
    import keras


# A function that trains no Keras model runs to its end each time.
_MOST_WHOLE_RUNS = 30


class FirstFit(NamedTuple):
    """The first training of a function, which is about to begin."""

    model: keras.Model
    arguments: Mapping[str, Any]  # The arguments of `fit`, by name.


class Returned(NamedTuple):
    """The value of a function that trains no Keras model."""

    value: Any


class _Reached(BaseException):
    """Stops a function at its first training; no `Exception`, as the function may catch those."""


def up_to_first_fit(function: Callable[[Any], Any], trial: Any) -> FirstFit | Returned:
    """Runs an objective function up to its first training of a model; passes its errors on."""
    import keras

    fits: list[FirstFit] = []

    def ending(name: str) -> Callable[..., Any]:
        method = getattr(keras.Model, name)
        signature = inspect.signature(method)

        @functools.wraps(method)
        def reached(model: keras.Model, *arguments: Any, **keywords: Any) -> Any:
            arguments_by_name = signature.bind_partial(model, *arguments, **keywords).arguments
            fits.append(FirstFit(model, arguments_by_name))
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
            if not fits and not prunes_trial(error):
                raise
            returned = Returned(None)
    return fits[0] if fits else returned


class TracedObjective:
    """An objective function as a builder that only declares its hyperparameters."""

    def __init__(self, name: str, function: Callable[[Any], Any]) -> None:
        self._name, self._function = name, function
        self._whole = 0
        self.epochs = 1  # The epochs of its first training with the default hyperparameters.
        self.trains = False  # Whether a Keras model was trained for any hyperparameters.
        self._first = True

    def __call__(self, trial: Any) -> None:
        """Runs the function up to its first training.

        Raises LimitReachedError if the function has run to its end so often that one more run might
        take too long. Raises BuilderError if it returns something that is wrong for all
        hyperparameters.
        """
        if self._whole >= _MOST_WHOLE_RUNS:
            raise LimitReachedError
        first, self._first = self._first, False
        with noting_environment():
            outcome = up_to_first_fit(self._function, trial)
        if isinstance(outcome, Returned):
            self._whole += 1
            check_returned(self._name, outcome.value)
            return
        self.trains = True
        epochs = outcome.arguments.get("epochs", 1)
        if first and isinstance(epochs, int) and epochs > 1:
            self.epochs = epochs


def check_returned(study: str, returned: Any) -> None:
    """Raises BuilderError for a model or several values, which no hyperparameters can mend."""
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
    """Returns the first training of an objective function; raises BuilderError if it has none."""
    first = up_to_first_fit(function, hp)
    if isinstance(first, Returned):
        raise BuilderError(
            f"The objective_function of the study {study!r} trains no Keras model for these "
            "hyperparameters."
        )
    return first


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
        """The user's attributes; values that JSON lacks are texts."""
        return {str(key): _as_json(value) for key, value in self.user_attrs.items()}


def _as_json(value: Any) -> Any:
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError):
        pass
    try:
        # It may be one of numpy's numbers.
        return json.loads(json.dumps(value.item(), allow_nan=False))
    except (AttributeError, TypeError, ValueError):
        return repr(value)[:1000]


class Watcher(Protocol):
    """Follows the trainings of some code."""

    def fit_begins(self, model: keras.Model, arguments: Mapping[str, Any]) -> None:
        """Takes the model of a training that begins, and the arguments of `fit` by name."""
        ...

    def epoch_ended(self, model: keras.Model, logs: Mapping[str, float]) -> None:
        """Takes the logs of an epoch. An error raised here ends the training."""
        ...

    def fit_ended(self, model: keras.Model) -> None:
        """Takes the model of a training that has ended by itself."""
        ...

    def evaluated(self, model: keras.Model, measured: Mapping[str, float]) -> None:
        """Takes the metrics of a `model.evaluate` outside of a training."""
        ...


@contextlib.contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Reports every training within the context to a watcher, and shows no progress bars."""
    import keras

    fit, evaluate = keras.Model.fit, keras.Model.evaluate
    signature = inspect.signature(fit)
    trains = 0

    @functools.wraps(fit)
    def watching(model: keras.Model, *arguments: Any, **keywords: Any) -> Any:
        nonlocal trains
        try:
            call = signature.bind(model, *arguments, **keywords)
        except TypeError:
            # Keras's own message explains wrong arguments.
            return fit(model, *arguments, **keywords)
        first, last = _watching(watcher)
        call.arguments["callbacks"] = _around(call.arguments.get("callbacks"), model, first, last)
        call.arguments["verbose"] = 0
        watcher.fit_begins(model, call.arguments)
        trains += 1
        try:
            history = fit(*call.args, **call.kwargs)
        except BaseException:
            # If a user's callback raises, as pruning ones do, `last` has not seen the epoch's end.
            last.report()
            raise
        finally:
            trains -= 1
        watcher.fit_ended(model)
        return history

    @functools.wraps(evaluate)
    def measuring(model: keras.Model, *arguments: Any, **keywords: Any) -> Any:
        measured = evaluate(model, *arguments, **keywords)
        # During a training, Keras itself calls this method to validate.
        if not trains:
            watcher.evaluated(model, _by_name(measured))
        return measured

    with replaced_method("fit", watching), replaced_method("evaluate", measuring):
        yield


def _around(callbacks: Any, model: keras.Model, first: Any, last: Any) -> Any:
    """Returns callbacks with `first` before and `last` after them."""
    import keras

    if isinstance(callbacks, keras.callbacks.CallbackList):
        # Keras uses a CallbackList unchanged: the callbacks in it already have their model.
        for callback in (first, last):
            callback.set_model(model)
        callbacks.callbacks.insert(0, first)
        callbacks.append(last)
        return callbacks
    return [first, *keras.tree.flatten(callbacks or []), last]


def _watching(watcher: Watcher) -> tuple[Any, Any]:
    """Returns a training's first and last callback, which report its logs to a watcher."""
    import keras

    class Noting(keras.callbacks.Callback):  # type: ignore[misc]
        """Sees the logs before the user's callbacks run, as these may raise."""

        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            last.noted = logs or {}

    class Reporting(keras.callbacks.Callback):  # type: ignore[misc]
        """Reports the logs after the user's callbacks ran, as these may add entries."""

        def __init__(self) -> None:
            super().__init__()
            self.noted: Mapping[str, Any] | None = None

        def report(self) -> None:
            noted, self.noted = self.noted, None
            if noted is not None:
                watcher.epoch_ended(self.model, scalars(noted))

        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            self.report()

    last = Reporting()
    return Noting(), last


def _by_name(measured: Any) -> dict[str, float]:
    """Returns the metrics of `model.evaluate` by name, or by number if they have no names."""
    if isinstance(measured, Mapping):
        return scalars(measured)
    values = measured if isinstance(measured, list | tuple) else [measured]
    return scalars({str(place): value for place, value in enumerate(values)})


# A digest of a larger array covers only rows at equal distances: it takes 0.1 s, not 1 s.
_MOST_BYTES: Final = 2**26


class FitDigests(NamedTuple):
    """Digests of the data of a training."""

    data: str = ""  # The digest of all data; empty if it isn't in arrays.
    # The digest of the validation targets; empty if there are none, or they are unknown.
    validation: str = ""


def fit_digests(arguments: Mapping[str, Any]) -> FitDigests:
    """Returns digests of the arrays that `fit` gets; empty ones if it reads batches."""
    try:
        return _digests(arguments)
    except Exception:
        # Users may pass `fit` anything that Keras takes.
        return FitDigests()


def _digests(arguments: Mapping[str, Any]) -> FitDigests:
    parts = {name: arguments.get(name) for name in ("x", "y", "sample_weight", "validation_data")}
    digests = {
        place: _array_digest(array)
        for name, value in parts.items()
        for place, array in _arrays(name, value)
    }
    share, validation = arguments.get("validation_split") or 0.0, parts["validation_data"]
    targets: Any = None
    if isinstance(validation, tuple | list) and len(validation) > 1:
        targets = validation[1]
    elif validation is None and share:
        digests["validation_split"] = str(share)
        targets = parts["y"]
    validated = {place: _array_digest(array) for place, array in _arrays("y", targets)}
    if validated and validation is None:
        validated["validation_split"] = str(share)
    return FitDigests(combined_digest(digests), combined_digest(validated) if validated else "")


def _arrays(name: str, value: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the arrays of a structure. Raises TypeError if it holds anything else."""
    import keras

    for place, each in enumerate(keras.tree.flatten(value)):
        if each is None:
            continue
        is_array = isinstance(each, np.ndarray) or keras.ops.is_tensor(each)
        if not is_array and type(each).__module__.partition(".")[0] != "pandas":
            raise TypeError
        yield f"{name} {place}", np.asarray(each)


def _array_digest(array: np.ndarray) -> str:
    step = -(-array.nbytes // _MOST_BYTES)
    return array_digest(array) if step <= 1 else f"{array.shape} {array_digest(array[::step])}"


# A value differs in its last digits if it is evaluated in batches of another size.
_TOLERANCE = 1e-6


class Kept(NamedTuple):
    """A model's weights, and the epoch after which it had them."""

    epoch: int
    weights: Sequence[np.ndarray]


class _Best(NamedTuple):
    measured: BestEpoch
    kept: Kept


class MeasuredWeights:
    """Copies of a model's weights after the epoch that was best so far, by each metric.

    A function may return the best value of a metric over the epochs of its training, what
    `model.evaluate` measured afterwards, or any other number. A metric of unknown direction has the
    objective's direction.
    """

    def __init__(self, model: keras.Model, objective: Objective) -> None:
        self.model, self._objective = model, objective
        self._best: dict[str, _Best] = {}
        self._last = 0
        # The values that were evaluated since the last training.
        self._evaluated: list[float] = []

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Copies the model's weights after an epoch, if they are the best by a metric."""
        self._last, self._evaluated = epoch, []
        validated = [name for name in metrics if name.startswith("val_")]
        kept: Kept | None = None
        for name in validated or metrics:
            now, before = BestEpoch(epoch, metrics[name], metrics), self._best.get(name)
            direction = known_direction(name.removeprefix("val_")) or self._objective.direction
            by = Objective(name, direction)
            if not math.isfinite(now.value) or (before and before.measured.rank(by) < now.rank(by)):
                continue
            kept = kept or Kept(epoch, copy_of(self.model))
            self._best[name] = _Best(now, kept)

    def evaluated(self, measured: Mapping[str, float]) -> None:
        """Notes metrics that were measured after a training."""
        self._evaluated += measured.values()

    def of(self, value: float) -> Kept:
        """Returns the weights that have a value.

        Those are the present weights if an evaluation gave the value; else the weights after an
        epoch that was the best by a metric with this value; else the present weights.
        """
        final = copy_of(self.model)
        if not any(_same(value, each) for each in self._evaluated):
            for best in self._best.values():
                if _same(value, best.measured.value):
                    return best.kept
        # A callback may have restored an earlier epoch's weights, but not the optimizer's state,
        # which comes after the weights in a copy.
        count = len(self.model.weights)
        for best in self._best.values():
            if _equal(best.kept.weights[:count], final[:count]):
                return best.kept
        return Kept(self._last, final)


def _same(value: float, other: float) -> bool:
    return math.isclose(value, other, rel_tol=_TOLERANCE)


def _equal(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> bool:
    return all(
        a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True)
    )
