"""The trial that is meant, and its weights, trained again if they are gone."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path

from search_spaces.errors import KerastudyError, StudyError, StudyNotFoundError
from studies.champion.reruns import Rerun, trainings_of, unsound_checkpoints
from studies.definition import StudyDefinition, check_engine
from studies.error_texts import describe
from studies.executors.executor import Executor
from studies.progress import Progress
from studies.results.models import existing_store
from tracking.history.champions import record_verified
from tracking.history.curves import fit_metrics
from tracking.history.study_history import StudyHistory, read_study
from tracking.records import EndedTrial
from tracking.records.checks import IDENTICAL, is_whole
from tracking.store.trust import check_trust
from tracking.texts import counted


def opened(
    study: str | StudyDefinition, store: str | Path | None, engine: str | None, trust: bool
) -> tuple[StudyHistory, StudyDefinition | None, str | None]:
    """Reads the study that a user names, by its name or as an object of this process.

    Returns its record; the study of this process, or None; and the engine. Refuses to run the code
    in a store that the user does not trust.
    """
    name, definition = (study, None) if isinstance(study, str) else (study.name, study)
    named = None if engine is None else check_engine(engine)
    history = read_study(existing_store(store), name, named)
    check_trust(history.store.root, trust or definition is not None)
    return history, definition, named


def champion_or(
    history: StudyHistory, number: int | None, engine: str | None = None
) -> tuple[StudyHistory, EndedTrial]:
    """Returns a trial with a value, or the champion, and the study under its engine.

    `engine` is the one that the user named, if any.
    """
    name = history.description.name
    if number is None:
        if engine is None and history.champion_engine not in ("", history.description.engine):
            history = read_study(history.store, name, history.champion_engine)
        champions = [each for each in history.trials if history.is_champion(each)]
        if not champions:
            raise StudyNotFoundError(
                f"The study {name!r} has no champion"
                + (f" of the engine {engine}" if engine else "")
                + (
                    ". Launch it to its end, name a trial, or kerastudy promote one."
                    if history.best or not history.trials
                    else f": none of its {counted(len(history.trials), 'trial')} has a value."
                )
            )
        trial = champions[0]
    else:
        trial = history.trial(number)
    if not isinstance(trial, EndedTrial) or trial.best is None or trial.state == "interrupted":
        raise StudyNotFoundError(
            f"Trial {trial.number} of {name!r} is {trial.state} and has no best epoch."
        )
    return history, trial


def weights_of(
    history: StudyHistory,
    trial: EndedTrial,
    executor: Executor,
    folder: Path,
    progress: Progress,
) -> tuple[Path, EndedTrial]:
    """Returns the file of a trial's best weights; trains it again if that is gone.

    As `model.fit` trains it, the record then says that this verified the trial. Returns the trial
    as it is recorded now, too.
    """
    repeat = trial.checkpoint_of
    if trial.result.unsaved:
        advice = ""
        if trial.result.of_no_epoch and history.description.objective_function:
            name = shlex.quote(history.description.name)
            advice = f" Build one by its values: kerastudy show {name} --trial {trial.number}"
        raise StudyError(f"Trial {trial.number} has no checkpoint: {trial.result.unsaved}.{advice}")
    if trial.result.folds and trial.whole is None:
        raise StudyError(
            f"Trial {trial.number} was trained on folds alone, so it has no model. This trains it "
            "on all of them, as the champion: kerastudy promote "
            f"{shlex.quote(history.description.name)} --trial {trial.number}"
        )
    if repeat not in dict(unsound_checkpoints(history, trial)):
        return history.files.checkpoint(trial.number, repeat), trial
    training = trainings_of(trial)[repeat]
    progress.say(
        f"the checkpoint of trial {trial.number} is not kept: training it again by model.fit, "
        f"{counted(training.epochs, 'epoch')}"
    )
    recorded = fit_metrics(history.folder, training.uuid)
    rerun = Rerun(training, trial.cut_short, recorded, progress)
    written = folder / "again.weights.h5"
    result = rerun.run(executor, history.description.space, written)
    if result is None or not rerun.same_weights:
        raise StudyError(
            f"Trial {trial.number} did not get the same weights again, so it can't be used. "
            f"`kerastudy reproduce` shows what differs."
        )
    if result.trainer == "plain" and not rerun.difference and not is_whole(trial.verified):
        trial = record_verified(history, trial, IDENTICAL)
    return written, trial


@contextlib.contextmanager
def in_worker(what_failed: str) -> Iterator[None]:
    """Lets a function run where a study is loaded, and sets Keras's global settings back."""
    from studies.training.process import global_settings

    try:
        yield
    except KerastudyError:
        raise
    except Exception as error:
        raise StudyError(f"{what_failed}: {describe(error)}.") from error
    finally:
        global_settings.restore()
