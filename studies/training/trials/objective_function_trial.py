"""Runs a trial of a study with an objective function, and follows the function's trainings.

`keras.Model.fit` is replaced while the function runs. The replacement only adds callbacks that read
the logs, so a training gives the same bits as without these callbacks.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import json
import math
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces import HyperparameterError, Hyperparameters, SearchSpace
from search_spaces.errors import StudyError
from studies.definition import VALUE, known_direction
from studies.training.building_models import FunctionEnded
from studies.training.checkpoints import BestWeights, weights_digest
from studies.training.model_variables_and_properties import (
    copy_of,
    parameters_of,
    replaced_method,
    scalars,
    values_of,
)
from studies.training.random_states_and_user_objects import begin_trial
from studies.training.tracing_builders_and_functions import check_returned
from studies.training.trials.builder_trial import (
    OnEpochResult,
    defaults_of,
    why_infeasible,
    with_saved_weights,
)
from studies.user_code import prunes_trial
from tracking.records import (
    BestEpoch,
    EpochResult,
    Objective,
    TrialResult,
    TrialSpec,
    TrialState,
    TrialTask,
)

if TYPE_CHECKING:
    import keras

    from studies.definition import StudyDefinition


def run_objective(study: StudyDefinition, task: TrialTask, on_epoch: OnEpochResult) -> TrialResult:
    """Runs a trial: sets the trial's seed, and calls the study's objective function.

    The trial has the epochs of every `model.fit` in the function. If a model is trained again,
    the count of its epochs continues. The metrics of a second model are called ``fit_2/…``. If the
    function calls ``trial.report(value, step)``, the metric ``value`` has this value at this step.
    The number that the function returns becomes the trial's value. If the function trains one
    model, the value belongs to the epoch that reached it, otherwise to none.

    The trial is infeasible if the function raises an error, or returns no finite number. If the
    function raises ``optuna.TrialPruned``, the trial is pruned and has no value. Raises
    BuilderError if the function returns several numbers, or a model.
    """
    started, spec = time.monotonic(), task.spec
    following = Following(spec, on_epoch)
    begin_trial(spec.seed)
    trial = ObjectiveTrial(task.space, spec.values, number=spec.built_as, report=following.report)
    result = _called(study, task, trial, following)
    if following.error is not None:
        # `on_epoch` raised this error while the function ran. Raise it only now, because the
        # function could have caught it.
        raise following.error
    count = len(following.models)
    return replace(
        result,
        epochs=result.epochs or following.length,
        fits_epochs=sum(following.epochs),
        repeat=spec.repeat,
        seconds=time.monotonic() - started,
        model_parameters=following.parameters,
        trainer="objective",
        trainer_reason=f"{count} models" if count > 1 else "",
        defaulted=defaults_of(trial),
        user_attrs=trial.attributes,
        unscored="the objective function loads its data itself",
    )


def _called(
    study: StudyDefinition, task: TrialTask, trial: ObjectiveTrial, following: Following
) -> TrialResult:
    """Calls the objective function. Returns the trial's result."""
    assert study.objective_function is not None, "the study has an objective function"
    number, returned = task.spec.number, None
    try:
        with watched(following):
            returned = study.objective_function(trial)
    except FunctionEnded:
        pass
    except Exception as error:
        if following.ended is None:
            return _failed(number, error)
    if following.ended is None:
        return _concluded(study, task, following, returned)
    stopped = following.ended == "interrupted"
    reason = f"stopped after epoch {following.length}; it begins again" if stopped else ""
    return TrialResult(number, following.ended, reason=reason)


def _failed(number: int, error: Exception) -> TrialResult:
    """Returns the result of a trial whose function has raised an error."""
    if prunes_trial(error):
        return TrialResult(number, "pruned")
    if isinstance(error, HyperparameterError):
        reason, mistake = f"the objective function failed: {error}", str(error)
    elif isinstance(error, StudyError):
        raise error
    else:
        reason, mistake = why_infeasible(error, "the objective function", number)
    return TrialResult(number, "infeasible", reason=reason, raised=mistake)


def _concluded(
    study: StudyDefinition, task: TrialTask, following: Following, returned: Any
) -> TrialResult:
    """Returns the result of a trial whose function has returned a value."""
    number, measured = task.spec.number, following.measured
    check_returned(study.name, returned)
    value = _number(returned)
    if value is None:
        mistake = f"the objective function returned {returned!r:.100}, which is no number"
        if hasattr(returned, "history"):
            mistake += ": return a number from it, such as max(history.history['val_accuracy'])"
        return TrialResult(number, "infeasible", reason=mistake, raised=mistake)
    if not math.isfinite(value):
        reason = f"the objective function returned {value}"
        return TrialResult(number, "infeasible", reason=reason)
    epoch, copy = (0, None) if measured is None else measured.of(value)
    best = BestEpoch(epoch, value, {**following.metrics.get(epoch, {}), VALUE: value})
    result = TrialResult(number, "complete", best=best)
    if measured is None or copy is None:
        # No weights are saved, but this digest of the weights of all models is recorded. It shows
        # whether another run of the trial gives the same weights.
        digests = ";".join(following.digests)
        models = len(following.models)
        why = f"trains {models} models, so its value belongs to no single model"
        return replace(
            result,
            weights_sha256=hashlib.sha256(digests.encode()).hexdigest() if digests else "",
            unsaved=f"the objective function {why if models else 'trains no Keras model'}",
        )
    weights = BestWeights(measured.model)
    weights.take_copy(copy)
    result = replace(result, weights_sha256=weights.sha256)
    return with_saved_weights(result, weights, task) if task.may_stay(best) else result


