"""Registers champions: the best trial at the end of a launch, or the trial that a user promotes."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from search_spaces.errors import StudyError, StudyNotFoundError
from search_spaces.texts import counted
from studies.champion.runnable_recorded_study import RunnableStudy, opened
from studies.champion.verification_and_retraining import AllFolds, Verifier, weights_of
from studies.data import temporary_folder
from studies.definition import StudyDefinition
from studies.executors import Executor
from studies.progress import Progress
from studies.training import loading_fault
from tracking.history import (
    PROMOTED,
    StudyHistory,
    champion_fault,
    register_champion,
    set_promotion,
    study_verdict,
    withdraw_champion,
    worth,
)
from tracking.mlflow import export_later
from tracking.records import EndedTrial, ranked
from tracking.shell_commands import reproduce_command, study_command

# If this many trials of a cross-validated study can't be trained on all folds together, no further
# trial is tried as champion.
_MOST_FAILED = 3


def choose_champion(history: StudyHistory, verifier: Verifier) -> None:
    """Registers the best trial of a study as the champion.

    Before a trial is registered, `verifier` compares it with a training by plain `model.fit`. If
    the results differ, the trial is skipped, and the next best trial is tried. A trial that a user
    promoted is tried before all others.

    Raises VerificationStopped if the user stopped a comparison. Then nothing is registered.
    """
    progress, unsaved = verifier.progress, list[EndedTrial]()
    first, failed = True, 0
    for place, candidate in enumerate(_candidates(history, progress)):
        trial, checkpoint = candidate, None
        if trial.result.unsaved:
            unsaved.append(trial)
            continue
        registered = history.is_champion(trial)
        fault = champion_fault(history) if registered else ""
        if trial.holds and registered and not fault:
            trial = verifier.verify(history, trial)
            if trial.holds:
                return
            first = False
        elif trial.holds:
            # Launches keep the checkpoints of only a few trials. If the first candidate has lost
            # its checkpoint, it is trained again. Later candidates without a checkpoint are
            # skipped.
            trial, checkpoint = _prepared(history, trial, verifier, fault, restore=first)
            first = False
        if registered and not trial.holds:
            withdraw_champion(history)
        if trial.holds and checkpoint is not None:
            if place:
                progress.say(f"the champion is the next best, trial {trial.number}")
            # A champion that is registered again keeps the reason of its promotion.
            reason = history.promoted if registered else ""
            try:
                _register(history, trial, checkpoint, verifier.executor, progress, reason)
            except StudyError as error:
                # The launch must not fail because the champion can't be registered: all trials of
                # the launch are recorded already.
                progress.say(f"warning: {error}")
            break
        failed += trial.holds and trial.result.folds > 0 and trial.whole is None
        if failed == _MOST_FAILED:
            break
    if unsaved:
        best, why = unsaved[0].number, unsaved[0].result.unsaved
        progress.say(f"note: trial {best}, the best, has no model to register: {why}")


def _prepared(
    history: StudyHistory, trial: EndedTrial, verifier: Verifier, fault: str, *, restore: bool
) -> tuple[EndedTrial, Path | None]:
    """Prepares a trial for its registration: compares it with `model.fit`, and finds its weights.

    If a cross-validated trial has no model yet, one is trained on all folds together. With
    `restore`, a lost checkpoint is restored by training the trial again. If the trial is already
    registered as the champion, `fault` says what is wrong with the registered files.

    Returns the trial with the outcome of the comparison, and the path of its weights. The path is
    None if there are no weights to register.
    """
    say = verifier.progress.say
    if fault:
        say(f"warning: the champion is registered again: {fault}")
    if trial.result.folds and trial.whole is None:
        trial = verifier.verify(history, trial)
        if trial.holds:
            try:
                trial = verifier.train_on_all_folds(history, trial)
            except StudyError as error:
                say(f"warning: {error}")
                return trial, None
        return trial, history.files.checkpoint(trial.number, trial.checkpoint_of)
    repeat, faults = trial.checkpoint_of, history.checkpoint_faults(trial)
    path = history.files.checkpoint(trial.number, repeat)
    if repeat not in faults:
        return verifier.verify(history, trial), path
    if path.exists() or restore:
        say(f"warning: the checkpoint of trial {trial.number} can't be used, {faults[repeat]}")
    if not restore:
        return trial, None
    say(f"training trial {trial.number}, the best, again to restore its checkpoint")
    trial = verifier.verify(history, trial, restore=True)
    if repeat in history.checkpoint_faults(trial):
        say(f"warning: trial {trial.number} did not get the same weights again")
        return trial, None
    return trial, path


def _candidates(history: StudyHistory, progress: Progress) -> list[EndedTrial]:
    """Returns the trials to try as champion: a promoted trial, then the others, best first."""
    best_first = ranked(history.trials, history.description.objective)
    promoted = history.champion if history.promoted else None
    candidates = sorted(best_first, key=lambda trial: trial is not promoted)
    if candidates and candidates[0] is not best_first[0]:
        progress.say(
            f"trial {candidates[0].number} stays the champion ({history.promoted}); the best is "
            f"trial {best_first[0].number}. To let launches choose again: "
            + study_command(history, "promote")
        )
    return candidates


def _register(
    history: StudyHistory,
    trial: EndedTrial,
    checkpoint: Path,
    executor: Executor,
    progress: Progress,
    reason: str,
) -> str:
    """Registers a trial's weights as the champion; returns ``models:/NAME@champion``."""
    metric = history.description.objective.metric
    progress.wait(f"registering trial {trial.number} as the champion")
    with temporary_folder() as temporary:
        folder = Path(temporary) / "champion"
        spec, epoch = trial.best_training
        metrics = executor.save_champion(spec, checkpoint, history.description.space, folder)
        value = metrics.get(metric, epoch.value)
        if value != epoch.value:
            progress.say(
                f"warning: the champion's {metric} is {value!r} when it is evaluated, "
                f"and was {epoch.value!r} in training"
            )
        fault = loading_fault(folder)
        if fault is not None:
            progress.say(f"warning: the champion can't be loaded, so it can't predict: {fault}.")
        return register_champion(history, trial, folder, reason)


