"""Launches a study, new or resumed, from a file or an object."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from studies.data.arrays.large import temporary_folder
from studies.definition import LOCAL, LaunchOptions, RayOptions, StudyDefinition
from studies.executors.pool import LaunchWorkers, LocalWorkers
from studies.executors.ray.options import check_installed
from studies.executors.session import InProcessExecutor, Session
from studies.executors.worker import WorkerExecutor
from studies.executors.worker_process import OnOutput
from studies.interruption import raising_interrupts
from studies.progress import Progress, showing
from studies.running.definitions import check_definition
from studies.running.opening import check_store, held_study
from studies.running.starting_values import starting_values
from studies.running.study_run import run_held, run_study
from studies.training.process.determinism import begin_trial, prepare_environment
from studies.training.process.users_state import STATE
from studies.user_code.loading import describe_code, load_study, with_source
from studies.user_code.shipping import ShippedStudy, ship
from studies.user_code.targets import Target, what_is_loaded
from tracking.history.study_history import StudyHistory
from tracking.records import StudyDescription
from tracking.store.folder import open_store

Defined = TypeVar("Defined", bound=StudyDefinition)


@raising_interrupts()
def launch_study(
    study: Defined, options: LaunchOptions, overrides: Mapping[str, Any]
) -> tuple[StudyHistory, Defined]:
    """Runs a study that was made in this process, with some settings replaced.

    Returns the recorded study, and the study as it was launched.
    """
    defined_name = study.name
    with showing(options.progress) as shown:
        study = study.with_overrides(overrides)
        shown.wait(f"loading TensorFlow and the study {study.name}")
        code = describe_code(study, defined_name)
        if options.runs_in(otherwise="in-process") == "in-process":
            prepare_environment(study.threads or 1)
            ready = InProcessExecutor(Session.open(study, code, study.threads))
            return run_study(ready, options, progress=shown), study
        history = _launch_in_workers(
            lambda folder: ship(study, code, folder),
            options,
            shown,
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
    with showing(options.progress) as shown:
        overrides = overrides or {}
        # At once, as loading takes seconds.
        shown.wait(what_is_loaded(target))
        # Once, for all workers: the file may be saved while they start.
        target = with_source(target)
        if options.runs_in(otherwise="worker") != "in-process":
            return _launch_in_workers(
                lambda folder: target,
                options,
                shown,
                overrides=overrides,
                data=data,
                trials=overrides.get("trials"),
            )
        prepare_environment(1)
        # As a worker does: random layers at the top level of a study file too.
        begin_trial(0)
        study, code = load_study(target)
        study = study.with_overrides({**overrides, **({"data": data} if data else {})})
        ready = InProcessExecutor(Session.open(study, code, study.threads, data))
        return run_study(ready, options, progress=shown)


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

    ``trials`` and ``threads`` are given where they are known before the study is loaded.
    """
    # Before a worker starts: report a bad store without waiting for TensorFlow.
    existing = check_store(options.place)
    if options.runs_in(otherwise="worker") == "ray":
        check_installed()
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
                    held, started.pool, options, progress=progress, workers=len(started.pool)
                )
        finally:
            progress.end()
            started.close()


def _without_repeats(progress: Progress) -> OnOutput:
    """Returns what shows the workers' lines; once what all of them say of the user's state."""
    said: set[str] = set()

    def say(line: str) -> None:
        if not (line in said and line.startswith(STATE)):
            said.add(line)
            progress.say(line)

    return say


def _workers_of(
    options: LaunchOptions, progress: Progress, stack: contextlib.ExitStack
) -> Callable[..., LaunchWorkers]:
    """Returns what starts the workers: on this machine, or on the cluster that it connects to."""
    if options.runs_in(otherwise="worker") != "ray":
        return LocalWorkers
    from studies.executors.ray.cluster import connected
    from studies.executors.ray.workers import RayWorkers

    asked = options.ray or RayOptions()
    here = asked.place == LOCAL
    progress.wait("starting Ray" if here else "connecting to the Ray cluster")
    return partial(
        RayWorkers,
        cluster=stack.enter_context(connected(asked)),
        any_hardware=options.any_hardware,
    )


def describe_target(
    target: Target,
    place: Path,
    *,
    overrides: Mapping[str, Any] | None = None,
    data: str = "",
) -> StudyDescription:
    """Returns the plan of a launch: the study with its space, traced and tailored.

    Nothing is written, and nothing trained but a few samples to see what the builder does.
    """
    with showing() as shown:
        shown.wait(what_is_loaded(target))
        worker = WorkerExecutor(target, overrides=overrides, data=data)
        try:
            worker.load()
            description = worker.description
            check_definition(description)
            initial = starting_values(description, open_store(place), shown)
            return replace(description, initial=initial)
        finally:
            worker.close()
