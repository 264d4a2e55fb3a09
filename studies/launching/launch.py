"""Launches or resumes a study, which comes from a study file or is a `Study` object."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from search_spaces.errors import FailedAlikeError
from studies.champion import VerificationStopped, Verifier, choose_champion
from studies.data import temporary_folder
from studies.definition import LaunchOptions, RayOptions, StudyDefinition
from studies.engines import Curve, Engine, EngineSettings, make_engine
from studies.executors import (
    Executor,
    InProcessExecutor,
    LaunchWorkers,
    LoadStudy,
    LocalWorkers,
    Session,
    Worker,
    WorkerPool,
    check_ray_installed,
)
from studies.interruption import catching_interrupts, raising_interrupts
from studies.launching.driver_and_running_trials import Driver
from studies.launching.launch_checks_lock_and_journal import (
    LockedStudy,
    check_definition,
    check_store,
    exporter_of,
    hardware_warning,
    infeasible_as_interrupted,
    lock_study,
    most_epochs,
    open_journal,
)
from studies.launching.proposals_and_stopping import INTERRUPTED, Ending
from studies.launching.values_to_start_with import starting_values
from studies.progress import Progress, showing
from studies.training import begin_trial, prepare_environment
from studies.user_code import (
    Target,
    commit_of,
    describe_code,
    load_study,
    ship,
    what_is_loaded,
    with_source,
)
from tracking.history import FoldCurves, RecordedCurves, StudyHistory, record_corrected, refreshed
from tracking.journal import Journal
from tracking.mlflow import Exporter
from tracking.records import StudyDescription, TrialRecord, differs
from tracking.store import files_of, open_store, real_folder, remove_pieces

Defined = TypeVar("Defined", bound=StudyDefinition)


@raising_interrupts()
def launch_study(
    study: Defined, options: LaunchOptions, overrides: Mapping[str, Any]
) -> tuple[StudyHistory, Defined]:
    """Runs a study object, with some settings replaced by `overrides`.

    Returns the recorded study, and the study object with the overrides.
    """
    defined_name = study.name
    with showing(options.progress) as progress:
        study = study.with_overrides(overrides)
        progress.wait(f"loading the study {study.name}")
        code = describe_code(study, defined_name)
        if options.runs_in(otherwise="in-process") == "in-process":
            prepare_environment(study.threads or 1)
            ready = InProcessExecutor(Session.open(study, code, study.threads))
            return run_study(ready, options, progress=progress), study

        def load_in(folder: Path) -> LoadStudy:
            return LoadStudy(ship(study, code, folder), folder, threads=study.threads or 1)

        return _launch_in_workers(load_in, options, progress, study.trials), study


def launch_target(
    target: Target,
    options: LaunchOptions,
    *,
    overrides: Mapping[str, Any] = {},
    data: str = "",
) -> StudyHistory:
    """Runs the study that a target names, for example a study file or a study of the catalog."""
    with showing(options.progress) as progress:
        # Loading takes seconds, so the user sees a line at once.
        progress.wait(what_is_loaded(target))
        # All workers get the same source, even if the user saves the file while they start.
        target = with_source(target)
        if options.runs_in(otherwise="worker") != "in-process":
            return _launch_in_workers(
                lambda folder: LoadStudy(target, folder, overrides, data),
                options,
                progress,
                overrides.get("trials"),
            )
        prepare_environment(1)
        # A study file may make random layers while it is loaded. They need a seed, as in a worker.
        begin_trial(0)
        study, code = load_study(target)
        study = study.with_overrides({**overrides, **({"data": data} if data else {})})
        ready = InProcessExecutor(Session.open(study, code, study.threads, data))
        return run_study(ready, options, progress=progress)


def _launch_in_workers(
    load_in: Callable[[Path], LoadStudy],
    options: LaunchOptions,
    progress: Progress,
    trials: int | None,
) -> StudyHistory:
    """Runs a study in worker processes.

    `load_in` takes the launch's temporary folder, and returns the message by which workers load the
    study. `trials` is the number of trials, or None if only the loaded study says it.
    """
    # A bad store is reported before a worker starts, without waiting for TensorFlow.
    existing = check_store(options.place)
    on_ray = options.runs_in(otherwise="worker") == "ray"
    if on_ray:
        check_ray_installed()
    with contextlib.ExitStack() as stack:
        # The temporary folder is made in the store, because all nodes of a cluster see the store's
        # disk.
        place = stack.enter_context(_made(real_folder(options.place))) if on_ray else None
        load = load_in(Path(stack.enter_context(temporary_folder(place))))
        start: Callable[..., LaunchWorkers] = LocalWorkers
        if on_ray:
            from studies.executors import RayWorkers, connected

            progress.wait("connecting to the Ray cluster")
            cluster = stack.enter_context(connected(options.ray or RayOptions()))
            start = partial(RayWorkers, cluster=cluster)
        workers = start(
            load,
            trials=trials,
            workers=options.workers,
            on_output=progress.say,
        )
        try:
            workers.load()
            with lock_study(existing, workers.pool.description, options, progress) as study:
                finished = study.finished(options.retry_infeasible)
                workers.suit(threads=study.threads, finished=finished)
                return run_locked(
                    study, workers.pool, options, progress=progress, workers=workers.count
                )
        finally:
            progress.end()
            workers.close()


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[Path]:
    """Makes a folder if it does not exist, and removes it at the context's end if it is empty."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()


