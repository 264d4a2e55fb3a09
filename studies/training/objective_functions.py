"""Runs an objective function up to its first `model.fit`, or watches each `model.fit` in it.

The first is done to find the function's space, or to build a trial's model again. It trains
nothing. For both, methods of `keras.Model` are replaced while the function runs. The watching
replacements only add callbacks that read the logs, so a training gives the same bits.
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


# A function without a training runs to its end, so it is traced only so often.
_MOST_WHOLE_RUNS = 30


class FirstFit(NamedTuple):
    """The model and arguments of a function's first `fit`."""

    model: keras.Model
    arguments: Mapping[str, Any]  # By name.


class Returned(NamedTuple):
    """What a function without a Keras model returned."""

    value: Any


class _Reached(BaseException):
    """Stops a function at its first training. Its ``except Exception`` does not catch this."""


def up_to_first_fit(function: Callable[[Any], Any], trial: Any) -> FirstFit | Returned:
    """Runs an objective function up to its first training. Errors of the function are passed on."""
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
    """An objective function as a builder, for finding its hyperparameters."""

    def __init__(self, name: str, function: Callable[[Any], Any]) -> None:
        self._name, self._function = name, function
        self._whole = 0
        self.epochs = 1  # The epochs of the first training, with default values.
        self._first = True

    def __call__(self, trial: Any) -> None:
        """Runs the function up to its first training.

        Raises LimitReachedError if so many runs had no training that another may take too long.
        Raises BuilderError if a returned value is wrong for all hyperparameters.
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
        epochs = outcome.arguments.get("epochs", 1)
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
    first = up_to_first_fit(function, hp)
    if isinstance(first, Returned):
        raise BuilderError(
            f"The objective_function of the study {study!r} trains no Keras model for these "
            "hyperparameters."
        )
    return first


Report = Callable[[float, int], bool]
"""Takes a value and its step, from 0. Returns whether the pruner would end the trial."""


class ObjectiveTrial(Hyperparameters):
    """Hyperparameters whose `report` and `should_prune` ask the study's pruner."""

    def __init__(
        self, space: SearchSpace, values: Mapping[str, Any], *, number: int, report: Report
    ) -> None:
        super().__init__(space, values, number=number)
        self._report, self._prunes = report, False
        self._steps: set[int] = set()

    def report(self, value: float, step: int) -> None:
        """Reports a value at a step. As in Optuna, only the first value of a step counts.

        Raises:
            TypeError: If value or step is no number.
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
        """The user's attributes. A value that JSON lacks becomes its `repr`."""
        return {str(key): _noted(value) for key, value in self.user_attrs.items()}


def _noted(value: Any) -> Any:
    try:
        return json.loads(json.dumps(value, default=_as_json))
    except (TypeError, ValueError):
        # JSON lacks a key of a dict, or the value holds itself.
        return repr(value)[:1000]