def _number(returned: Any) -> float | None:
    """Converts a function's return value to a float. Returns None if that is not possible.

    As in Optuna, a list or tuple with one number stands for the number.
    """
    if isinstance(returned, list | tuple) and len(returned) == 1:
        returned = returned[0]
    if returned is None or isinstance(returned, str):
        return None
    try:
        return float(returned)
    except (TypeError, ValueError):
        return None


class ObjectiveTrial(Hyperparameters):
    """The `trial` that an objective function gets.

    The methods `report` and `should_prune` ask the study's pruner.

    Args:
        report: A function that gets a value and its step, counted from 0. It returns whether the
            pruner would end the trial.
    """

    def __init__(
        self,
        space: SearchSpace,
        values: Mapping[str, Any],
        *,
        number: int,
        report: Callable[[float, int], bool],
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
                f"trial.report takes a number and a whole step, not {value!r:.100} and "
                f"{step!r:.100}."
            ) from None
        if step < 0:
            raise ValueError(f"trial.report takes a step of at least 0, not {step}.")
        if step not in self._steps:
            self._steps.add(step)
            self._prunes = self._report(value, step)

    def should_prune(self) -> bool:
        """Returns whether the pruner would end the trial after its last report."""
        return self._prunes

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes that the function set. Values that JSON can't express become a `repr`."""
        return {str(key): _jsonable(value) for key, value in self.user_attrs.items()}


def _jsonable(value: Any) -> Any:
    def default(part: Any) -> Any:
        return part.item() if isinstance(part, np.generic) else repr(part)[:1000]

    try:
        return json.loads(json.dumps(value, default=default))
    except (TypeError, ValueError):
        # JSON can't express a key of a dict, or the value contains itself.
        return repr(value)[:1000]


