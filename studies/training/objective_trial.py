"""Runs a trial of a study with an objective function, and follows the function's trainings."""

from __future__ import annotations

import hashlib
import math
import time
import weakref
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from search_spaces import HyperparameterError
from search_spaces.errors import StudyError
from studies.definition.objective import VALUE
from studies.error_texts import describe
from studies.training.checkpoints import BestWeights, weights_digest
from studies.training.models import parameters_of
from studies.training.objective_functions import (
    FitDigests,
    Kept,
    MeasuredWeights,
    ObjectiveTrial,
    check_returned,
    fit_digests,
    watched,
)
from studies.training.process.determinism import begin_trial, noting_environment
from studies.training.trial import OnEpochResult, mistake_of, tell_once, with_saved_weights
from studies.user_code import (
    explain,
    fatal,
    is_fatal,
    out_of_memory,
    prunes_trial,
)
from tracking.records import BestEpoch, EpochResult, TrialResult, TrialSpec, TrialState, TrialTask

if TYPE_CHECKING:
    import keras

    from studies.definition import StudyDefinition


def run_objective(study: StudyDefinition, task: TrialTask, on_epoch: OnEpochResult) -> TrialResult:
    """Runs a trial: sets the trial's seed, and calls the study's objective function.

    The trial's epochs are those of every `model.fit` in the function. A model that is trained again
    goes on counting. The metrics of a second model are called ``fit_2/…``. A reported value is the
    metric ``value`` at the step that the function gives. The returned number is the last ``value``,
    and the trial's value.

    The trial is infeasible if the function raises, or returns no finite number. If it raises
    ``optuna.TrialPruned``, the trial is pruned and has no value. Raises BuilderError if the
    function returns several numbers, or a model.
    """
    started, spec = time.monotonic(), task.spec
    following = Following(spec, on_epoch)
    begin_trial(spec.seed)
    trial = ObjectiveTrial(task.space, spec.values, number=spec.built_as, report=following.report)
    ended = _Call(study, task, following).result(trial)
    if following.error is not None:
        # The function may have caught this error.
        raise following.error
    models = f", {following.models} models" if following.models > 1 else ""
    return replace(
        ended,
        epochs=ended.epochs or following.length,
        fits_epochs=following.epochs,
        repeat=spec.repeat,
        seconds=time.monotonic() - started,
        model_parameters=following.parameters,
        trainer="objective",
        trainer_reason=f"the objective function trains by itself{models}",
        joined=tuple(parameter.to_dict() for parameter in trial.joined),
        user_attrs=trial.noted,
        data_digest=following.data.data,
        validation_digest=following.data.validation,
        unscored="the objective function loads its data itself",
    )


class _Call:
    def __init__(self, study: StudyDefinition, task: TrialTask, following: Following) -> None:
        self._study, self._task, self._following = study, task, following

    def result(self, trial: ObjectiveTrial) -> TrialResult:
        following, function = self._following, self._study.objective_function
        assert function is not None, "it is such a study"
        returned = None
        try:
            with noting_environment(), watched(following):
                returned = function(trial)
        except FunctionEnded:
            pass
        except Exception as error:
            if following.ended is None and following.error is None:
                return self._raised(error)
        if following.error is not None:
            return self._ended("interrupted")
        if following.ended is not None:
            stopped = following.ended == "interrupted"
            reason = f"stopped after epoch {following.length}; it begins again" if stopped else ""
            return self._ended(following.ended, reason)
        return self._concluded(returned)

    def _ended(self, state: TrialState, reason: str = "", mistake: str = "") -> TrialResult:
        return TrialResult(self._task.spec.number, state, reason=reason, raised=mistake)

    def _raised(self, error: Exception) -> TrialResult:
        if prunes_trial(error):
            return self._ended("pruned")
        if isinstance(error, HyperparameterError):
            return self._ended("infeasible", f"the objective function failed: {error}", str(error))
        if isinstance(error, StudyError):
            raise error
        if is_fatal(error):
            raise fatal(error) from None
        cause = explain(error, self._study.build)
        tell_once(self._task.spec.number, cause)
        if out_of_memory(error):
            return self._ended("infeasible", f"out of memory: {describe(error)}")
        mistake = mistake_of(error, self._study.build)
        return self._ended("infeasible", f"the objective function raised {cause}", mistake)

    def _concluded(self, returned: Any) -> TrialResult:
        following = self._following
        check_returned(self._study.name, returned)
        value = _number(returned)
        if value is None:
            what = f"the objective function returned {returned!r:.100}, which is no number"
            if hasattr(returned, "history"):
                what += ": return one from it, such as max(history.history['val_accuracy'])"
            return self._ended("infeasible", what, what)
        if not math.isfinite(value):
            return self._ended("infeasible", f"the objective function returned {value}")
        epoch = following.conclude(value)
        kept = None if following.measured is None else following.measured.of(value)
        if kept is not None and kept.epoch:
            epoch = kept.epoch
        best = BestEpoch(epoch, value, {**following.metrics.get(epoch, {}), VALUE: value})
        result = TrialResult(
            self._task.spec.number, "complete", epochs=following.length or 1, best=best
        )
        if kept is None or following.measured is None:
            # This digest of all models' weights shows whether another run gives the same.
            digests = ";".join(following.digests)
            digest = hashlib.sha256(digests.encode()).hexdigest() if digests else ""
            models = following.models
            why = f"trains {models} models, so none alone has its value"
            if not models:
                why = "trains no Keras model"
            unsaved = f"the objective function {why}"
            return replace(result, weights_sha256=digest, unsaved=unsaved)
        return self._with_weights(result, following.measured.model, kept)

    def _with_weights(self, result: TrialResult, model: keras.Model, kept: Kept) -> TrialResult:
        """Writes the weights that have the value, if the trial may keep a file."""
        weights = BestWeights(model)
        weights.take_copy(kept.weights)
        result = replace(result, weights_sha256=weights.sha256)
        assert result.best is not None, "it has a value"
        may_stay = self._task.may_stay(result.best)
        return with_saved_weights(result, weights, self._task) if may_stay else result


