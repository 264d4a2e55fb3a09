"""Trains the configuration of a cross-validated trial on all folds together, and records it.

That is the model of the champion. Plain `model.fit` trains it, for the trial's best epoch, with its
seed. It has no validation data, and so no value of its own.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace

from search_spaces.errors import StudyError, WorkerError
from studies.executors.executor import Executor
from studies.executors.jobs import Job, Jobs, run_jobs
from studies.progress import Progress
from tracking.history.study_history import StudyHistory
from tracking.records import (
    ALL_FOLDS,
    Decision,
    EndedTrial,
    EpochResult,
    Repeat,
    TrialResult,
    TrialSpec,
    TrialTask,
)
from tracking.store.files import one_before


class AllFolds(Jobs):
    """Trains one trial on all folds, and records it: one job."""

    def __init__(self, history: StudyHistory, trial: EndedTrial, progress: Progress) -> None:
        super().__init__()
        self._trial, self._progress = trial, progress
        self._history, self._journal = history, history.writing()
        # The fit of its present attempt, or empty.
        self._fit = ""
        self._result: TrialResult | None = None
        self._attempts = 0

    def train(self, executor: Executor) -> EndedTrial | None:
        """Trains it, from where an interrupted training ended; records it with the trial.

        Returns the trial with its new training; None if it was stopped.
        """
        number, epochs = self._trial.number, self._trial.whole_spec.epochs
        self._progress.say(
            f"training trial {number} on all folds together by model.fit, {epochs} epochs"
        )
        self.queue.append(Job(number, self._begin))
        try:
            run_jobs(executor, self, self._progress)
            return None if self._result is None else self._recorded(self._result)
        finally:
            self._progress.trial_gone(number)
            if self._result is None:
                self._close()
            self._journal.close()

    def taking(self) -> AbstractContextManager[object]:
        """Writes epochs as they come."""
        return self._journal.flushing()

    def on_epoch(self, epoch: EpochResult) -> Decision:
        """Records an epoch; stops if asked to."""
        self._journal.log_epoch(self._fit, epoch)
        ends = epoch.epoch >= self._trial.whole_spec.epochs
        return "stop" if self.stopped and not ends else "continue"

    def on_result(self, result: TrialResult) -> None:
        """Keeps the result."""
        self._result = result

    def on_lost(self, spec: TrialSpec, error: WorkerError, why: str) -> None:
        """Tells why its process ended."""
        self._progress.say(f"trial {spec.number}: {error}")
        if not why:
            self._close()

    def _begin(self) -> list[TrialTask]:
        files, space = self._history.files, self._history.description.space
        self._attempts += 1
        spec = replace(self._trial.whole_spec, attempt=self._attempts)
        self._fit = self._journal.begin_fit(self._trial.uuid, spec)
        checkpoint = files.checkpoint(spec.number, spec.repeat)
        state = files.state(spec.number, spec.repeat)
        return [TrialTask(spec, space, checkpoint, state, trainer="plain")]

    def _close(self) -> None:
        """Ends the fit of an attempt without a result."""
        fit, self._fit = self._fit, ""
        if fit:
            self._journal.end_training(fit, None)

    def _recorded(self, result: TrialResult) -> EndedTrial | None:
        """Records the result; returns the trial with it, or None if it was stopped."""
        spec, best = self._trial.whole_spec, self._trial.best
        assert best is not None, "it has a value"
        # It has no value: its training loss must not be shown as one.
        self._journal.end_fit(self._fit, replace(result, best=None))
        if result.state == "interrupted":
            return None
        why = result.reason or result.unsaved
        if result.state != "complete" or why:
            raise self._failed(why or f"it is {result.state}")
        whole = Repeat(
            spec.seed,
            self._fit,
            result.epochs,
            replace(best, epoch=result.epochs),
            result.weights_sha256,
            result.seconds,
            result.checkpoint_sha256,
            fold=ALL_FOLDS,
        )
        self._journal.set_whole(self._trial.uuid, whole)
        state = self._history.files.state(spec.number, spec.repeat)
        for path in (state, one_before(state)):
            path.unlink(missing_ok=True)
        return replace(self._trial, whole=whole)

    def _failed(self, why: str) -> StudyError:
        return StudyError(
            f"Trial {self._trial.number} can't be trained on all folds together: {why}"
        )
