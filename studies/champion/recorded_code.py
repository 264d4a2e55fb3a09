"""Loads a study's recorded code, to train a recorded trial again or to use its model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from search_spaces.errors import KerastudyError, StudyError, StudyNotFoundError
from search_spaces.texts import counted
from studies.data import CrossValidation, read_spelled, spelled, temporary_folder
from studies.definition import StudyDefinition, check_engine
from studies.error_texts import describe
from studies.executors import InProcessExecutor, LoadStudy, LocalWorkers, Session, WorkerPool
from studies.progress import Progress
from studies.training import begin_trial, prepare_environment
from studies.user_code import (
    ShippedStudy,
    Target,
    describe_code,
    load_study,
    place_of,
    read_text,
    ship,
    what_is_loaded,
)
from tracking.history.study_history import (
    StudyHistory,
    existing_store,
    read_code,
    read_study,
)
from tracking.records import CodeDescription, EndedTrial, TrialRecord
from tracking.records.study_description import sha256
from tracking.shell_commands import reproduce_command
from tracking.store.store_json import check_trust

# A note ends with these words if the code that runs may not be the recorded code.
AS_IT_IS: Final = "it is run as it is"
AnyExecutor = InProcessExecutor | WorkerPool


def opened(
    study: str | StudyDefinition, store: str | Path | None, engine: str | None, trust: bool
) -> tuple[StudyHistory, StudyDefinition | None]:
    """Reads the record of a study that a user gives by name, or as a study object.

    Returns the record, and the study object (None for a name). Raises StudyError if another user
    made the store, unless `trust` is set or the study is an object.
    """
    name, definition = (study, None) if isinstance(study, str) else (study.name, study)
    named = None if engine is None else check_engine(engine)
    history = read_study(existing_store(store), name, named)
    check_trust(history.store.root, trust or definition is not None)
    return history, definition


def champion_or(history: StudyHistory, number: int | None) -> EndedTrial:
    """Returns the trial with the number `number`, or the champion if `number` is None.

    Raises StudyNotFoundError if the champion is not a trial of this engine, or if the trial has no
    value.
    """
    name = history.description.name
    if number is None:
        champion = history.champion
        if champion is None:
            what = f"The study {name!r} has no champion"
            what += f" of the engine {history.description.engine}" if history.registered else ""
            if history.best or not history.trials:
                raise StudyNotFoundError(
                    f"{what}. Launch it to its end, name a trial, or kerastudy promote one."
                )
            total = counted(len(history.trials), "trial")
            raise StudyNotFoundError(f"{what}: none of its {total} has a value.")
        return champion
    trial = history.trial(number)
    if not isinstance(trial, EndedTrial) or trial.best is None or trial.state == "interrupted":
        raise StudyNotFoundError(
            f"Trial {trial.number} of {name!r} is {trial.state} and has no best epoch."
        )
    return trial


@contextlib.contextmanager
def in_worker(what_failed: str) -> Iterator[None]:
    """Turns errors into a StudyError that says what failed. Restores Keras's global settings."""
    from studies.training import restore_settings

    try:
        yield
    except KerastudyError:
        raise
    except Exception as error:
        raise StudyError(f"{what_failed}: {describe(error)}.") from error
    finally:
        restore_settings()


