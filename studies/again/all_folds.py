"""Trains the configuration of a cross-validated trial on all folds together, and records it.

That is the model of the champion. Plain `model.fit` trains it, for the trial's best epoch, with its
seed. It has no validation data, and so no value of its own.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

from search_spaces.errors import StudyError, WorkerError
from studies.executors.executor import Executor
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

# Attempts, if its process dies.
_ATTEMPTS = 3


class AllFolds:
    """Trains one trial on all folds, and records it. A `Handler` of the executor's."""

    def __init__(self, history: StudyHistory, trial: EndedTrial, progress: Progress) -> None:
        self._trial, self._progress = trial, progress
        self._history, self._journal = history, history.writing()
        # Whether it ends after its present epoch.
        self.stopping = False
        self._fit = ""
        self._result: TrialResult | None = None
        self._lost, self._losses = "", 0

    def train(self, executor: Executor) -> EndedTrial | None:
        """Trains it, from where an interrupted training ended; records it with the trial.

        Returns the trial with its new training; None if it was stopped.
        """
        trial, spec = self._trial, self._trial.whole_spec
        self._progress.say(
            f"training trial {trial.number} on all folds together by model.fit, "
            f"{spec.epochs} epochs"
        )
        try:
            for attempt in itertools.count(1):
                self._begin(executor, replace(spec, attempt=attempt))
                if self._result is not None:
                    return self._recorded(self._result)
                self._progress.say(f"trial {trial.number}: {self._lost}")
                if self._losses >= _ATTEMPTS:
                    break
        finally:
            self._progress.trial_gone(trial.number)
            self._journal.close()
        raise self._failed(f"{_ATTEMPTS} attempts, and in each {self._lost}")

    def on_epoch(self, epoch: EpochResult) -> Decision:
        """Records an epoch; stops if asked to."""
        self._journal.log_epoch(self._fit, epoch)
        self._progress.epoch_ended(epoch)
        ends = epoch.epoch >= self._trial.whole_spec.epochs
        return "stop" if self.stopping and not ends else "continue"

    def on_result(self, result: TrialResult) -> None:
        """Keeps the result."""
        self._result = result

    def on_lost(self, spec: TrialSpec, error: WorkerError) -> None:
        """Notes why its process ended."""
        self._lost = str(error)
        # A machine that is gone is not the trial's fault.
        self._losses += not error.machine_gone

    def _begin(self, executor: Executor, spec: TrialSpec) -> None:
        files, space = self._history.files, self._history.description.space
        self._lost = ""
        self._fit = self._journal.begin_fit(self._trial.uuid, spec)
        self._progress.trial_begins(spec)
        checkpoint = files.checkpoint(spec.number, spec.repeat)
        state = files.state(spec.number, spec.repeat)
        try:
            # A replacement of a worker that died may still be starting.
            while not executor.free:
                executor.wait(self)
            executor.submit(TrialTask(spec, space, checkpoint, state, trainer="plain"))
            while self._result is None and not self._lost:
                executor.wait(self)
        finally:
            if self._result is None:
                self._journal.end_training(self._fit, None)

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
