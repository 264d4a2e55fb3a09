"""Another choice of the champion; and its configuration trained on all data but the test part."""

from __future__ import annotations

import shlex
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces import Hyperparameters, SearchSpace
from search_spaces.errors import StudyError, StudyNotFoundError
from search_spaces.texts import counted
from studies.champion.all_folds import AllFolds
from studies.champion.checkpoints import champion_or, in_worker, opened, weights_of
from studies.champion.choosing import register
from studies.champion.recorded import check_data, recorded_worker
from studies.definition.study_definition import StudyDefinition
from studies.executors.executor import Executor
from studies.progress import NoProgress, Progress, showing
from tracking.history.champions import champion_fault, register_refit, set_promotion
from tracking.history.commands import shell_commands
from tracking.history.study_history import PROMOTED, StudyHistory
from tracking.history.verdicts import study_verdict, worth
from tracking.mlflow.process import export_later
from tracking.records import EndedTrial, TrialSpec
from tracking.store.folder import default_store_path

if TYPE_CHECKING:
    from studies.executors.session import Session
    from studies.training import Refitted


@dataclass(frozen=True, repr=False)
class Promotion:
    """What was registered.

    Attributes:
        study: The study's name.
        engine: The trial's engine.
        trial: The trial's number.
        epoch: Its best epoch.
        value: Its value there.
        metric: The metric of the value.
        champion: The address of the champion, ``models:/NAME@champion``; empty if only a refit was
            registered.
        reason: Why it was promoted, or empty.
        refit: The address of the model that was trained on validation data too, or empty. It has
            no validation value.
        how: How that was trained, or None.
        notes: What a person should know.
    """

    study: str
    engine: str
    trial: int
    epoch: int
    value: float
    metric: str
    champion: str = ""
    reason: str = ""
    refit: str = ""
    how: Refitted | None = None
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Returns it in one line."""
        named = " and ".join(address for address in (self.champion, self.refit) if address)
        return f"<Promotion of {self.study} trial {self.trial}: {named}>"


def promote(
    study: str | StudyDefinition,
    trial: int | None = None,
    *,
    reason: str = "",
    refit: bool = False,
    store: str | Path | None = None,
    engine: str | None = None,
    trust: bool = False,
    progress: bool = True,
) -> Promotion:
    """Registers the checkpoint of a trial as the study's champion.

    Earlier versions of the registered model stay. Launches keep a trial that was named, or with a
    reason; without both, they choose the champion again. A trial whose checkpoint is gone is
    trained again, with the same bits.

    Args:
        study: The study's name; or the study itself, for one of a notebook.
        trial: The number of a trial; None for the best, or with ``refit`` for the champion, which
            then stays as it is.
        reason: Why, in a sentence; kept on the registered version.
        refit: Whether to train its configuration on training and validation data together, for the
            best epoch's number of epochs, and register that model as ``refit``, next to the
            champion. It has no validation value.
        store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.
        engine: The engine that proposed the trial, if the study was launched with several.
        trust: Whether to run the code in a store that this user did not make.
        progress: Whether to show progress on standard error.

    Raises:
        TrackingError: If the store has no such study or trial, or a process is running the study.
        StudyError: If the study can't be loaded, its data has changed, or `model.fit` contradicts
            the trial.
    """
    history, definition, named = opened(study, store, engine, trust)
    with showing(progress) as shown:
        return promote_trial(
            history,
            trial,
            reason=reason,
            refit=refit,
            engine=named,
            study=definition,
            progress=shown,
        )


def promote_trial(
    history: StudyHistory,
    number: int | None = None,
    *,
    reason: str = "",
    refit: bool = False,
    engine: str | None = None,
    study: StudyDefinition | None = None,
    data: str = "",
    progress: Progress | None = None,
) -> Promotion:
    """Registers a checkpoint as the champion, a refit, or both.

    `study` is the study of this process, instead of the recorded code; `data` the file with the
    data, if it has moved.
    """
    progress = progress or NoProgress()
    chooses = number is not None or not refit
    if reason and not chooses:
        raise StudyError(
            "A refit of the champion chooses no trial, so it takes no reason. Leave --reason out, "
            "or name the trial to promote."
        )
    why = f"{PROMOTED}: {reason}" if reason else "" if number is None else PROMOTED
    if number is None and chooses:
        if history.best is None:
            raise StudyNotFoundError(
                f"The study {history.description.name!r} has no trial with a value to promote."
            )
        number = history.best.number
    history, trial = champion_or(history, number, engine)
    if not trial.holds:
        raise StudyError(
            f"Trial {trial.number} can't be promoted: {trial.verified}. Its value is not that of "
            "its hyperparameters."
        )
    description = history.description
    if refit and trial.result.folds:
        raise StudyError(
            f"The champion of the cross-validated study {description.name!r} is trained on all "
            "data but the test part already. Leave --refit out."
        )
    champion = address = ""
    how: Refitted | None = None
    with history.store.lock_study(history.folder, description.name):
        if chooses and stays_champion(history, trial, why):
            champion = history.model_uri(trial) or ""
        if refit or not champion:
            with (
                recorded_worker(history, trial, study=study, data=data, progress=progress) as (
                    worker,
                    _,
                ),
                tempfile.TemporaryDirectory() as temporary,
            ):
                check_data(trial, worker)
                folder = Path(temporary)
                if chooses and not champion:
                    champion, trial = make_champion(history, trial, worker, folder, progress, why)
                if refit:
                    spec, best = trial.best_training
                    epochs = counted(best.epoch, "epoch")
                    progress.wait(f"training on all but the test part, {epochs}")
                    saved = folder / "refit"
                    how = worker.ask(_refit_in_worker, spec, best.epoch, description.space, saved)
                    assert how is not None, "it is trained"
                    address = register_refit(history, trial, saved, best.epoch, how.samples)
    export_later(history.folder)
    _, best = trial.best_training
    return Promotion(
        study=description.name,
        engine=description.engine,
        trial=trial.number,
        epoch=best.epoch,
        value=best.value,
        metric=description.objective.metric,
        champion=champion,
        reason=reason,
        refit=address,
        how=how,
        notes=tuple(_notes(history, trial, champion, why, how)),
    )


def stays_champion(history: StudyHistory, trial: EndedTrial, reason: str) -> bool:
    """Returns whether a trial is the champion already, and sound; then notes why it stays so."""
    if not history.is_champion(trial) or champion_fault(history):
        return False
    set_promotion(history, reason)
    return True


def make_champion(
    history: StudyHistory,
    trial: EndedTrial,
    executor: Executor,
    folder: Path,
    progress: Progress,
    reason: str,
) -> tuple[str, EndedTrial]:
    """Registers a trial's checkpoint as the champion. Call it only while holding the study.

    Returns the champion's address, and the trial as it is recorded now.
    """
    if trial.result.folds and trial.whole is None:
        trial = _on_all_folds(history, trial, executor, progress)
    weights, trial = weights_of(history, trial, executor, folder, progress)
    champion = register(executor, history, trial, weights, reason, progress)
    return champion, trial


def _on_all_folds(
    history: StudyHistory, trial: EndedTrial, executor: Executor, progress: Progress
) -> EndedTrial:
    """Trains a trial of folds on all of them, and records that."""
    trained = AllFolds(history, trial, progress).train(executor)
    assert trained is not None, "nothing stops it"
    return trained


def _notes(
    history: StudyHistory, trial: EndedTrial, champion: str, why: str, how: Refitted | None
) -> list[str]:
    notes = []
    _, best = trial.best_training
    if trial.best is not None and trial.result.repeats and not trial.result.folds:
        notes.append(
            f"{best.value:.6g} is the value of its best repeat, whose checkpoint this is; the "
            f"trial's own is the mean of {len(trial.result.repeats)}, {trial.best.value:.6g}"
        )
    if champion:
        said = worth(history, study_verdict(history), trial)
        notes += [said.rstrip(".")] if said else []
        again = f"kerastudy promote {shlex.quote(history.description.name)}"
        kept = f"launches keep it until a confirm, or {again}"
        notes.append(kept if why else "launches choose the champion again")
    if champion and not trial.verified:
        *_, command = shell_commands(history, trial, without=default_store_path().absolute())
        notes.append(f"trial {trial.number} is not compared with model.fit yet: {command}")
    if how is not None:
        notes.append("the refit has no validation value: it was trained on that data")
        if how.left_out:
            watching = ", ".join(how.left_out)
            notes.append(f"it was trained without {watching}, which watch validation data")
    return notes


def _refit_in_worker(
    session: Session, spec: TrialSpec, epochs: int, space: SearchSpace, folder: Path
) -> Refitted:
    """Trains a trial's configuration on more data, and saves the model, where it is loaded."""
    from studies.training import MadeData, refit, save_for_mlflow

    what = f"Trial {spec.number} can't be trained again on training and validation data together"
    with in_worker(what):
        hp = Hyperparameters(space, spec.values, number=spec.built_as)
        splits = session.splits_of(hp)
        if isinstance(session.data, MadeData):
            spec = replace(spec, class_weight=session.data.of(hp).class_weight)
        model, joined, how = refit(session.study, splits, spec, hp, epochs)
        save_for_mlflow(model, joined, folder)
        return how
