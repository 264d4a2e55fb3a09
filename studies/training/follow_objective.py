"""Follows one call of an objective function: its trainings, and what it reports."""

from __future__ import annotations

import time
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from studies.definition.objective import VALUE
from studies.training.objectives.fit_data import FitDigests, fit_digests
from studies.training.objectives.measured_weights import MeasuredWeights
from studies.training.states.best_weights import weights_digest
from studies.training.variables import parameters_of
from studies.training.watch import OnEpochResult
from tracking.records import EpochResult, TrialSpec, TrialState
from tracking.runs.mlflow_names import metric_name

if TYPE_CHECKING:
    import keras


class FunctionEnded(BaseException):
    """Ends a function before its end; not an `Exception`, which it may catch."""


class Following:
    """Follows one call of an objective function. A `Watcher` of its trainings.

    Attributes:
        error: What reporting raised; it is not the function's.
        ended: The state in which the study ended it, or None.
        metrics: Those of its trainings by epoch.
        reported: What it reported, by step from 1.
        measured: Weights of the only model that is trained; None once there is another.
        models: How many models it trained.
        parameters: Scalar weights of the last model.
        digests: Of each model's weights, after each of its trainings.
        data: Digests of what its first training got.
    """

    def __init__(self, spec: TrialSpec, on_epoch: OnEpochResult) -> None:
        self.error: Exception | None = None
        self.ended: TrialState | None = None
        self.metrics: dict[int, Mapping[str, float]] = {}
        self.reported: dict[int, float] = {}
        self.measured: MeasuredWeights | None = None
        self.parameters = 0
        self.digests: list[str] = []
        self.data = FitDigests()
        self._spec, self._on_epoch, self._started = spec, on_epoch, time.monotonic()
        # Weakly, as models of folds take memory; and the epochs that each was trained.
        self._models: list[weakref.ref[Any]] = []
        self._epochs: list[int] = []

    @property
    def models(self) -> int:
        """How many models it trained."""
        return len(self._models)

    @property
    def length(self) -> int:
        """The epochs of its longest training; without any, the steps that it reported."""
        return max(self._epochs, default=0) or max(self.reported, default=0)

    @property
    def epochs(self) -> int:
        """The epochs of all of its trainings."""
        return sum(self._epochs)

    def fit_begins(self, model: keras.Model, arguments: Mapping[str, Any]) -> None:
        """See `Watcher`."""
        if not self._models:
            self.data = fit_digests(arguments)
        if self._number_of(model):
            return
        self._models.append(weakref.ref(model))
        self._epochs.append(0)
        only = self.models == 1
        self.measured = MeasuredWeights(model, self._spec.objective) if only else None

    def epoch_ended(self, model: keras.Model, logs: Mapping[str, float]) -> None:
        """See `Watcher`."""
        number = self._number_of(model)
        self._epochs[number - 1] += 1
        epoch = self._epochs[number - 1]
        if self.measured is not None:
            self.measured.epoch_ended(epoch, logs)
        prefix = f"fit_{number}/" if number > 1 else ""
        metrics = {metric_name(f"{prefix}{name}"): value for name, value in logs.items()}
        self.metrics[epoch] = {**self.metrics.get(epoch, {}), **metrics}
        if self._tell(epoch, metrics):
            # Not by its pruner, which gets what it reports: its time is over.
            self._end("pruned")

    def fit_ended(self, model: keras.Model) -> None:
        """See `Watcher`."""
        self.parameters = parameters_of(model)
        self.digests.append(weights_digest([weight.numpy() for weight in model.weights]))

    def evaluated(self, model: keras.Model, measured: Mapping[str, float]) -> None:
        """See `Watcher`."""
        if self.measured is not None and self.measured.model is model:
            self.measured.evaluated(measured)

    def report(self, value: float, step: int) -> bool:
        """Takes what the function reports at a step from 0; returns whether to prune."""
        self.reported[step + 1] = value
        return self._tell(step + 1, {VALUE: value})

    def conclude(self, value: float) -> int:
        """Reports the value that the function returned; returns the step that it has.

        That is the last one, or one of its own if the last has another value.
        """
        last = max([*self._epochs, *self.reported, 1])
        if self.reported.get(last) == value:
            return last
        last += last in self.reported
        try:
            self._tell(last, {VALUE: value})
        except FunctionEnded:
            # It has ended already.
            self.ended = None
        return last

    def _number_of(self, model: keras.Model) -> int:
        """Returns the place of a model among those that are trained, from 1; 0 if it is new."""
        known = [each() for each in self._models]
        return next((place for place, each in enumerate(known, 1) if each is model), 0)

    def _tell(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Reports metrics; returns whether to prune."""
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