def _as_json(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else repr(value)[:1000]


class Watcher(Protocol):
    """Follows the trainings of some code."""

    def fit_begins(self, model: keras.Model, arguments: Mapping[str, Any]) -> None:
        """Takes the model of a training that begins, and the arguments of `fit` by name."""
        ...

    def epoch_ended(self, model: keras.Model, logs: Mapping[str, float]) -> None:
        """Takes the logs of an epoch. An error raised here ends the training."""
        ...

    def fit_ended(self, model: keras.Model) -> None:
        """Takes the model of a training that has ended without an error."""
        ...


@contextlib.contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Reports each training within the context to a watcher, and hides progress bars."""
    import keras

    fit = keras.Model.fit
    signature = inspect.signature(fit)

    @functools.wraps(fit)
    def watching(model: keras.Model, *arguments: Any, **keywords: Any) -> Any:
        try:
            call = signature.bind(model, *arguments, **keywords)
        except TypeError:
            # Keras's error explains wrong arguments.
            return fit(model, *arguments, **keywords)
        first, last = _watching(watcher)
        callbacks = keras.tree.flatten(call.arguments.get("callbacks") or [])
        call.arguments["callbacks"] = [first, *callbacks, last]
        call.arguments["verbose"] = 0
        watcher.fit_begins(model, call.arguments)
        try:
            history = fit(*call.args, **call.kwargs)
        except BaseException:
            # A user's callback may raise, e.g. to prune. Then `last` has not reported the epoch
            # yet.
            last.report()
            raise
        watcher.fit_ended(model)
        return history

    with replaced_method("fit", watching):
        yield


def _watching(watcher: Watcher) -> tuple[Any, Any]:
    import keras

    class Noting(keras.callbacks.Callback):  # type: ignore[misc]
        """Notes the logs before the user's callbacks, which may raise."""

        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            last.noted = logs or {}

    class Reporting(keras.callbacks.Callback):  # type: ignore[misc]
        """Reports the logs after the user's callbacks, which may add entries."""

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


# Of a larger array, only rows at equal distances are read: in 0.1 s, not 1 s.
_MOST_BYTES: Final = 2**26


class FitDigests(NamedTuple):
    """The digests of a training's arrays. Empty for other data."""

    data: str = ""
    validation: str = ""  # Of the validation targets.


def fit_digests(arguments: Mapping[str, Any]) -> FitDigests:
    """Returns the digests for the arguments of `fit`."""
    data = {name: arguments.get(name) for name in ("x", "y", "sample_weight", "validation_data")}
    share, validation = (
        np.asarray(arguments.get("validation_split") or 0.0),
        data["validation_data"],
    )
    targets: Any = (data["y"], share) if share else None
    try:
        if validation is not None:
            targets = validation[1]
        return FitDigests(_digest_of((data, share)), "" if targets is None else _digest_of(targets))
    except Exception:
        # `fit` may get other data, such as batches.
        return FitDigests()


def _digest_of(arrays: Any) -> str:
    """Returns the digest of nested arrays. Raises TypeError if they hold anything else."""
    import keras

    digests: dict[str, str] = {}
    for place, each in enumerate(keras.tree.flatten(arrays)):
        if each is None:
            continue
        if not hasattr(each, "__array__") or (array := np.asarray(each)).dtype.hasobject:
            raise TypeError
        step = -(-array.nbytes // _MOST_BYTES) or 1
        digests[str(place)] = f"{array.shape} {array_digest(array[::step] if step > 1 else array)}"
    return combined_digest(digests)


# Another batch size changes the last digits of a metric.
_TOLERANCE = 1e-6


class Kept(NamedTuple):
    """A model's weights, and the epoch after which it had them."""

    epoch: int
    weights: Sequence[np.ndarray]


class _Best(NamedTuple):
    measured: BestEpoch
    kept: Kept


class MeasuredWeights:
    """For each metric, a copy of the model's weights after its best epoch so far.

    A function may return the best value of a metric, so the trial's weights are those of that
    epoch. A metric of unknown direction has the objective's direction.
    """

    def __init__(self, model: keras.Model, objective: Objective) -> None:
        self.model, self._objective = model, objective
        self._best: dict[str, _Best] = {}
        self._last = 0

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Copies the model's weights if the epoch is the best by any metric."""
        self._last = epoch
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

    def of(self, value: float) -> Kept:
        """Returns the weights that have a value.

        If the value is a metric's best, these are that epoch's weights. Otherwise they are the
        final ones.
        """
        final = copy_of(self.model)
        for best in self._best.values():
            if math.isclose(value, best.measured.value, rel_tol=_TOLERANCE):
                return best.kept
        # A callback may have restored a best epoch's weights, but not the optimizer's variables.
        # These come after the weights in a copy.
        count = len(self.model.weights)
        for best in self._best.values():
            if _equal(best.kept.weights[:count], final[:count]):
                return best.kept
        return Kept(self._last, final)


def _equal(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> bool:
    return all(
        a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True)
    )
