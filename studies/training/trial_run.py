"""Runs a trial: builds the model, trains it, keeps its best epoch."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from search_spaces import Hyperparameters
from search_spaces.errors import BuilderError, StudyError
from studies.data import FoldedSplits
from studies.definition.class_weights import with_class_weight
from studies.error_texts import describe
from studies.libraries.tensorflow_parts import forgetting_gradients
from studies.training.building.build import build_callbacks, build_model, without_watching
from studies.training.building.hypermodel import has_own_fit
from studies.training.building.made_data import AnyData, MadeData
from studies.training.models import make_weights, parameters_of
from studies.training.process import global_settings
from studies.training.process.determinism import begin_trial
from studies.training.scoring.recording import ScoreRecorder
from studies.training.states.best_weights import BestWeights
from studies.training.states.checkpointing import Checkpoints, cannot_write, last_state, restoring
from studies.training.states.training_state import TrainingState
from studies.training.trainer import ChangedModelError, NotTrainedError, Trainer, Training
from studies.training.watch import OnEpochResult, Reports, Watch
from studies.user_code.causes import explain, fatal, gives_up_trial, is_fatal, out_of_memory
from tracking.records import ALL_FOLDS, TrialResult, TrialSpec, TrialTask

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData
    from studies.definition import StudyDefinition

_log = logging.getLogger(__name__)
_told: set[str] = set()


def run_trial(
    study: StudyDefinition,
    data: AnyData | FoldedSplits,
    task: TrialTask,
    on_epoch: OnEpochResult,
    trainer: Trainer,
) -> TrialResult:
    """Runs a trial.

    If `data` makes the data of each trial, the result has its digests and class weights. Else the
    classes of the spec are weighted here. A trial is infeasible if its builder raises, if its data
    can't be made, or if its training raises or diverges before an epoch has a value. After that it
    keeps its best epoch.

    Raises ObjectiveError if the model does not log the objective, StudyError if a checkpoint can't
    be written, and whatever `on_epoch` raises.
    """
    return _Run(study, data, task, Reports(on_epoch), trainer, time.monotonic()).result()


@dataclass
class _Run:
    """One run of a trial."""

    study: StudyDefinition
    data: AnyData | FoldedSplits
    task: TrialTask
    reports: Reports
    trainer: Trainer
    started: float
    unfit: str = ""  # Why `model.fit` must train it, or empty.
    stateless: bool = False  # Whether it is trained from its first epoch, and keeps no states.

    def result(self) -> TrialResult:
        """Runs the trial, again if it must start again."""
        number, self.stateless = self.task.spec.number, self.trainer.concludes
        changed = False
        try:
            while True:
                try:
                    return self._run()
                except ChangedModelError as error:
                    if changed:
                        raise
                    self.stateless = changed = True
                    _log.warning("trial %d: %s; it is trained from its first epoch", number, error)
                except NotTrainedError as error:
                    if self.unfit or self.reports.error is not None:
                        raise
                    self.unfit = str(error)
                # All of it again, so that nothing is left of the failure, and no callback is called
                # twice.
                self.reports.begin_again()
        except StudyError:
            raise
        except Exception as error:
            if self.reports.error is not None:
                raise self.reports.error from None
            # No failure of a trial may end the process that it runs in.
            _log.warning("trial %d could not be run", number, exc_info=True)
            return self._not_begun(f"the trial could not be run: {describe(error)}")

    def _run(self) -> TrialResult:
        spec, data = self.task.spec, self.data
        hp = Hyperparameters(self.task.space, spec.values, number=spec.built_as)
        if not isinstance(data, MadeData):
            return self._run_on(data.of(spec.fold), self.task, hp)
        try:
            _, splits, class_weight = data.of(hp)
        except Exception as error:
            if is_fatal(error):
                raise fatal(error) from None
            cause = data.cause(error)
            _tell_once(spec.number, cause)
            mistake = "" if out_of_memory(error) or gives_up_trial(error) else cause
            return self._not_begun(f"its data can't be made: {cause}", mistake, hp)
        spec = replace(spec, data_digest=splits.digest, class_weight=class_weight)
        return replace(
            self._run_on(splits, replace(self.task, spec=spec), hp),
            data_digest=splits.digest,
            validation_digest=splits.validation.targets_digest,
            class_weight=class_weight,
        )

    def _run_on(self, splits: LoadedData, task: TrialTask, hp: Hyperparameters) -> TrialResult:
        """Runs the trial on its data."""
        spec, build, state = task.spec, self.study.build, None
        splits = with_class_weight(splits, spec.class_weight)
        try:
            model, callbacks = _build(self.study, hp, spec, splits)
            if not self.stateless:
                state = last_state(task, model, splits, callbacks)
                if state is None and (task.origin is not None or spec.attempt > 1):
                    # The attempt to restore one may have changed the model.
                    model, callbacks = _build(self.study, hp, spec, splits)
        except Exception as error:
            # It may return nothing, or read an inactive name, for these values only: the default
            # ones were checked before.
            if is_fatal(error):
                raise fatal(error) from None
            if isinstance(error, BuilderError):
                reason = str(error)
            else:
                reason = f"the builder raised {explain(error, build)}"
                _tell_once(spec.number, reason)
            return self._not_begun(reason, _mistake(error, build), hp)
        weights = BestWeights(model)
        checkpoints = Checkpoints(task, model, callbacks, weights, self.trainer)
        scores = ScoreRecorder(task, model, splits.sizes.get("validation", 0))
        watch = Watch(
            spec,
            weights,
            checkpoints,
            self.reports,
            then=scores.take,
            trainer=self.trainer,
            started=self.started,
        )
        with checkpoints:
            validates = spec.fold != ALL_FOLDS
            training = Training(
                model, splits, spec, callbacks, hp, unfit=self.unfit, validates=validates
            )
            trained = self._train(training, watch, state)
        if self.reports.error is not None:
            # Even if the training has caught it.
            raise self.reports.error
        result = watch.result(parameters_of(model))
        kept = result.best is not None and task.may_stay(result.best)
        if kept and result.state in ("complete", "pruned") and weights.copy is not None:
            result = _saved(result, weights, task)
        result = scores.record(result, splits, weights)
        name, reason = state.trainer if state is not None and not trained else self.trainer.used
        if checkpoints.given_up:
            stateless = "no state is kept, so it is trained from its first epoch"
            reason = "; ".join(filter(None, (reason, f"{stateless}: {checkpoints.given_up}")))
        return replace(result, joined=_joined(hp), trainer=name, trainer_reason=reason)

    def _train(self, training: Training, watch: Watch, state: TrainingState | None) -> bool:
        """Trains a model, from its first epoch or from a state; False if nothing was left to do."""
        build = self.study.build
        if state is not None:
            if not watch.resume_from(state):
                return False
            restored = restoring(training.callbacks, state.callbacks)
            training = replace(
                training,
                callbacks=[*training.callbacks, restored],
                initial_epoch=len(state.epochs),
                traced=state.traced,
            )
        try:
            with forgetting_gradients():
                outcome = self.trainer.train(training, watch.on_epoch_end)
            if outcome is not None:
                watch.conclude(outcome)
        except (StudyError, NotTrainedError):
            raise
        except Exception as error:
            if self.reports.error is None:
                if is_fatal(error):
                    raise fatal(error) from None
                reason = f"the training raised {explain(error, build)}"
                if out_of_memory(error):
                    reason = f"out of memory: {describe(error)}"
                watch.fail(reason, _mistake(error, build))
                _tell_once(training.spec.number, describe(error))
        return True

    def _not_begun(
        self, reason: str, raised: str = "", hp: Hyperparameters | None = None
    ) -> TrialResult:
        """Returns the result of a trial whose training could not begin."""
        return TrialResult(
            self.task.spec.number,
            "infeasible",
            reason=reason,
            seconds=time.monotonic() - self.started,
            repeat=self.task.spec.repeat,
            joined=() if hp is None else _joined(hp),
            raised=raised,
        )


def _saved(result: TrialResult, weights: BestWeights, task: TrialTask) -> TrialResult:
    """Writes the weights of a trial's best epoch; returns the result with their digest."""
    try:
        return replace(result, checkpoint_sha256=weights.write(task.checkpoint))
    except OSError as error:
        raise cannot_write(task.checkpoint, error) from None
    except Exception as error:
        # Its value counts nevertheless.
        _tell_once(task.spec.number, describe(error))
        return replace(result, unsaved=f"its weights can't be saved: {describe(error)}")


