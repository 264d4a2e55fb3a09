"""Launches a study, new or resumed, from a file or an object."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from search_spaces.errors import FailedAlikeError
from studies.champion import VerificationStopped, Verifier, choose_champion
from studies.data import temporary_folder
from studies.definition import LOCAL, LaunchOptions, RayOptions, StudyDefinition
from studies.engines import Curve, Engine, EngineSettings, make_engine
from studies.executors import (
    Executor,
    InProcessExecutor,
    LaunchWorkers,
    LocalWorkers,
    OnOutput,
    Session,
    WorkerExecutor,
    check_ray_installed,
)
from studies.interruption import catching_interrupts, raising_interrupts
from studies.launching.budget import INTERRUPTED, Ending
from studies.launching.definitions import check_definition, most_epochs, with_hardware
from studies.launching.driver import Driver
from studies.launching.opening import (
    HeldStudy,
    check_store,
    exporting,
    held_study,
    open_journal,
    superseded,
)
from studies.launching.starting_values import starting_values
from studies.progress import Progress, showing
from studies.training import STATE, begin_trial, prepare_environment
from studies.user_code import (
    ShippedStudy,
    Target,
    commit_of,
    describe_code,
    load_study,
    ship,
    what_is_loaded,
    with_source,
)
from tracking.history.study_history import StudyHistory, refreshed
from tracking.history.trials import FoldCurves, RecordedCurves
from tracking.history.verdicts import record_corrected
from tracking.journal import Journal
from tracking.mlflow.exporter_process import Exporter
from tracking.records import StudyDescription, TrialRecord
from tracking.records.checks import differs
from tracking.store.files import files_of, remove_pieces
from tracking.store.folder import open_store

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
        progress.wait(f"loading TensorFlow and the study {study.name}")
        code = describe_code(study, defined_name)
        if options.runs_in(otherwise="in-process") == "in-process":
            prepare_environment(study.threads or 1)
            ready = InProcessExecutor(Session.open(study, code, study.threads))
            return run_study(ready, options, progress=progress), study
        history = _launch_in_workers(
            lambda folder: ship(study, code, folder),
            options,
            progress,
            trials=study.trials,
            threads=study.threads,
        )
        return history, study


def launch_target(
    target: Target,
    options: LaunchOptions,
    *,
    overrides: Mapping[str, Any] | None = None,
    data: str = "",
) -> StudyHistory:
    """Runs the study that a target names."""
    with showing(options.progress) as progress:
        overrides = overrides or {}
        # Loading takes seconds, so the user sees a line at once.
        progress.wait(what_is_loaded(target))
        # All workers get the same source, even if the user saves the file while they start.
        target = with_source(target)
        if options.runs_in(otherwise="worker") != "in-process":
            return _launch_in_workers(
                lambda folder: target,
                options,
                progress,
                overrides=overrides,
                data=data,
                trials=overrides.get("trials"),
            )
        prepare_environment(1)
        # Random layers at the top level of a study file need a seed, as in a worker.
        begin_trial(0)
        study, code = load_study(target)
        study = study.with_overrides({**overrides, **({"data": data} if data else {})})
        ready = InProcessExecutor(Session.open(study, code, study.threads, data))
        return run_study(ready, options, progress=progress)


def _launch_in_workers(
    target_in: Callable[[Path], Target | ShippedStudy],
    options: LaunchOptions,
    progress: Progress,
    *,
    overrides: Mapping[str, Any] | None = None,
    data: str = "",
    trials: int | None,
    threads: int | None = None,
) -> StudyHistory:
    """Runs a study in worker processes.

    `trials` and `threads` are None if they are not known before the study is loaded.
    """
    # A bad store is reported before a worker starts, without waiting for TensorFlow.
    existing = check_store(options.place)
    if options.runs_in(otherwise="worker") == "ray":
        check_ray_installed()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        target = target_in(Path(folder))
        kind = _workers_of(options, progress, stack)
        started = kind(
            target,
            overrides=overrides or {},
            data=data,
            trials=trials,
            threads=threads,
            workers=options.workers,
            shared=Path(folder),
            on_output=_without_repeats(progress),
        )
        try:
            started.load()
            description = started.pool.description
            with held_study(existing, description, options, progress) as held:
                finished = held.finished(options.retry_infeasible)
                started.suit(threads=held.threads, finished=finished)
                return run_held(
                    held, started.pool, options, progress=progress, workers=started.count
                )
        finally:
            progress.end()
            started.close()


def _without_repeats(progress: Progress) -> OnOutput:
    """Returns a function that shows the output of workers.

    Lines that begin with `STATE` are shown once, as each worker prints the same ones.
    """
    said: set[str] = set()

    def say(line: str) -> None:
        if not (line in said and line.startswith(STATE)):
            said.add(line)
            progress.say(line)

    return say


def _workers_of(
    options: LaunchOptions, progress: Progress, stack: contextlib.ExitStack
) -> Callable[..., LaunchWorkers]:
    """Returns a function that starts workers, on this machine or on a cluster.

    The connection to a cluster ends with `stack`.
    """
    if options.runs_in(otherwise="worker") != "ray":
        return LocalWorkers
    from studies.executors import RayWorkers, connected

    ray = options.ray or RayOptions()
    progress.wait("starting Ray" if ray.place == LOCAL else "connecting to the Ray cluster")
    cluster = stack.enter_context(connected(ray))
    return partial(RayWorkers, cluster=cluster, any_hardware=options.any_hardware)


def describe_target(
    target: Target,
    place: Path,
    *,
    overrides: Mapping[str, Any] | None = None,
    data: str = "",
) -> StudyDescription:
    """Returns the study that a launch would run, with its space traced and tailored.

    This writes nothing. It trains the builder's model on a few samples only, to check the builder.
    """
    with showing() as progress:
        progress.wait(what_is_loaded(target))
        worker = WorkerExecutor(target, overrides=overrides, data=data)
        try:
            worker.load()
            description = worker.description
            check_definition(description)
            initial = starting_values(description, open_store(place), progress)
            return replace(description, initial=initial)
        finally:
            worker.close()


def run_study(
    executor: Executor, options: LaunchOptions, *, progress: Progress, workers: int = 1
) -> StudyHistory:
    """Runs or resumes the study that an executor has loaded, then closes the executor."""
    try:
        existing = check_store(options.place)
        with held_study(existing, executor.description, options, progress) as held:
            return run_held(held, executor, options, progress=progress, workers=workers)
    finally:
        progress.end()
        executor.close()


def run_held(
    held: HeldStudy, executor: Executor, options: LaunchOptions, *, progress: Progress, workers: int
) -> StudyHistory:
    """Runs or resumes a study that this process has locked. Does not close the executor."""
    verifier = Verifier(executor, progress, options.verify, time.monotonic(), workers)
    description = executor.description
    description = with_hardware(held.recorded, description, options.any_hardware)
    journal, before = open_journal(held, executor, description, progress)
    with exporting(held, journal, progress, report=options.reports) as exporter:
        return _run_opened(held, journal, before, executor, options, progress, verifier, exporter)


def _run_opened(
    held: HeldStudy,
    journal: Journal,
    before: StudyHistory,
    executor: Executor,
    options: LaunchOptions,
    progress: Progress,
    verifier: Verifier,
    exporter: Exporter,
) -> StudyHistory:
    description, recorded = journal.description, before.trials
    checkpoints = files_of(journal.folder, description.engine).folder
    status, ending = "FAILED", Ending("error", "an error")
    driver: Driver | None = None

    def stop() -> None:
        if driver is None:
            # No trial runs yet.
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
                recorded = tuple(superseded(journal, recorded, progress))
            journal.set_running(commit_of(description.code))
            checkpoints.mkdir(parents=True, exist_ok=True)
            remove_pieces(checkpoints)
            differing = _differing(description, (before, *held.others))
            if differing:
                progress.say(
                    "model.fit trains the study's trials, since the compiled trainer differed from "
                    f"it in {', '.join(f'trial {number}' for number in differing)}"
                )
            driver = Driver(
                executor,
                lambda space: _engine(replace(description, space=space)),
                journal,
                recorded,
                _curves(journal, recorded),
                progress,
                "plain" if differing else None,
            )
            ending = driver.run()
            status = "KILLED" if ending == INTERRUPTED else "FINISHED"
            # Killed workers may have left partial files.
            remove_pieces(checkpoints)
            if ending != INTERRUPTED:
                engines = [refreshed(before), *held.others]
                try:
                    choose_champion(executor, engines, progress, verifier)
                except VerificationStopped:
                    # The next launch chooses the champion.
                    status, ending = "KILLED", INTERRUPTED
            history = _close(journal, before, status, ending)
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
    finally:
        progress.end()
    if ending == INTERRUPTED:
        raise KeyboardInterrupt
    return history


def _close(journal: Journal, before: StudyHistory, status: str, ending: Ending) -> StudyHistory:
    journal.end(status, *ending)
    history = refreshed(before)
    if status == "FINISHED":
        record_corrected(history)
        history = refreshed(history)
    return history


def _differing(description: StudyDescription, engines: Sequence[StudyHistory]) -> list[int]:
    """Returns the trials of the present code that got another result when `model.fit` ran them."""
    same = description.code.same_as
    trials = [trial for history in engines for trial in history.trials]
    return sorted(t.number for t in trials if differs(t.verified) and same(t.code_digest))


def _curves(journal: Journal, recorded: Sequence[TrialRecord]) -> Curve:
    """Returns a function that reads a recorded trial's curve as pruners saw it."""
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
