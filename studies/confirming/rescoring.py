"""Trains trials without scores of samples again, which gives the same bits, and scores them."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from search_spaces.errors import WorkerError
from studies.again.part_scores import PartScores, scores_in_worker
from studies.again.reruns import Rerun, validated_trainings
from studies.confirming.executors import AnyExecutor
from studies.confirming.plan import trainer_of
from studies.progress import Progress
from tracking.history.curves import epoch_metrics
from tracking.history.study_history import StudyHistory
from tracking.history.trial_scores import scores_of
from tracking.records import Decision, EndedTrial, EpochResult, TrialResult, TrialSpec, TrialTask
from tracking.scores.score_files import ScoresError, read_scores, write_scores

_SECONDS_TO_NOTICE = 0.5


def trials_without_scores(history: StudyHistory, like: EndedTrial) -> list[EndedTrial]:
    """Returns the trials with a value that have no scores, and ran from the same code."""
    found = []
    for trial in history.top(len(history.trials)):
        try:
            scores_of(history, trial)
        except ScoresError:
            found.append(trial)
    return [trial for trial in found if trial.code_digest == like.code_digest]


def rescore_trials(
    history: StudyHistory,
    trials: Sequence[EndedTrial],
    executor: AnyExecutor,
    progress: Progress,
) -> None:
    """Trains trials again, and keeps the scores of those that get the same weights.

    Args:
        history: The study.
        trials: Those without scores.
        executor: It has loaded the study that they ran from.
        progress: Shows the trainings.

    Raises:
        StudyError: If their samples can't be scored.
    """
    with tempfile.TemporaryDirectory() as folder:
        _Rescoring(history, executor, Path(folder), progress).run(trials)


class _Rescoring:
    """Runs trainings again, as the executor has places. A `Handler` of the executor's."""

    def __init__(
        self, history: StudyHistory, executor: AnyExecutor, folder: Path, progress: Progress
    ) -> None:
        self._history, self._executor = history, executor
        self._folder, self._progress = folder, progress
        self._trainer = trainer_of(history)
        self._reruns: dict[tuple[int, int], Rerun] = {}

    def run(self, trials: Sequence[EndedTrial]) -> None:
        """Trains trials, and checks their scores."""
        waiting: deque[Rerun] = deque()
        for trial in trials:
            for training in validated_trainings(trial):
                recorded = epoch_metrics(self._history.store, training.run_id)
                rerun = Rerun(training, trial.cut_short, recorded, lambda epoch, differs: None)
                self._reruns[training.spec.number, training.spec.repeat] = rerun
                waiting.append(rerun)
        self._progress.begin_trainings(
            f"training {len(waiting)} trials again for the scores of their validation samples",
            self._history.description.objective,
            0,
            len(waiting),
        )
        reruns = list(waiting)
        while not all(rerun.ended for rerun in reruns):
            while waiting and self._executor.free:
                self._begin(waiting.popleft().training.spec)
            self._executor.wait(self, _SECONDS_TO_NOTICE)
        for rerun in reruns:
            self._conclude(rerun)

    def on_epoch(self, epoch: EpochResult) -> Decision:
        """See `Handler.on_epoch`."""
        self._progress.epoch_ended(epoch)
        return self._reruns[epoch.number, epoch.repeat].on_epoch(epoch)

    def on_result(self, result: TrialResult) -> None:
        """See `Handler.on_result`."""
        self._reruns[result.number, result.repeat].on_result(result)
        self._progress.trial_ended(result, None)

    def on_lost(self, spec: TrialSpec, error: WorkerError) -> None:
        """See `Handler.on_lost`. It has no scores then."""
        reason = str(error)
        self.on_result(TrialResult(spec.number, "infeasible", reason=reason, repeat=spec.repeat))

    def _weights(self, spec: TrialSpec) -> Path:
        return self._folder / f"again-{spec.number}-{spec.repeat}.weights.h5"

    def _begin(self, spec: TrialSpec) -> None:
        self._progress.trial_begins(spec)
        self._executor.submit(
            TrialTask(
                spec,
                self._history.description.space,
                self._weights(spec),
                trainer=self._trainer,
                scores=self._history.files.scores(spec.number, spec.repeat),
                scores_of="best" if spec.fold is None else "every",
            )
        )

    def _conclude(self, rerun: Rerun) -> None:
        """Checks that there are scores; makes them if the training had no time for them."""
        training, spec = rerun.training, rerun.training.spec
        path, digest = self._history.files.scores(spec.number, spec.repeat), training.weights_sha256
        result = rerun.result
        if not rerun.same_weights or result is None or result.best is None:
            path.unlink(missing_ok=True)
            self._progress.say(f"warning: trial {spec.number} did not get the same weights again")
            return
        try:
            read_scores(path, weights_sha256=digest)
        except ScoresError as error:
            if spec.fold is not None:
                # There are no weights of folds.
                why = result.unscored or error
                self._progress.say(f"warning: trial {spec.number} can't be scored: {why}")
                return
            scored: PartScores = self._executor.ask(
                scores_in_worker,
                spec,
                self._weights(spec),
                self._history.description.space,
                "validation",
                result.best,
            )
            write_scores(path, [scored.scores], weights_sha256=digest)
