"""Runs a builder's trial: builds and trains a model, reports epochs, keeps the best weights."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from search_spaces import Hyperparameters
from search_spaces.errors import BuilderError, StudyError
from studies.data import FoldedSplits
from studies.definition import with_class_weight
from studies.error_texts import describe
from studies.library_internals import forgetting_gradients
from studies.training.building_models import (
    build_callbacks,
    build_model,
    class_weight_of,
    without_watching,
)
from studies.training.checkpoints import (
    BestWeights,
    Checkpoints,
    TrainingState,
    cannot_write,
    last_state,
    restore,
)
from studies.training.model_variables_and_properties import make_weights, parameters_of
from studies.training.plain_and_hypermodel_trainers import (
    NotTrainedError,
    Trainer,
    Training,
    has_own_fit,
)
from studies.training.random_states_and_user_objects import begin_trial
from studies.training.scoring.score_recorder import ScoreRecorder
from studies.training.trials.study_and_target_checks import check_logged
from studies.user_code import explain, gives_up_trial, out_of_memory
from tracking.records import (
    ALL_FOLDS,
    BestEpoch,
    Decision,
    EpochResult,
    TrialResult,
    TrialSpec,
    TrialState,
    TrialTask,
)

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData
    from studies.definition import StudyDefinition


_log = logging.getLogger(__name__)
_logged: set[str] = set()  # The errors whose tracebacks were logged.


def run_trial(
    study: StudyDefinition,
    data: LoadedData | FoldedSplits,
    task: TrialTask,
    on_epoch: OnEpochResult,
    trainer: Trainer,
) -> TrialResult:
    """Runs a trial of a study with a builder.

    The trial is infeasible if its class weights can't be made, if its builder raises an error, or
    if its training fails or diverges before any epoch has a value. If the training fails later, the
    trial keeps its best epoch.

    The class weights come from the spec. If the study's `class_weight` is a function, they come
    from that function, and the result records them.

    Raises ObjectiveError if the model does not log the objective, and StudyError if a checkpoint
    can't be written. Errors of `on_epoch` are passed on.
    """
    reports = Reports(on_epoch)
    with contextlib.suppress(ReportingFailed):
        result = _Run(study, data, task, reports, trainer, time.monotonic()).result()
    # A user's training loop may have swallowed ReportingFailed, by a `return` in a `finally`.
    if reports.error is not None:
        raise reports.error
    return result


@dataclass
class _Run:
    study: StudyDefinition
    data: LoadedData | FoldedSplits
    task: TrialTask
    reports: Reports
    trainer: Trainer
    started: float
    # Why only `model.fit` can train the model. Empty if a faster trainer may train it.
    unfit: str = ""

    def result(self) -> TrialResult:
        try:
            try:
                return self._run()
            except NotTrainedError as error:
                self.unfit, self.reports.again = str(error), True
            # Build the model and the callbacks again, so that no callback sees an epoch twice.
            return self._run()
        except StudyError:
            raise
        except Exception as error:
            # An error in one trial must not end the process, which has other trials to run.
            _log.warning("trial %d could not be run", self.task.spec.number, exc_info=True)
            return self._not_begun(f"the trial could not be run: {describe(error)}")

    def _run(self) -> TrialResult:
        spec, data = self.task.spec, self.data
        hp = Hyperparameters(self.task.space, spec.values, number=spec.built_as)
        splits = data.of(spec.fold)
        if not callable(self.study.class_weight):
            return self._run_on(splits, self.task, hp)
        try:
            class_weight = class_weight_of(self.study, splits, hp)
        except Exception as error:
            cause = explain(error)
            tell_once(spec.number, cause)
            return self._not_begun(f"its class weights can't be made: {cause}", cause, hp)
        task = replace(self.task, spec=replace(spec, class_weight=class_weight))
        return replace(self._run_on(splits, task, hp), class_weight=class_weight or {})

    def _run_on(self, splits: LoadedData, task: TrialTask, hp: Hyperparameters) -> TrialResult:
        spec, state = task.spec, None
        splits = with_class_weight(splits, spec.class_weight)
        try:
            model, callbacks = _build(self.study, hp, spec, splits)
            if not self.trainer.concludes:
                state = last_state(task, model, splits, callbacks)
                if state is None and spec.attempt > 1:
                    # A failed attempt to restore a state may have changed the model, so build it
                    # again.
                    model, callbacks = _build(self.study, hp, spec, splits)
        except Exception as error:
            # The builder may fail for this trial's hyperparameters alone, so the study goes on.
            if isinstance(error, BuilderError):
                return self._not_begun(str(error), str(error), hp)
            return self._not_begun(*why_infeasible(error, "the builder", spec.number), hp)
        weights = BestWeights(model)
        checkpoints = Checkpoints(task, model, callbacks, weights, self.trainer)
        scores = ScoreRecorder(task, model, splits.sizes.get("validation", 0))
        watch = Watch(spec, weights, checkpoints, scores, self.reports, self.trainer, self.started)
        training = Training(model, splits, spec, callbacks, hp, unfit=self.unfit)
        trained = self._train(training, watch, state)
        result = watch.result(parameters_of(model))
        finished = result.state in ("complete", "pruned")
        if finished and weights.copy is not None and result.best and task.may_stay(result.best):
            result = with_saved_weights(result, weights, task)
        result = scores.record(result, splits, weights)
        name, reason = state.trainer if state is not None and not trained else self.trainer.used
        reason = "; ".join(filter(None, (reason, checkpoints.given_up)))
        return replace(result, defaulted=defaults_of(hp), trainer=name, trainer_reason=reason)

    def _train(self, training: Training, watch: Watch, state: TrainingState | None) -> bool:
        """Trains a model from its first epoch, or resumes from a state.

        Returns False if nothing is left to train after the state.
        """
        import keras

        callbacks = training.callbacks
        if state is not None:
            if not watch.resume_from(state):
                return False
            states = state.callbacks
            restoring = keras.callbacks.LambdaCallback(
                on_train_begin=lambda logs: restore(callbacks, states)
            )
            training = replace(
                training, callbacks=[*callbacks, restoring], initial_epoch=len(state.epochs)
            )
        try:
            with forgetting_gradients():
                outcome = self.trainer.train(training, watch.on_epoch_end)
            if outcome is not None:
                watch.conclude(outcome)
        except (StudyError, NotTrainedError):
            raise
        except Exception as error:
            watch.fail(*why_infeasible(error, "the training", training.spec.number))
        return True

    def _not_begun(
        self, reason: str, raised: str = "", hp: Hyperparameters | None = None
    ) -> TrialResult:
        return TrialResult(
            self.task.spec.number,
            "infeasible",
            reason=reason,
            seconds=time.monotonic() - self.started,
            repeat=self.task.spec.repeat,
            defaulted={} if hp is None else defaults_of(hp),
            raised=raised,
        )


def with_saved_weights(result: TrialResult, weights: BestWeights, task: TrialTask) -> TrialResult:
    """Writes the weights of a trial's best epoch. Returns the result with the file's digest."""
    try:
        return replace(result, checkpoint_sha256=weights.write(task.checkpoint))
    except OSError as error:
        raise cannot_write(task.checkpoint, error) from None
    except Exception as error:
        # The trial still has its value. Only its weights are missing.
        tell_once(task.spec.number, describe(error))
        return replace(result, unsaved=f"its weights can't be saved: {describe(error)}")


def _build(
    study: StudyDefinition, hp: Hyperparameters, spec: TrialSpec, splits: LoadedData
) -> tuple[keras.Model, Sequence[keras.callbacks.Callback]]:
    begin_trial(spec.seed)
    model = build_model(study, hp, splits)
    if not model.built and not has_own_fit(study.build):
        try:
            make_weights(model, splits)
        except Exception:
            # `fit` may still be able to train the model. The failed call may have changed the model
            # and random states, so build the model again.
            _log.debug("the model can't be called with a sample", exc_info=True)
            begin_trial(spec.seed)
            model = build_model(study, hp, splits)
    callbacks = build_callbacks(study, hp)
    return model, without_watching(callbacks) if spec.fold == ALL_FOLDS else callbacks


def defaults_of(hp: Hyperparameters) -> dict[str, Any]:
    """Returns the defaults of hyperparameters that a trial declared without having a value."""
    return {parameter.name: parameter.default for parameter in hp.defaulted}


def tell_once(number: int, cause: str) -> None:
    """Logs the traceback of the error being handled, but only once for each text `cause`."""
    if cause not in _logged:
        _logged.add(cause)
        _log.warning("trial %d raised", number, exc_info=True)


def why_infeasible(error: Exception, called: str, number: int) -> tuple[str, str]:
    """Returns two texts: why a trial has no value, and the mistake in the study's code.

    The second text is empty if memory ran out, or if the study's code gave up the trial. `called`
    names the code that raised the error, such as "the builder".
    """
    cause = explain(error)
    tell_once(number, cause)
    if out_of_memory(error):
        return f"out of memory: {describe(error)}", ""
    return f"{called} raised {cause}", "" if gives_up_trial(error) else cause


OnEpochResult = Callable[[EpochResult], Decision]


class ReportingFailed(BaseException):
    """Ends a training because `on_epoch` raised an error, which `Reports.error` holds.

    This class does not inherit from `Exception`, so that trainers and users' training loops don't
    handle it like an error of the training.
    """


class Reports:
    """Reports epochs by calling `on_epoch`. If `on_epoch` fails, raises ReportingFailed."""

    def __init__(self, on_epoch: OnEpochResult) -> None:
        self._on_epoch = on_epoch
        self._decisions: dict[int, Decision] = {}  # The decision on each reported epoch.
        self.again = False  # Whether the training has begun again, from its first epoch.
        self.error: Exception | None = None

    def __call__(self, epoch: EpochResult) -> Decision:
        """Reports an epoch, and returns the decision on it.

        If the training has begun again, an epoch that was reported before is not reported again.
        The first decision on it is returned.
        """
        if self.again and epoch.epoch in self._decisions:
            return self._decisions[epoch.epoch]
        try:
            decision = self._decisions[epoch.epoch] = self._on_epoch(epoch)
        except Exception as error:
            self.error = error
            raise ReportingFailed from error
        return decision


@dataclass
class Watch:
    """Follows one training: reports epochs, notes the best one, and ends the training on request.

    If the trainer's `concludes` is true, the training may return an outcome at its end, and the
    metrics of its epochs may lack the objective.
    """

    spec: TrialSpec
    weights: BestWeights
    checkpoints: Checkpoints
    scores: ScoreRecorder
    report: OnEpochResult
    trainer: Trainer
    started: float
    state: TrialState = "complete"
    best: BestEpoch | None = None
    unsaved: str = ""  # The reason why the best epoch's weights can't be kept, or empty.
    epochs: list[Mapping[str, float]] = field(default_factory=list)  # The metrics of each epoch.
    reason: str = ""
    raised: str = ""
    diverged: bool = False  # Whether an epoch had a value that is not finite.

    def resume_from(self, state: TrainingState) -> bool:
        """Takes a state's epochs, and reports them. Returns whether epochs are left to train."""
        self.best = state.best
        self.weights.take_copy(state.best_weights, state.weights_sha256)
        last = len(state.epochs)
        for epoch, metrics in enumerate(state.epochs, start=1):
            self.epochs.append(metrics)
            # The best weights may come from the state's last epoch. If an earlier epoch pruned the
            # trial, it would have weights from after its end. So only the last epoch may prune it.
            if not self._continues(epoch, metrics, prunes=epoch == last):
                return False
        return not state.stopped and last < self.spec.epochs

    def on_epoch_end(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Takes the metrics of an epoch. Returns False to end the training."""
        objective = self.spec.objective
        if self.state != "complete" or self.diverged:
            # The training should have stopped, but a user's training loop may go on.
            return False
        # A training on all folds has no validation data, so its last epoch counts as the best.
        all_folds = self.spec.fold == ALL_FOLDS
        if not self.trainer.concludes and not all_folds:
            check_logged(objective.metric, set(metrics))
        self.epochs.append(dict(metrics))
        value = metrics.get("loss", 0.0) if all_folds else metrics.get(objective.metric)
        if value is not None and not self._not_finite(metrics):
            now, best = BestEpoch(epoch, value, dict(metrics)), self.best
            if all_folds or best is None or now.rank(objective) < best.rank(objective):
                self._take(now)
        self.scores.take(epoch, metrics)
        continues = self._continues(epoch, metrics)
        # Write a state, from which the training resumes if it is interrupted.
        if self._stopped or (continues and epoch < self.spec.epochs):
            self.checkpoints.after_epoch(self.epochs, self.best, stopped=self._stopped)
        return continues

    @property
    def _stopped(self) -> bool:
        return self.state == "interrupted"

    def _continues(self, epoch: int, metrics: Mapping[str, float], *, prunes: bool = True) -> bool:
        """Reports an epoch and applies the decision. Returns False to end the training."""
        decision = self.report(self._result_of(epoch, metrics))
        diverged = self._not_finite(metrics)
        if diverged:
            self.diverged = True
            self.fail(f"{diverged} is {metrics[diverged]} in epoch {epoch}")
            return False
        if decision == "prune" and not prunes:
            return True
        if decision == "prune":
            self.state = "pruned"
        elif decision == "stop":
            again = "; it begins again" if self.trainer.concludes else ""
            self.state, self.reason = "interrupted", f"stopped after epoch {epoch}{again}"
        return decision == "continue"

    def conclude(self, outcome: Mapping[str, float]) -> None:
        """Takes the metrics that a training returned. The objective becomes the trial's value."""
        if self.state != "complete":
            return
        if self.diverged:
            # The training went on, although it should have stopped when it diverged.
            self._give_up(self.reason)
            return
        metric, best = self.spec.objective.metric, self.best
        metrics = {**(self.epochs[-1] if self.epochs else {}), **outcome}
        check_logged(metric, set(metrics))
        value = metrics[metric]
        self.epochs = [*self.epochs[:-1], metrics]
        self.report(self._result_of(len(self.epochs), metrics))
        if not math.isfinite(value):
            self._give_up(f"{metric} is {value}")
        elif best is not None and best.value == value and self.weights.copy is not None:
            # The outcome is the best epoch's value, so keep that epoch and the copy of its weights.
            self.best = replace(best, metrics={**best.metrics, **outcome})
        else:
            self._take(BestEpoch(len(self.epochs), value, metrics))

    def _take(self, best: BestEpoch) -> None:
        """Notes the best epoch so far, and copies its weights if the model has them."""
        self.best, self.unsaved = best, self.trainer.unsaved
        self.weights.take_copy(None) if self.unsaved else self.weights.take()

    def fail(self, reason: str, raised: str = "") -> None:
        """Notes why the training ended early. The trial keeps its best epoch, if there is one.

        Without a best epoch, the trial becomes infeasible. If the trainer's `concludes` is true, a
        trial needs the outcome that a training returns at its end. So the trial becomes infeasible
        even with a best epoch, unless the training diverged.
        """
        self.raised = raised
        if self.best is None or (self.trainer.concludes and not self.diverged):
            self._give_up(reason)
        else:
            self.reason = reason

    def _give_up(self, reason: str) -> None:
        self.state, self.reason = "infeasible", reason

    def _not_finite(self, metrics: Mapping[str, float]) -> str:
        """Returns the name of the first metric that is not finite, or an empty text.

        Only the loss, the validation loss and the objective are checked.
        """
        names = ("loss", "val_loss", self.spec.objective.metric)
        return next((name for name in names if not math.isfinite(metrics.get(name, 0.0))), "")

    def result(self, parameters: int) -> TrialResult:
        """Returns the trial's result. `parameters` is the number of the model's parameters."""
        if self.state == "complete" and self.best is None:
            if self.epochs:
                check_logged(self.spec.objective.metric, set(self.epochs[-1]))
            self.fail("no epoch was trained")
        valued = self.state != "infeasible"
        return TrialResult(
            self.spec.number,
            self.state,
            epochs=len(self.epochs),
            best=self.best if valued else None,
            weights_sha256=self.weights.sha256 if valued else "",
            unsaved=self.unsaved if valued else "",
            reason=self.reason,
            raised=self.raised,
            seconds=self._elapsed(),
            model_parameters=int(parameters),
            repeat=self.spec.repeat,
        )

    def _result_of(self, epoch: int, metrics: Mapping[str, float]) -> EpochResult:
        spec = self.spec
        return EpochResult(spec.number, epoch, dict(metrics), self._elapsed(), spec.repeat)

    def _elapsed(self) -> float:
        return time.monotonic() - self.started