class Following:
    """Follows the trainings in a call of an objective function."""

    def __init__(self, spec: TrialSpec, on_epoch: OnEpochResult) -> None:
        self.error: Exception | None = None  # An error of `on_epoch`, not of the function.
        # The trial's state, if the study has ended the function early. Otherwise None.
        self.ended: TrialState | None = None
        self.metrics: dict[int, Mapping[str, float]] = {}  # The metrics of all trainings, by epoch.
        self.reported: dict[int, float] = {}  # The reported values by step, counted from 1.
        # The weights of the first model. None if there is no model, or a second one.
        self.measured: MeasuredWeights | None = None
        self.parameters = 0  # The last model's number of parameters.
        self.digests: list[str] = []  # The digest of the weights after each training.
        self._spec, self._on_epoch, self._started = spec, on_epoch, time.monotonic()
        # Weak references to the trained models. With strong references, the models of all folds
        # would stay in memory.
        self.models: list[weakref.ref[Any]] = []
        self.epochs: list[int] = []  # The number of epochs of each model.

    @property
    def length(self) -> int:
        """The largest number of epochs of any model. Without models, the highest reported step."""
        return max(self.epochs, default=0) or max(self.reported, default=0)

    def fit_begins(self, model: keras.Model) -> None:
        """Notes the model of a training that begins."""
        if self._number_of(model):
            return
        only = not self.models
        self.measured = MeasuredWeights(model, self._spec.objective) if only else None
        self.models.append(weakref.ref(model))
        self.epochs.append(0)

    def epoch_ended(self, model: keras.Model, logs: Mapping[str, float]) -> None:
        """Notes the metrics of an epoch. Raises FunctionEnded if the study ends the trial."""
        number = self._number_of(model)
        self.epochs[number - 1] += 1
        epoch = self.epochs[number - 1]
        if self.measured is not None:
            self.measured.epoch_ended(epoch, logs)
        prefix = f"fit_{number}/" if number > 1 else ""
        metrics = {f"{prefix}{name}": value for name, value in logs.items()}
        self.metrics[epoch] = {**self.metrics.get(epoch, {}), **metrics}
        if self._tell(epoch, metrics):
            # For an epoch, "prune" means that the trial has reached its time limit. Pruners decide
            # only on values that the function reports.
            self._end("pruned")

    def fit_ended(self, model: keras.Model) -> None:
        """Notes a digest of the weights of a model whose training has ended without an error."""
        self.parameters = parameters_of(model)
        self.digests.append(weights_digest(values_of(model.weights)))

    def report(self, value: float, step: int) -> bool:
        """Notes a value that was reported at a step, counted from 0. Returns whether to prune."""
        self.reported[step + 1] = value
        # A callback reports before its epoch ends, a loop after that.
        if self.measured is not None and step + 1 - self.epochs[0] in (0, 1):
            self.measured.epoch_ended(step + 1, {VALUE: value})
        return self._tell(step + 1, {VALUE: value})

    def _number_of(self, model: keras.Model) -> int:
        """Returns a model's number, from 1 in the order of training, or 0 for a new model."""
        numbers = enumerate(self.models, 1)
        return next((number for number, reference in numbers if reference() is model), 0)

    def _tell(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Reports metrics to the study. Returns whether to prune the trial."""
        spec, seconds = self._spec, time.monotonic() - self._started
        try:
            decision = self._on_epoch(
                EpochResult(spec.number, epoch, dict(metrics), seconds, spec.repeat)
            )
        except Exception as error:
            self.error, decision = error, "stop"
        if decision == "stop":
            self._end("interrupted")
        return decision == "prune"

    def _end(self, state: TrialState) -> None:
        self.ended = state
        raise FunctionEnded


@contextlib.contextmanager
def watched(following: Following) -> Iterator[None]:
    """Reports each training in this context to `following`, and hides progress bars."""
    import keras

    fit = keras.Model.fit
    signature = inspect.signature(fit)

    @functools.wraps(fit)
    def watching(model: keras.Model, *arguments: Any, **keywords: Any) -> Any:
        try:
            call = signature.bind(model, *arguments, **keywords)
        except TypeError:
            # The arguments are wrong. Keras raises an error that explains the mistake.
            return fit(model, *arguments, **keywords)
        last = _reporting(following)
        # Note an epoch's logs before the user's callbacks are called, as these may raise an error.
        first = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: last.note(logs))
        callbacks = keras.tree.flatten(call.arguments.get("callbacks") or [])
        call.arguments["callbacks"] = [first, *callbacks, last]
        call.arguments["verbose"] = 0
        following.fit_begins(model)
        try:
            history = fit(*call.args, **call.kwargs)
        except BaseException:
            # A user's callback may raise an error, e.g. to prune the trial. The callback
            # `last` is then not called, so report the epoch now.
            last.report()
            raise
        following.fit_ended(model)
        return history

    with replaced_method("fit", watching):
        yield


def _reporting(following: Following) -> Any:
    """Returns a callback that reports the logs of each epoch.

    The logs include the entries that the user's callbacks add.
    """
    import keras

    class Reporting(keras.callbacks.Callback):  # type: ignore[misc]
        logs: Mapping[str, Any] | None = None

        def note(self, logs: Mapping[str, Any] | None) -> None:
            self.logs = logs or {}

        def report(self) -> None:
            logs, self.logs = self.logs, None
            if logs is not None:
                following.epoch_ended(self.model, scalars(logs))

        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            self.report()

    return Reporting()


# A returned number counts as equal to a metric's value up to this relative difference, because
# another batch size changes the last digits.
_TOLERANCE = 1e-6


class MeasuredWeights:
    """Copies of a model's weights, taken after the best epoch so far of each metric.

    An objective function may return the best value of a metric, such as
    ``max(history.history["val_accuracy"])``. The trial's weights are then the copy after the epoch
    with this value. If it is not known whether a metric should go up or down, the objective's
    direction is used.
    """

    def __init__(self, model: keras.Model, objective: Objective) -> None:
        self.model, self._objective = model, objective
        self._best: dict[str, tuple[BestEpoch, Sequence[np.ndarray]]] = {}
        self._last = 0

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Copies the model's weights if the epoch is the best by any metric."""
        self._last = epoch
        copy: Sequence[np.ndarray] | None = None
        for name in [name for name in metrics if name.startswith("val_")] or metrics:
            now, before = BestEpoch(epoch, metrics[name], metrics), self._best.get(name)
            direction = known_direction(name.removeprefix("val_")) or self._objective.direction
            by = Objective(name, direction)
            if not math.isfinite(now.value) or (before and before[0].rank(by) < now.rank(by)):
                continue
            copy = copy_of(self.model) if copy is None else copy
            self._best[name] = now, copy

    def of(self, value: float) -> tuple[int, Sequence[np.ndarray]]:
        """Returns the epoch after which the model gave a value, and its weights after that epoch.

        If the value is a metric's best value v, or -v or 1 - v, which functions return that are to
        be minimized, returns the metric's best epoch. Otherwise, if the
        final weights equal the weights after a metric's best epoch, returns that epoch. Otherwise,
        returns the last epoch.
        """
        # Reports come last: they have no validation loss, which decides between equal values.
        for best, copy in (self._best[n] for n in sorted(self._best, key=VALUE.__eq__)):
            reached = best.value, -best.value, 1 - best.value
            if any(math.isclose(value, each, rel_tol=_TOLERANCE) for each in reached):
                return best.epoch, copy
        # A callback may have restored the weights of a best epoch, as EarlyStopping does. It does
        # not restore the optimizer's variables, which come after the weights in a copy. So compare
        # only the weights.
        final, count = copy_of(self.model), len(self.model.weights)
        digest = weights_digest(final[:count])
        for best, copy in self._best.values():
            if weights_digest(copy[:count]) == digest:
                return best.epoch, copy
        return self._last, final
