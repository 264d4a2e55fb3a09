"""Chooses a study's champion when its trials are done."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from search_spaces.errors import StudyError
from search_spaces.texts import listed
from studies.champion.reruns import unsound_checkpoints
from studies.champion.verification import Verifier
from studies.data import temporary_folder
from studies.executors.executor import Executor
from studies.progress import Progress
from tracking.history.champions import (
    champion_fault,
    record_verified,
    register_champion,
    withdraw_champion,
)
from tracking.history.study_history import StudyHistory
from tracking.history.trials import ranked
from tracking.records import EndedTrial
from tracking.records.checks import IDENTICAL, OFF, TRAINED_BY_ITSELF, is_whole

_SHOWN = 10
# Trials of folds that can't be trained on all of them: others would fail alike.
_MOST_FAILED = 3


def choose_champion(
    executor: Executor,
    engines: Sequence[StudyHistory],
    progress: Progress,
    verifier: Verifier,
) -> None:
    """Registers the study's best verified checkpoint, over all its engines.

    First plain `model.fit` trains the trial again and compares; if the result differs, the next
    best is tried. This training also restores a missing or damaged checkpoint.

    A champion that a person promoted stays, unless `model.fit` contradicts it.

    Raises VerificationStopped if it was stopped; then nothing is registered.
    """
    unsaved: list[EndedTrial] = []
    passed_over, again, failed = False, True, 0
    for history, found in _candidates(engines, progress):
        trial, checkpoint = found, None
        if trial.result.unsaved:
            unsaved.append(trial)
            passed_over = True
            continue
        registered = history.is_champion(trial)
        fault = champion_fault(history) if registered else ""
        if trial.holds:
            if registered and not fault:
                text = verifier.verify(history, trial)
            else:
                # Trials after the best ones have no checkpoint: don't train them all again.
                checkpoint, text = _verified(history, trial, verifier, progress, fault, again=again)
            trial, again = _noted(history, trial, text, progress), False
        if registered and not trial.holds:
            withdraw_champion(history)
        if registered and trial.holds and not fault:
            return
        if trial.holds and trial.result.folds and trial.whole is None:
            trial, checkpoint = _on_all_folds(verifier, history, trial, progress)
            failed += checkpoint is None
        if trial.holds and checkpoint is not None:
            if passed_over:
                progress.say(f"the champion is the next best, trial {trial.number}")
            # One that is registered again may have been promoted.
            reason = history.promoted if registered else ""
            try:
                register(executor, history, trial, checkpoint, reason, progress)
            except StudyError as error:
                # The trials are done and recorded, even if one can't be saved.
                progress.say(f"warning: {error}")
            break
        passed_over = True
        if failed == _MOST_FAILED:
            break
    _report_unsaved(unsaved, progress)


def _on_all_folds(
    verifier: Verifier,
    history: StudyHistory,
    trial: EndedTrial,
    progress: Progress,
) -> tuple[EndedTrial, Path | None]:
    """Trains a trial of folds on all of them; returns it, and its weights if that was possible."""
    try:
        trained = verifier.train_on_all_folds(history, trial)
    except StudyError as error:
        progress.say(f"warning: {error}")
        return trial, None
    return trained, history.files.checkpoint(trained.number, trained.checkpoint_of)


def _report_unsaved(unsaved: Sequence[EndedTrial], progress: Progress) -> None:
    """Reports that the best trials can't be the champion, as they have no checkpoint."""
    if unsaved:
        best = unsaved[0]
        if all(trial.result.of_no_epoch for trial in unsaved):
            progress.say(f"note: no model is registered: {best.result.unsaved}")
            return
        more = f", as {len(unsaved) - 1} more have none" if len(unsaved) > 1 else ""
        progress.say(
            f"warning: trial {best.number} is the best, but has no checkpoint to register{more}: "
            f"{best.result.unsaved}"
        )