def _build(
    study: StudyDefinition, hp: Hyperparameters, spec: TrialSpec, splits: LoadedData
) -> tuple[keras.Model, Sequence[keras.callbacks.Callback]]:
    begin_trial(spec.seed)
    with global_settings.noting_environment():
        model = build_model(study, hp, splits)
        if not model.built and not has_own_fit(study.build):
            try:
                make_weights(model, splits)
            except Exception:
                # A model that can't be called so: `fit` shows whether it can be trained.
                _log.debug("the model can't be called with a sample", exc_info=True)
                begin_trial(spec.seed)
                model = build_model(study, hp, splits)
        callbacks = build_callbacks(study, hp)
    return model, without_watching(callbacks)[0] if spec.fold == ALL_FOLDS else callbacks


def _joined(hp: Hyperparameters) -> tuple[dict[str, object], ...]:
    return tuple(parameter.to_dict() for parameter in hp.joined)


def _tell_once(number: int, what: str) -> None:
    """Shows the traceback of an error, the first time."""
    if what not in _told:
        _told.add(what)
        _log.warning("trial %d raised", number, exc_info=True)


def _mistake(error: Exception, build: Any) -> str:
    """Returns the error, if it may be a mistake in the study's code."""
    if isinstance(error, BuilderError):
        return str(error)
    return "" if out_of_memory(error) or gives_up_trial(error) else explain(error, build)
