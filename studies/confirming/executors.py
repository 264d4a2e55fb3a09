"""Executors that have loaded a study as its trials ran it: from the record, or from an object."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.errors import StudyError
from studies.again.recorded_worker import recorded_folds, recorded_target
from studies.data.arrays.large import temporary_folder
from studies.data.replacing import spelled
from studies.definition.study_definition import StudyDefinition
from studies.executors.pool import LocalWorkers, WorkerPool
from studies.executors.session import InProcessExecutor, Session
from studies.progress import Progress
from studies.training.process.determinism import begin_trial, prepare_environment
from studies.user_code.loading import describe_code, load_study
from studies.user_code.shipping import ShippedStudy, ship
from studies.user_code.targets import Target, what_is_loaded
from tracking.history.study_history import StudyHistory, read_code
from tracking.records import EndedTrial
from tracking.store.database import preload

if TYPE_CHECKING:
    from tracking.records import CodeDescription

AnyExecutor = InProcessExecutor | WorkerPool


@contextlib.contextmanager
def opened_executor(
    history: StudyHistory,
    trial: EndedTrial,
    *,
    study: StudyDefinition | None,
    data: str,
    in_process: bool,
    workers: int | None,
    trainings: int,
    progress: Progress,
) -> Iterator[AnyExecutor]:
    """Yields an executor that has loaded the study that a trial ran from.

    Args:
        history: The study.
        trial: The trial; others of the same code can be trained too.
        study: The study of this process, instead of the recorded code.
        data: The file with the data, if it has moved.
        in_process: Whether trainings run in this process.
        workers: How many worker processes; None: as many as suit machine and study.
        trainings: How many trainings there are to run.
        progress: Gets messages on what has changed.

    Raises:
        StudyError: If the study can't be loaded, or its data has changed.
    """
    data = spelled(data, recorded=history.description.data.override)
    threads = trial.spec.threads
    name, folds = history.description.name, recorded_folds(history)
    with temporary_folder() as folder:
        target, code = _code(history, trial, study, progress)
        shown = what_is_loaded(target) if target else f"loading TensorFlow and the study {name}"
        progress.wait(shown)
        if in_process:
            prepare_environment(threads)
            if target is not None:
                begin_trial(0)
                study, code = load_study(target)
                study = study.with_overrides({"data": data}) if data else study
            assert study is not None and code is not None, "one of the two was given"
            study = study.with_overrides(folds)
            executor: AnyExecutor = InProcessExecutor(Session.open(study, code, threads, data))
            _check_data(trial, executor)
            yield executor
            return
        sent: Target | ShippedStudy
        if target is not None:
            sent = target
        else:
            assert study is not None and code is not None, "one of the two was given"
            sent = ship(study.with_overrides(folds), code, Path(folder))
        local = LocalWorkers(
            sent,
            overrides=folds,
            data=data,
            trials=trainings,
            threads=threads,
            workers=workers,
            shared=Path(folder),
            on_output=progress.say,
            folder=history.description.code.folder,
        )
        try:
            # While the workers import TensorFlow.
            preload()
            local.load()
            _check_data(trial, local.pool)
            finished = local.pool.description.trials - trainings
            local.suit(threads=threads, finished=finished)
            yield local.pool
        finally:
            local.close()


def _code(
    history: StudyHistory, trial: EndedTrial, study: StudyDefinition | None, progress: Progress
) -> tuple[Target | None, CodeDescription | None]:
    """Returns the recorded code to load, or the code of the study of this process."""
    if study is None:
        target, notes = recorded_target(history, trial)
        for note in notes:
            progress.say(note)
        return target, None
    code = describe_code(study, study.name)
    changed = code.changes_since(read_code(history, trial.code_digest))
    if changed:
        progress.say(
            f"the study's code has changed since ({', '.join(changed)}); it is run as it is"
        )
    return None, code


def _check_data(trial: EndedTrial, executor: AnyExecutor) -> None:
    now, then = executor.description.data.digest, trial.spec.data_digest
    if now != then:
        raise StudyError(
            f"The data has changed: its digest was {then[:16]}… and is {now[:16]}…, so nothing "
            "was run. If the data has moved, name its file with --data."
        )