def _number(returned: Any) -> float | None:
    """Returns a number or the only number in a list, as Optuna does, or None."""
    if isinstance(returned, list | tuple) and len(returned) == 1:
        returned = returned[0]
    if returned is None or isinstance(returned, str):
        return None
    try:
        return float(returned)
    except (TypeError, ValueError):
        return None


class FunctionEnded(BaseException):
    """Stops a function early. A function's ``except Exception`` does not catch it."""


class Following:
    """Follows the trainings in a call of an objective function."""

    def __init__(self, spec: TrialSpec, on_epoch: OnEpochResult) -> None:
        self.error: Exception | None = None  # An error of `on_epoch`, not of the function.
        self.ended: TrialState | None = None  # Set if the study ended the function early.
        self.metrics: dict[int, Mapping[str, float]] = {}  # The metrics of all trainings, by epoch.
        self.reported: dict[int, float] = {}  # The reported values, by step, from 1.
        # The weights of the only model so far, or None if there are several models.
        self.measured: MeasuredWeights | None = None
        self.parameters = 0  # The number of the last model's parameters.
        self.digests: list[str] = []  # The digest of the weights after each training.
        self.data = FitDigests()  # The digests of the first training's data.
        self._spec, self._on_epoch, self._started = spec, on_epoch, time.monotonic()
        # The trained models, by weak references, as the models of many folds take memory.
        self._models: list[weakref.ref[Any]] = []
        self._epochs: list[int] = []

    @property
    def models(self) -> int:
        """The number of models that the function trained."""
        return len(self._models)

    @property
    def length(self) -> int:
        """The most epochs of any model. Without models, the last step that was reported."""
        return max(self._epochs, default=0) or max(self.reported, default=0)

    @property
    def epochs(self) -> int:
        """The epochs of all trainings together."""
        return sum(self._epochs)

    def fit_begins(self, model: keras.Model, arguments: Mapping[str, Any]) -> None:
        """Notes the model of a training that begins."""
        if not self._models:
            self.data = fit_digests(arguments)
        if self._number_of(model):
            return
        self._models.append(weakref.ref(model))
        self._epochs.append(0)
        only = self.models == 1
        self.measured = MeasuredWeights(model, self._spec.objective) if only else None

    def epoch_ended(self, model: keras.Model, logs: Mapping[str, float]) -> None:
        """Notes the metrics of an epoch of a training."""
        number = self._number_of(model)
        self._epochs[number - 1] += 1
        epoch = self._epochs[number - 1]
        if self.measured is not None:
            self.measured.epoch_ended(epoch, logs)
        prefix = f"fit_{number}/" if number > 1 else ""
        metrics = {f"{prefix}{name}": value for name, value in logs.items()}
        self.metrics[epoch] = {**self.metrics.get(epoch, {}), **metrics}
        if self._tell(epoch, metrics):
            # "prune" means here that the trial's time is over. Pruners decide only on reported
            # values.
            self._end("pruned")

    def fit_ended(self, model: keras.Model) -> None:
        """Notes the weights of a model whose training has ended."""
        self.parameters = parameters_of(model)
        self.digests.append(weights_digest([weight.numpy() for weight in model.weights]))

    def report(self, value: float, step: int) -> bool:
        """Notes a value that was reported at a step, from 0. Returns whether to prune."""
        self.reported[step + 1] = value
        return self._tell(step + 1, {VALUE: value})

    def conclude(self, value: float) -> int:
        """Reports the returned value at a step, and returns the step, counted from 1.

        The step is the last one so far or, if another value was reported there, the next one.
        """
        last = max([*self._epochs, *self.reported, 1])
        if self.reported.get(last) == value:
            return last
        last += last in self.reported
        try:
            self._tell(last, {VALUE: value})
        except FunctionEnded:
            # The function has returned already.
            self.ended = None
        return last

    def _number_of(self, model: keras.Model) -> int:
        """Returns a model's number, from 1 in the order of training, or 0 for a new model."""
        models = [each() for each in self._models]
        return next((place for place, each in enumerate(models, 1) if each is model), 0)

    def _tell(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        spec, seconds = self._spec, time.monotonic() - self._started
        try:
            decision = self._on_epoch(
                EpochResult(spec.number, epoch, dict(metrics), seconds, spec.repeat)
            )
        except Exception as error:
            self.error = error
            raise FunctionEnded from None
        if decision == "stop":
            self._end("interrupted")
        return decision == "prune"

    def _end(self, state: TrialState) -> None:
        self.ended = state
        raise FunctionEnded