def describe_target(
    target: Target,
    place: Path,
    *,
    overrides: Mapping[str, Any] = {},
    data: str = "",
) -> StudyDescription:
    """Returns the description of the study that a launch would run, with its complete space.

    Checks the builder by training a model on a few samples. Writes nothing into the store.
    """
    with showing() as progress:
        progress.wait(what_is_loaded(target))
        with temporary_folder() as folder:
            load = LoadStudy(target, Path(folder), overrides, data)
            pool = WorkerPool([Worker(load)])
            try:
                pool.load()
                description = pool.description
                check_definition(description)
                initial = starting_values(description, open_store(place), progress)
                return replace(description, initial=initial)
            finally:
                pool.close()


def run_study(
    executor: Executor, options: LaunchOptions, *, progress: Progress, workers: int = 1
) -> StudyHistory:
    """Runs or resumes the study that an executor has loaded, then closes the executor."""
    try:
        existing = check_store(options.place)
        with lock_study(existing, executor.description, options, progress) as study:
            return run_locked(study, executor, options, progress=progress, workers=workers)
    finally:
        progress.end()
        executor.close()


def run_locked(
    study: LockedStudy,
    executor: Executor,
    options: LaunchOptions,
    *,
    progress: Progress,
    workers: int,
) -> StudyHistory:
    """Runs or resumes a study that this process has locked. Does not close the executor."""
    verifier = Verifier(executor, progress, options.verify, time.monotonic(), workers)
    if warning := hardware_warning(study.before, executor.description):
        progress.say(warning)
    journal, before = open_journal(study, executor.description, progress)
    with exporter_of(study, journal, progress, report=options.reports) as exporter:
        return _run_opened(journal, before, executor, options, progress, verifier, exporter)


def _run_opened(
    journal: Journal,
    before: StudyHistory,
    executor: Executor,
    options: LaunchOptions,
    progress: Progress,
    verifier: Verifier,
    exporter: Exporter,
) -> StudyHistory:
    description, recorded = journal.description, before.trials
    checkpoints = files_of(journal.folder).folder
    status, ending = "FAILED", Ending("error", "an error")
    driver: Driver | None = None

    def stop() -> None:
        if driver is None:
            # No trial runs yet, so the launch can stop at once.
            raise KeyboardInterrupt
        if ending.by == "error":
            driver.stop()
        elif not verifier.stop():
            finish()
            return
        progress.wait("stopping after the present epoch; press Ctrl-C again to stop at once")

    def finish() -> None:
        progress.wait("finishing; press Ctrl-C again to stop at once")

    try:
        with catching_interrupts(stop):
            if options.retry_infeasible:
                recorded = infeasible_as_interrupted(journal, recorded, progress)
            journal.set_running(commit_of(description.code))
            checkpoints.mkdir(parents=True, exist_ok=True)
            remove_pieces(checkpoints)
            driver = Driver(
                executor,
                lambda: _engine(description),
                journal,
                recorded,
                _curves(journal, recorded),
                progress,
                _is_contradicted(description, recorded, progress),
            )
            ending = driver.run()
            status = "KILLED" if ending == INTERRUPTED else "FINISHED"
            # Workers that were killed may have left parts of checkpoints, which are removed here.
            remove_pieces(checkpoints)
            if ending != INTERRUPTED:
                try:
                    choose_champion(refreshed(before), verifier)
                except VerificationStopped:
                    # The user stopped this launch. The next launch chooses the champion.
                    status, ending = "KILLED", INTERRUPTED
            journal.end(status, *ending)
            history = refreshed(before)
            if status == "FINISHED":
                record_corrected(history)
                history = refreshed(history)
            exporter.finish(progress.wait)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            status, ending = "KILLED", INTERRUPTED
        elif isinstance(error, FailedAlikeError):
            ending = Ending("error", "its first trials failed alike")
        # The original error is raised, even if `journal.end` fails.
        with catching_interrupts(finish), contextlib.suppress(Exception):
            journal.end(status, *ending)
        raise
    if ending == INTERRUPTED:
        raise KeyboardInterrupt
    return history


def _is_contradicted(
    description: StudyDescription, recorded: Sequence[TrialRecord], progress: Progress
) -> bool:
    """Returns whether `model.fit` has contradicted the compiled trainer.

    That is so if both trained the same trial of the present code, and their results differ.
    """
    same = description.code.same_as
    differing = sorted(t.number for t in recorded if differs(t.verified) and same(t.code_digest))
    if not differing:
        return False
    progress.say(
        "model.fit trains the study's trials, since it gave other results than the compiled "
        f"trainer in {', '.join(f'trial {number}' for number in differing)}"
    )
    return True


def _curves(journal: Journal, recorded: Sequence[TrialRecord]) -> Curve:
    """Returns a function that reads a recorded trial's learning curve as pruners saw it."""
    folder, description = journal.folder, journal.description
    if description.folds:
        return FoldCurves(folder, description, recorded, most_epochs(description))
    return RecordedCurves(folder, recorded)


def _engine(description: StudyDescription) -> Engine:
    return make_engine(
        EngineSettings(
            name=description.name,
            engine=description.engine,
            pruner=description.pruner,
            space=description.space,
            objective=description.objective,
            epochs=most_epochs(description),
            seed=description.seed,
            folds=max(description.folds, 1),
            from_zero=bool(description.objective_function),
        )
    )