def _noted(history: StudyHistory, trial: EndedTrial, text: str, progress: Progress) -> EndedTrial:
    """Records the outcome of comparing a trial with `model.fit`; returns the trial with it."""
    if text == trial.verified:
        return trial
    trial = record_verified(history, trial, text)
    if trial.holds:
        if text.startswith(IDENTICAL):
            progress.say(f"verified trial {trial.number}: {text}")
        elif text not in (OFF, *TRAINED_BY_ITSELF):
            progress.say(f"warning: trial {trial.number} is not verified: {text}")
        return trial
    progress.say(
        f"warning: trial {trial.number} differs from model.fit: {text.partition(': ')[2]}. "
        "It is skipped, and model.fit trains the study's trials from now on."
    )
    suspects = [
        str(each.number)
        for each in history.ended
        if each.result.trainer == "compiled"
        and each.uuid != trial.uuid
        and not is_whole(each.verified)
    ]
    if suspects:
        progress.say(
            "warning: the compiled trainer trained other trials of it too, whose values may be "
            f"wrong as well and are not verified: {listed(suspects, most=_SHOWN)}. "
            "`kerastudy reproduce` checks each."
        )
    return trial


def _candidates(
    engines: Sequence[StudyHistory], progress: Progress
) -> list[tuple[StudyHistory, EndedTrial]]:
    """Returns the trials that may become the champion, the first choice first."""
    found = list(_best_first(engines))
    reason, champion = engines[0].promoted, engines[0].registered
    if not reason or champion is None or champion.trial not in [t.uuid for _, t in found]:
        return found
    best = found[0][1]
    # Sorting is stable.
    found.sort(key=lambda each: each[1].uuid != champion.trial)
    if best is not found[0][1]:
        name = shlex.quote(engines[0].description.name)
        progress.say(
            f"trial {found[0][1].number} stays the champion ({reason}); the best is "
            f"trial {best.number}. Let launches choose again: "
            f"kerastudy promote {name}"
        )
    return found


def _best_first(engines: Sequence[StudyHistory]) -> Iterator[tuple[StudyHistory, EndedTrial]]:
    """Yields the trials with a value, of all engines of a study, best first."""
    by_uuid = {trial.uuid: history for history in engines for trial in history.trials}
    # Sorting is stable: the present engine wins ties.
    objective = engines[0].description.objective
    for trial in ranked([t for h in engines for t in h.trials], objective):
        yield by_uuid[trial.uuid], trial


def _verified(
    history: StudyHistory,
    trial: EndedTrial,
    verifier: Verifier,
    progress: Progress,
    fault: str,
    *,
    again: bool,
) -> tuple[Path | None, str]:
    """Returns a trial's weights, if they are sound, and the outcome of verifying them.

    ``again`` restores lost weights by training; ``fault`` is what is wrong with the champion.
    """
    if fault:
        progress.say(f"warning: the champion is registered again: {fault}")
    if trial.result.folds and trial.whole is None:
        # It is trained on all folds if model.fit does not contradict one of them.
        return None, verifier.verify(history, trial)
    repeat = trial.checkpoint_of
    faults = dict(unsound_checkpoints(history, trial))
    path = history.files.checkpoint(trial.number, repeat)
    if repeat not in faults:
        return path, verifier.verify(history, trial)
    if path.exists() or again:
        progress.say(
            f"warning: the checkpoint of trial {trial.number} can't be used, {faults[repeat]}"
        )
    if not again:
        return None, trial.verified
    progress.say(f"training trial {trial.number}, the best, again to restore its checkpoint")
    text = verifier.verify(history, trial, restore=True)
    if repeat in dict(unsound_checkpoints(history, trial)):
        progress.say(f"warning: trial {trial.number} did not get the same weights again")
        return None, text
    return path, text


def register(
    executor: Executor,
    history: StudyHistory,
    trial: EndedTrial,
    checkpoint: Path,
    reason: str,
    progress: Progress,
) -> str:
    """Registers a trial's weights as the champion; returns its address."""
    metric = history.description.objective.metric
    progress.wait(f"registering trial {trial.number} as the champion")
    with temporary_folder() as temporary:
        folder = Path(temporary) / "champion"
        spec, epoch = trial.best_training
        metrics = executor.save_champion(spec, checkpoint, history.description.space, folder)
        found = metrics.get(metric, epoch.value)
        if found != epoch.value:
            progress.say(
                f"warning: the champion's {metric} is {found!r} when it is evaluated, "
                f"and was {epoch.value!r} in training"
            )
        return register_champion(history, trial, folder, reason)