@contextmanager
def recorded_executor(
    history: StudyHistory,
    trial: TrialRecord,
    *,
    study: StudyDefinition | None = None,
    data: str = "",
    progress: Progress,
    in_process: bool = False,
    workers: int | None = 1,
    trainings: int = 1,
    notes: list[str] | None = None,
) -> Iterator[AnyExecutor]:
    """Yields an executor that can train a trial again, or other trials with the same code.

    If the study file or the user's modules have changed, their recorded texts are run. Installed
    packages are used as they are now. When the context ends, the executor's processes end too.

    Args:
        history: The study's record.
        trial: The trial whose code is loaded.
        study: A study object to use instead of the recorded code.
        data: The new path of the data, if the data has moved; else empty.
        progress: Shows which parts of the code have changed.
        in_process: Whether to load the study in this process, instead of in worker processes.
        workers: The number of worker processes. None stands for a number that suits the machine,
            the study and `trainings`.
        trainings: How many trainings will run at most.
        notes: A list. Notes on which parts of the code have changed are added to it.
    """
    data = spelled(data, recorded=history.description.data.override)
    threads, folds = trial.spec.threads, _recorded_folds(history)
    with temporary_folder() as shared:
        code = _code(history, trial, study, progress, [] if notes is None else notes)
        if in_process:
            prepare_environment(threads)
            if isinstance(code, Target):
                begin_trial(0)
                study, code = load_study(code)
                study = study.with_overrides({"data": data}) if data else study
            assert study is not None, "its code is described"
            session = Session.open(study.with_overrides(folds), code, threads, data)
            yield InProcessExecutor(session)
            return
        otherwise = "Or confirm it with executor='in-process'."
        if workers == 1:
            otherwise = ""
            if history.description.code.path:
                command = reproduce_command(history, trial.number)
                otherwise = f"Or, if the study is at the top level of its file, run: {command}"
        if isinstance(code, Target):
            loaded: Target | ShippedStudy = code
        else:
            assert study is not None, "its code is described"
            loaded = ship(study, code, Path(shared), otherwise)
        local = LocalWorkers(
            LoadStudy(loaded, Path(shared), folds, data, threads),
            trials=trainings,
            workers=workers,
            on_output=progress.say,
            folder=history.description.code.folder,
            at_once=True,
        )
        try:
            local.load()
            if workers != 1:
                finished = local.pool.description.trials - trainings
                local.suit(threads=threads, finished=finished)
            yield local.pool
        finally:
            local.close()


def check_data(trial: EndedTrial, executor: AnyExecutor) -> None:
    """Raises StudyError if the data has changed since the trial ran."""
    now, then = executor.description.data.digest, trial.spec.data_digest
    if now != then:
        raise StudyError(
            f"The data has changed: its digest was {then[:16]}… and is {now[:16]}…, so nothing "
            "was run. If the data has moved, name its file with --data."
        )


def _recorded_folds(history: StudyHistory) -> dict[str, CrossValidation | None]:
    """Returns the recorded cross-validation as a setting, to override the study file's setting.

    The groups of a cross-validation with groups are not recorded. In this case the result is
    empty, and the study file's setting is used.
    """
    text = history.description.cross_validation
    how = read_spelled(text)
    return {} if text and how is None else {"cross_validation": how}


def _code(
    history: StudyHistory,
    trial: TrialRecord,
    study: StudyDefinition | None,
    progress: Progress,
    notes: list[str],
) -> Target | CodeDescription:
    """Returns the code to load: the recorded code, or that of the object `study`.

    Adds to `notes` which parts of the code have changed since the trial.
    """
    code: Target | CodeDescription
    if study is None:
        code = _recorded_target(history, trial, notes)
        loading = what_is_loaded(code)
    else:
        code = describe_code(study, study.name)
        changed = code.changes_since(read_code(history, trial.code_digest))
        if changed:
            notes.append(f"the study's code has changed since ({', '.join(changed)}); {AS_IT_IS}")
        loading = f"loading TensorFlow and the study {history.description.name}"
    for note in notes:
        progress.say(note)
    progress.wait(loading)
    return code


def _recorded_target(history: StudyHistory, trial: TrialRecord, notes: list[str]) -> Target:
    code = history.description.code
    recorded = read_code(history, trial.code_digest)
    source, path = recorded.source, Path(code.path)
    if not code.path:
        raise StudyError(
            f"The study {history.description.name!r} was not defined in a file (but in a notebook "
            "or an interactive session), so its record alone does not reproduce its trials. Call "
            f"study.reproduce({trial.number}) there, or put the study into a file and launch it "
            "from that."
        )
    if not path.is_file():
        notes.append(f"the study file {str(path)!r} is gone; its recorded text is run")
    elif not source:
        notes.append(f"the record has no text of {str(path)!r}; {AS_IT_IS}")
    elif path.read_text(encoding="utf-8", errors="replace") != source:
        notes.append(f"the study file {str(path)!r} has changed since; its recorded text is run")
    # The recorded texts of those modules that have changed, by the modules' files.
    texts = {}
    for module, digest in (recorded.modules or {}).items():
        text = read_text(place_of(path, module))
        if text is not None and sha256(text) == digest:
            continue
        changed = f"the imported {module!r} " + ("is gone" if text is None else "has changed since")
        if module in recorded.texts:
            texts[str(place_of(path, module))] = recorded.texts[module]
            notes.append(f"{changed}; its recorded text is run")
        else:
            notes.append(f"{changed}, and the record lacks its text; {AS_IT_IS}")
    return Target(str(path), code.variable, source or None, code.study_name, texts)
