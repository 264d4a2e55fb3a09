"""Choosing a study's champion, once its trials are done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from studies.data.large import temporary_folder
from studies.errors import StudyError, WorkerError
from studies.executors.executor import Executor
from studies.progress import Progress
from studies.reruns import Rerun, put_back, trainings_of, unsound_checkpoints
from tracking.history import StudyHistory, checkpoint_path, read_study
from tracking.records import StudyDescription, TrialRecord, TrialTask
from tracking.registry import champion_fault, register_champion
from tracking.selection import ranked
from tracking.store import Store

# To train the best trial again, if the process ends over it.
_ATTEMPTS = 3


def choose_champion(
    executor: Executor, store: Store, description: StudyDescription, progress: Progress
) -> None:
    """Registers the study's best checkpoint, over all its engines, if it is not yet.

    One that is missing, or does not have the content that was written, is made again by training
    the trial again; if it does not come to the same, the next best is taken.
    """
    passed_over: list[TrialRecord] = []
    for position, (history, trial) in enumerate(_best_first(store, description)):
        if trial.result is not None and trial.result.unsaved:
            passed_over.append(trial)
            continue
        if trial.run_id == history.champion_run_id:
            fault = champion_fault(store, description.name)
            if not fault:
                return
            progress.say(f"warning: the registered champion is registered anew: {fault}")
        # Trials after the best ones have no checkpoint: to train them all again is no way out.
        first = position == len(passed_over)
        checkpoint = _sound_checkpoint(executor, history, trial, progress, again=first)
        if checkpoint is None:
            continue
        if position:
            progress.say(f"the champion is the next best, trial {trial.number}")
        _register(executor, history, trial, checkpoint, progress)
        break
    _tell_of(passed_over, progress)


def _tell_of(passed_over: Sequence[TrialRecord], progress: Progress) -> None:
    """Says of the best trials that they can't be the champion, as there is no checkpoint."""
    if passed_over:
        best = passed_over[0]
        assert best.result is not None, "it has a value"
        more = f", as {len(passed_over) - 1} more have none" if len(passed_over) > 1 else ""
        progress.say(
            f"warning: trial {best.number} is the best, but has no checkpoint to register{more}: "
            f"{best.result.unsaved}"
        )


def _best_first(
    store: Store, description: StudyDescription
) -> Iterator[tuple[StudyHistory, TrialRecord]]:
    """Yields the trials of all engines of a study that have a value, best first."""
    last = read_study(store, description.name, description.engine)
    others = [e for e in last.engines if e != description.engine]
    histories = [last, *(read_study(store, description.name, engine) for engine in others)]
    by_run = {trial.run_id: history for history in histories for trial in history.trials}
    # Sorting is stable: of what is equal, the present engine's comes first.
    for trial in ranked([t for h in histories for t in h.trials], description.objective):
        yield by_run[trial.run_id], trial


def _sound_checkpoint(
    executor: Executor,
    history: StudyHistory,
    trial: TrialRecord,
    progress: Progress,
    *,
    again: bool,
) -> Path | None:
    """Returns a trial's weights if they are what was written, made again if need be, or None."""
    assert trial.result is not None, "it has a value"
    repeat = trial.result.best_repeat
    faults = dict(unsound_checkpoints(history, trial))
    path = checkpoint_path(history.store, history.description, trial.number, repeat)
    if repeat not in faults:
        return path
    if path.exists() or again:
        progress.say(
            f"warning: the checkpoint of trial {trial.number} is of no use, {faults[repeat]}"
        )
    if not again:
        return None
    progress.say(f"training trial {trial.number}, the best, again to have its checkpoint")
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            restored = _trained_again(executor, history, trial, progress)
            break
        except StudyError as error:
            progress.say(f"warning: {error}")
            # What ends its process again and again would do so once more.
            if attempt == _ATTEMPTS or not isinstance(error, WorkerError):
                return None
    if restored is None:
        progress.say(f"warning: trial {trial.number} did not come to the weights that it had")
    return restored


def _trained_again(
    executor: Executor, history: StudyHistory, trial: TrialRecord, progress: Progress
) -> Path | None:
    """Trains a trial's best training again; returns its weights, or None if they are others."""
    assert trial.result is not None, "it has a value"
    training = trainings_of(trial)[trial.result.best_repeat]
    rerun = Rerun(training, trial.cut_short, progress.epoch_ended)
    with temporary_folder() as folder:
        written = Path(folder) / "again.weights.h5"
        task = TrialTask(training.spec, history.description.space, written)
        progress.trial_begins(task.spec)
        # The last worker may have died over the last trial, and be replaced still.
        while not executor.free:
            executor.wait(rerun)
        executor.submit(task)
        while not rerun.ended:
            executor.wait(rerun)
        return put_back(history, rerun, written)


def _register(
    executor: Executor,
    history: StudyHistory,
    trial: TrialRecord,
    checkpoint: Path,
    progress: Progress,
) -> None:
    metric = history.description.objective.metric
    with temporary_folder() as temporary:
        folder = Path(temporary) / "champion"
        try:
            spec, epoch = trial.best_training
            metrics = executor.save_champion(spec, checkpoint, history.description.space, folder)
        except StudyError as error:
            # The trials are done and recorded; that one can't be saved takes nothing from them.
            progress.say(f"warning: {error}")
            return
        found = metrics.get(metric, epoch.value)
        if found != epoch.value:
            progress.say(
                f"warning: the champion's {metric} is {found!r} when it is evaluated, "
                f"and was {epoch.value!r} in training"
            )
        register_champion(history, trial, folder)
