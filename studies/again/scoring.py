"""The scores of a recorded trial's validation samples, where they are missing."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from search_spaces.errors import StudyError, StudyNotFoundError
from studies.again.part_scores import PartScores, scores_in_worker
from studies.again.recorded_worker import recorded_worker
from studies.again.reruns import RecordedTraining, Rerun, validated_trainings
from studies.definition.study_definition import StudyDefinition
from studies.executors.worker import WorkerExecutor
from studies.progress import NoProgress, Progress
from tracking.history.curves import epoch_metrics
from tracking.history.study_history import StudyHistory
from tracking.history.trial_scores import scores_of
from tracking.records import BestEpoch, EndedTrial, TrialTask
from tracking.scores.sample_scores import SampleScores
from tracking.scores.score_files import ScoresError, read_scores, write_scores
from tracking.store.checkpoints import CheckpointError, check_checkpoint


def score_trial(
    history: StudyHistory,
    number: int,
    *,
    study: StudyDefinition | None = None,
    data: str = "",
    progress: Progress | None = None,
) -> list[SampleScores]:
    """Returns the scores of a recorded trial; makes and keeps them if it has none.

    They are made from its checkpoint, in a new process; without one, it is trained again, which
    gives the same bits.

    Args:
        history: The study.
        number: The trial.
        study: The study of this process, instead of the recorded code.
        data: The file with the data, if it has moved.
        progress: Gets each epoch of a training, and messages.

    Returns:
        See `tracking.history.trial_scores`.

    Raises:
        StudyNotFoundError: If there is no such trial, or it has no value.
        StudyError: If the study can't be loaded, its data has changed, its samples can't be scored,
            or a training does not give the same weights again.
    """
    progress = progress or NoProgress()
    trial = history.trial(number)
    if not isinstance(trial, EndedTrial) or trial.best is None or trial.state == "interrupted":
        raise StudyNotFoundError(
            f"Trial {number} of {history.description.name!r} is {trial.state} and has no value."
        )
    try:
        return scores_of(history, trial)
    except ScoresError:
        pass
    with (
        recorded_worker(history, trial, study=study, data=data, progress=progress) as (worker, _),
        tempfile.TemporaryDirectory() as folder,
    ):
        now = worker.description.data.digest
        if now != trial.spec.data_digest:
            raise StudyError(
                f"The data of trial {number} has changed: its digest was "
                f"{trial.spec.data_digest[:16]}… and is {now[:16]}…, so it can't be scored."
            )
        for training, best in zip(validated_trainings(trial), _bests(trial), strict=True):
            if training.spec.fold is not None:
                _score_fold(history, trial, training, worker, progress)
                continue
            weights = _weights(history, trial, training, worker, Path(folder), progress)
            scored: PartScores = worker.ask(
                scores_in_worker,
                training.spec,
                weights,
                history.description.space,
                "validation",
                best,
            )
            path = history.files.scores(number, training.spec.repeat)
            try:
                write_scores(path, [scored.scores], weights_sha256=training.weights_sha256)
            except OSError as error:
                raise StudyError(
                    f"The scores {str(path)!r} cannot be written: {error.strerror or error}."
                ) from None
    return scores_of(history, trial)


def _score_fold(
    history: StudyHistory,
    trial: EndedTrial,
    training: RecordedTraining,
    worker: WorkerExecutor,
    progress: Progress,
) -> None:
    """Makes the scores of a fold again, if they are missing: it has no checkpoint."""
    spec = training.spec
    path = history.files.scores(spec.number, spec.repeat)
    with suppress(ScoresError):
        read_scores(path, weights_sha256=training.weights_sha256)
        return
    progress.say(
        f"fold {spec.repeat + 1} of trial {spec.number} has no scores: training it again, "
        f"{training.epochs} epochs"
    )
    progress.trial_begins(spec)
    recorded = epoch_metrics(history.store, training.run_id)
    rerun = Rerun(training, trial.cut_short, recorded, progress.epoch_ended)
    with tempfile.TemporaryDirectory() as folder:
        unused = Path(folder) / "fold.weights.h5"
        space = history.description.space
        worker.submit(TrialTask(spec, space, unused, scores=path, scores_of="every"))
        while not rerun.ended:
            worker.wait(rerun)
    progress.trial_gone(spec.number)
    if not rerun.same_weights or not path.is_file():
        path.unlink(missing_ok=True)
        why = "it did not get the same weights again"
        if rerun.same_weights and rerun.result is not None:
            why = rerun.result.unscored
        raise StudyError(f"Fold {spec.repeat + 1} of trial {spec.number} can't be scored: {why}.")


def _bests(trial: EndedTrial) -> list[BestEpoch]:
    """Returns the best epochs of a trial's trainings."""
    if trial.result.repeats:
        return [repeat.best for repeat in trial.result.repeats]
    assert trial.best is not None, "it has a value"
    return [trial.best]


def _weights(
    history: StudyHistory,
    trial: EndedTrial,
    training: RecordedTraining,
    worker: WorkerExecutor,
    folder: Path,
    progress: Progress,
) -> Path:
    """Returns the file of a training's best weights: the checkpoint, or one of another training."""
    spec = training.spec
    path = history.files.checkpoint(spec.number, spec.repeat)
    try:
        check_checkpoint(path, training.checkpoint_sha256)
        return path
    except CheckpointError:
        pass
    progress.say(
        f"trial {spec.number} has neither scores nor a checkpoint: training it again, "
        f"{training.epochs} epochs"
    )
    progress.trial_begins(spec)
    recorded = epoch_metrics(history.store, training.run_id)
    rerun = Rerun(training, trial.cut_short, recorded, progress.epoch_ended)
    written = folder / f"again-{spec.repeat}.weights.h5"
    worker.submit(TrialTask(spec, history.description.space, written))
    while not rerun.ended:
        worker.wait(rerun)
    progress.trial_gone(spec.number)
    if not rerun.same_weights or not written.is_file():
        raise StudyError(
            f"Trial {spec.number} did not get the same weights again, so it can't be scored. "
            "`kerastudy reproduce` shows what differs."
        )
    return written