@dataclass(frozen=True, repr=False)
class Promotion:
    """The outcome of a promotion.

    Attributes:
        study: The study's name.
        trial: The trial's number.
        epoch: The best epoch of the trial, or of its best repeat.
        value: The value at that epoch.
        metric: The objective's metric, such as ``val_accuracy``.
        champion: The champion's address, ``models:/NAME@champion``.
        reason: The reason that the user gave, or empty.
        notes: Sentences for the user. For example, one says that the trial has not been compared
            with `model.fit`.
    """

    study: str
    trial: int
    epoch: int
    value: float
    metric: str
    champion: str
    reason: str = ""
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Returns the promotion in one line."""
        return f"<Promotion of {self.study} trial {self.trial}: {self.champion}>"


def promote(
    study: str | StudyDefinition,
    trial: int | None = None,
    *,
    reason: str = "",
    store: str | Path | None = None,
    trust: bool = False,
    progress: bool = True,
) -> Promotion:
    """Registers the checkpoint of a trial as the study's champion.

    The store deletes the files of the former champion. The versions of earlier champions that
    MLflow has registered stay in MLflow. If ``trial`` or ``reason`` is given, later launches keep
    this champion. Otherwise they choose the champion again. If the trial's checkpoint is lost, the
    trial is trained again, and must get the same weights, bit for bit.

    Args:
        study: The study's name, or the study itself if it was made in a notebook.
        trial: The trial's number; None for the best trial.
        reason: Why the trial is promoted, in a sentence. It is recorded with the registered model.
        store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.
        trust: Whether to run the code in a store that this user did not make.
        progress: Whether to show progress on standard error.

    Raises:
        TrackingError: If the store has no such study or trial, or a process is running the study.
        StudyError: If the study can't be loaded, if its data has changed, or if `model.fit` did not
        get the trial's recorded results.
    """
    with opened(study, store, trust=trust, progress=progress) as recorded:
        return promote_trial(recorded, trial, reason=reason)


def promote_trial(
    study: RunnableStudy, number: int | None = None, *, reason: str = ""
) -> Promotion:
    """Promotes a trial, as `promote` describes."""
    history = study.history
    why = f"{PROMOTED}: {reason}" if reason else "" if number is None else PROMOTED
    if number is None:
        if history.best is None:
            raise StudyNotFoundError(
                f"The study {history.description.name!r} has no trial with a value to promote."
            )
        number = history.best.number
    trial = champion_or(history, number)
    if not trial.holds:
        raise StudyError(
            f"Trial {trial.number} can't be promoted: {trial.verified}",
            hint="So its recorded value is wrong. Promote another trial.",
        )
    description = history.description
    with history.store.lock_study(history.folder, description.name):
        if stays_champion(history, trial, why):
            champion = history.champion_address
        else:
            command = study_command(history, "promote", trial=number)
            with study.executor(trial, command) as worker:
                champion, trial = make_champion(study, trial, worker, why)
    export_later(history.folder)
    _, best = trial.best_training
    return Promotion(
        study=description.name,
        trial=trial.number,
        epoch=best.epoch,
        value=best.value,
        metric=description.objective.metric,
        champion=champion,
        reason=reason,
        notes=tuple(_notes(history, trial, why)),
    )


def stays_champion(history: StudyHistory, trial: EndedTrial, reason: str) -> bool:
    """Returns whether a trial is the champion already, and the champion's files are intact.

    If so, records the reason why it is the champion.
    """
    if not history.is_champion(trial) or champion_fault(history):
        return False
    set_promotion(history, reason)
    return True


def make_champion(
    study: RunnableStudy, trial: EndedTrial, executor: Executor, reason: str
) -> tuple[str, EndedTrial]:
    """Registers a trial as the champion; returns its MLflow address, and the updated trial.

    The caller must hold the study's lock (`lock_study`). A trial whose checkpoint is lost is
    trained again. If a cross-validated trial has no model yet, one is trained on all folds
    together.
    """
    history, progress = study.history, study.progress
    if trial.result.folds and trial.whole is None:
        trial = AllFolds(history, trial, progress).train(executor)
    with tempfile.TemporaryDirectory() as folder:
        weights, trial = weights_of(study, trial, executor, Path(folder))
        return _register(history, trial, weights, executor, progress, reason), trial


def _notes(history: StudyHistory, trial: EndedTrial, why: str) -> list[str]:
    notes = []
    sentences = worth(history, study_verdict(history), trial)
    notes += [sentences.rstrip(".")] if sentences else []
    again = study_command(history, "promote")
    note = f"launches keep this champion, until a confirm or this command: {again}"
    notes.append(note if why else "launches choose the champion again")
    if not trial.verified:
        command = reproduce_command(history, trial.number)
        notes.append(f"trial {trial.number} is not compared with model.fit yet: {command}")
    return notes


def trial_with_value(history: StudyHistory, number: int) -> EndedTrial:
    """Returns the trial with this number. Raises StudyNotFoundError if it has no value."""
    trial = history.trial(number)
    if not isinstance(trial, EndedTrial) or trial.best is None or trial.state == "interrupted":
        name = history.description.name
        raise StudyNotFoundError(f"Trial {number} of {name!r} is {trial.state} and has no value.")
    return trial


def champion_or(history: StudyHistory, number: int | None) -> EndedTrial:
    """Returns the trial with the number `number`, or the champion if `number` is None.

    Raises StudyNotFoundError if there is no champion, or if the trial has no value.
    """
    if number is not None:
        return trial_with_value(history, number)
    if history.champion is not None:
        return history.champion
    what = f"The study {history.description.name!r} has no champion"
    if history.best or not history.trials:
        raise StudyNotFoundError(
            what, hint="Launch it to its end, name a trial, or register one: kerastudy promote."
        )
    total = counted(len(history.trials), "trial")
    raise StudyNotFoundError(f"{what}, because none of its {total} has a value.")
