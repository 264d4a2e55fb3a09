"""Starting a study, or going on with it: from a file or an object to its record."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

from studies.budget import INTERRUPTED, AtTheEnd, Ending
from studies.choosing import choose_champion
from studies.curves import objective_by_epoch
from studies.data.large import temporary_folder
from studies.definitions import (
    check_complete,
    check_definition,
    check_unchanged,
    differences,
    most_epochs,
    warnings_of,
    with_lag,
)
from studies.driver import Driver
from studies.engines.engine import Engine
from studies.engines.make import make_engine
from studies.engines.optuna_export import OptunaExport, can_export, export_name
from studies.executors import ExecutorName
from studies.executors.executor import Executor
from studies.executors.in_process import InProcessExecutor
from studies.executors.local import LocalWorkers
from studies.executors.session import Session
from studies.executors.sizing import chosen_executor
from studies.executors.worker import WorkerExecutor
from studies.interruption import catching_interrupts
from studies.loading import Target, describe_code, load_study
from studies.progress import Progress, make_progress
from studies.shipping import ShippedStudy, ship
from studies.study import Study
from studies.training.determinism import prepare_environment
from tracking.atomic import remove_pieces
from tracking.databases import check_sound
from tracking.history import StudyHistory, find_study, read_study
from tracking.joining import with_joined
from tracking.mlflow_client import preload
from tracking.records import FINISHED_STATES, StudyDescription, TrialRecord
from tracking.runs import StudyRuns
from tracking.store import (
    Store,
    check_writable,
    create_store,
    default_store_path,
    open_store,
    prepare_store,
)
from tracking.summary import study_note


def launch_study(
    study: Study,
    *,
    defined_name: str,
    store: str | Path | None,
    executor: ExecutorName | None,
    workers: int | None,
    progress: bool,
    at_the_end: AtTheEnd = "finish",
) -> StudyHistory:
    """Runs a study that was made in this process; see `Study.launch`."""
    code = describe_code(study, defined_name)
    executor = chosen_executor(executor, workers, otherwise="in-process")
    if executor == "worker":
        return _launch_in_workers(
            lambda folder: ship(study, code, folder),
            store=store,
            trials=study.trials,
            threads=study.threads,
            workers=workers,
            progress=make_progress(progress),
            at_the_end=at_the_end,
        )
    prepare_environment(study.threads or 1)
    ready = InProcessExecutor(Session.open(study, code, study.threads))
    return run_study(ready, store=store, progress=make_progress(progress), at_the_end=at_the_end)


def launch_target(
    target: Target,
    *,
    store: str | Path | None,
    executor: ExecutorName | None = None,
    overrides: Mapping[str, Any] | None = None,
    data: str = "",
    workers: int | None = None,
    progress: bool = True,
    at_the_end: AtTheEnd = "finish",
) -> StudyHistory:
    """Runs the study that a target names.

    Args:
        target: Where the study is defined.
        store: The store's folder, or None for the default.
        executor: Where its trials run; None: in worker processes.
        overrides: Settings to replace.
        data: An npz file to use in place of the study's own data, or empty.
        workers: Trials to run at once, at least 1, each in a worker process of its own; None:
            ``KERASTUDY_WORKERS``, or as many as suit the machine and the study.
        progress: Whether to show progress.
        at_the_end: What becomes of trials that run when the study's budget is spent.

    Raises:
        StudyError: If the study cannot be run as defined.
        TrackingError: If the store cannot be used, or has the study with another definition.
        KeyboardInterrupt: If Ctrl-C stopped it.
    """
    shown = make_progress(progress)
    if chosen_executor(executor, workers, otherwise="worker") == "in-process":
        prepare_environment(1)
        study, code = load_study(target)
        study = study.with_overrides({**(overrides or {}), **({"data": data} if data else {})})
        ready: Executor = InProcessExecutor(Session.open(study, code, study.threads, data))
        return run_study(ready, store=store, progress=shown, at_the_end=at_the_end)
    return _launch_in_workers(
        lambda folder: target,
        store=store,
        overrides=overrides,
        data=data,
        trials=(overrides or {}).get("trials"),
        workers=workers,
        progress=shown,
        at_the_end=at_the_end,
    )


def _launch_in_workers(
    target_in: Callable[[Path], Target | ShippedStudy],
    *,
    store: str | Path | None,
    overrides: Mapping[str, Any] | None = None,
    data: str = "",
    trials: int | None,
    threads: int | None = None,
    workers: int | None,
    progress: Progress,
    at_the_end: AtTheEnd,
) -> StudyHistory:
    """Runs a study in worker processes.

    Args:
        target_in: Returns what the workers load, given a folder that they share.
        store: See `launch_target`; so for the others.
        overrides: Settings to replace.
        data: An npz file, or empty.
        trials: In total, if known before the study is loaded.
        threads: Of each trial, likewise.
        workers: How many, or None.
        progress: What a person sees.
        at_the_end: See `launch_target`.
    """
    # Before a worker starts: what ails the store is no reason to wait for TensorFlow.
    place = Path(store) if store is not None else default_store_path()
    opened = open_store(place)
    if opened is not None:
        check_sound(opened.root / "mlflow.db")
    check_writable(place.expanduser().absolute())

    with temporary_folder() as folder:
        local = LocalWorkers(
            target_in(Path(folder)),
            overrides=overrides or {},
            data=data,
            trials=trials,
            threads=threads,
            workers=workers,
            shared=Path(folder),
            on_output=progress.say,
        )
        try:
            # While the workers import TensorFlow.
            preload()
            prepared = None
            if opened is None:
                prepared = Path(folder) / "store"
                prepare_store(place, prepared)
            local.load()
            local.suit(**_recorded(opened, local.pool.description))
            return run_study(
                local.pool,
                store=place,
                progress=progress,
                workers=len(local.pool),
                at_the_end=at_the_end,
                prepared=prepared,
            )
        finally:
            local.close()


def describe_target(
    target: Target, *, overrides: Mapping[str, Any] | None = None, data: str = ""
) -> StudyDescription:
    """Returns what a launch would run: the study with its space, traced and tailored.

    Nothing is written, and nothing trained but a few samples to see what the builder does.

    Raises:
        StudyError: If the study cannot be run as defined.
    """
    worker = WorkerExecutor(target, overrides=overrides, data=data)
    try:
        worker.load()
        check_definition(worker.description)
        return worker.description
    finally:
        worker.close()


def run_study(
    executor: Executor,
    *,
    store: str | Path | None,
    progress: Progress,
    workers: int = 1,
    at_the_end: AtTheEnd = "finish",
    prepared: Path | None = None,
) -> StudyHistory:
    """Runs the study that an executor has loaded, or goes on with it; closes the executor.

    Args:
        executor: Where trials run.
        store: The store's folder, or None for the default.
        progress: What a person sees.
        workers: Trials that the executor runs at once.
        at_the_end: What becomes of trials that run when the study's budget is spent.
        prepared: What `prepare_store` made for this store, if it is not there yet, or None.
    """
    description = executor.description
    if description.deterministic:
        description = replace(description, lag=workers)
    path = Path(store) if store is not None else default_store_path()
    try:
        for warning in warnings_of(description):
            progress.say(f"warning: {warning}")
        # All that can be wrong, before anything is written.
        check_definition(description)
        check_writable(path.expanduser().absolute())
        existing = open_store(path)
        if existing is not None:
            check_sound(existing.root / "mlflow.db")
            name, engine = description.name, description.engine
            check_unchanged(
                find_study(existing, name, engine) or find_study(existing, name), description
            )
        opened = create_store(path, prepared)
        with opened.lock_study(description.name):
            return _run_locked(executor, opened, description, progress, at_the_end)
    finally:
        progress.end()
        executor.close()


def _run_locked(
    executor: Executor,
    store: Store,
    description: StudyDescription,
    progress: Progress,
    at_the_end: AtTheEnd,
) -> StudyHistory:
    before = find_study(store, description.name, description.engine)
    # Again, now that no other process can change it.
    check_unchanged(before or find_study(store, description.name), description)
    runs, recorded = _take_up(executor, store, description, before, progress)
    description = runs.description
    runs.set_running()
    checkpoints = store.checkpoints(description.name, description.engine)
    remove_pieces(checkpoints)
    exports = can_export(store, description.name, progress.say)
    driver = Driver(
        executor,
        lambda space: _engine(replace(description, space=space), store, exports),
        runs,
        recorded,
        lambda trial: objective_by_epoch(store, trial),
        progress,
        at_the_end,
    )
    status, ending = "FAILED", Ending("error", "an error")
    try:
        with catching_interrupts(lambda: _stop(driver, progress)):
            ending = driver.run()
            status = "KILLED" if driver.stopped else "FINISHED"
            # Of workers that were killed meanwhile.
            remove_pieces(checkpoints)
            if not driver.stopped:
                choose_champion(executor, store, description, progress)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            status, ending = "KILLED", INTERRUPTED
        # What stopped it counts, not what can't be written any more because of it.
        for _ in range(2):
            with contextlib.suppress(Exception):
                _close(store, runs, status, ending)
                break
        raise
    finally:
        progress.end()
    history = _close(store, runs, status, ending)
    if driver.stopped:
        raise KeyboardInterrupt
    return history


def _take_up(
    executor: Executor,
    store: Store,
    description: StudyDescription,
    before: StudyHistory | None,
    progress: Progress,
) -> tuple[StudyRuns, Sequence[TrialRecord]]:
    """Makes a study's runs, or opens those that it has; returns them and its trials so far."""
    if before is not None:
        asked = description.lag
        description = with_lag(with_joined(description, before.trials), before)
        if description.lag not in (0, asked):
            progress.say(f"proposed as by {description.lag} workers, as the study was begun")
    if before is not None and (
        differences(before.description, description) or before.description.lag != description.lag
    ):
        # Nothing was finished under the old definition (see check_unchanged).
        _runs(before, before.description).close_left_over(before.trials)
        before = None
    if before is None:
        return StudyRuns.create(store, description, executor.environment), ()
    runs = _runs(before, description)
    if before.description.code.digest != description.code.digest:
        progress.say(
            "warning: the study's code has changed since it was last launched; trials before "
            "and after may not compare. To start anew, give another name with --name."
        )
    runs.write_definition()
    runs.close_left_over(before.trials)
    check_complete(description.name, before.trials)
    return runs, before.trials


def _close(store: Store, runs: StudyRuns, status: str, ending: Ending) -> StudyHistory:
    """Ends a study's parent run with its summary; returns the study as it stands."""
    history = read_study(store, runs.description.name, runs.description.engine)
    runs.close(status, study_note(history, ending.text), *ending)
    return replace(history, status=status, ended_by=ending.by, stopped=ending.text)


def _engine(description: StudyDescription, store: Store, exports: bool) -> Engine:
    name = export_name(description.name, description.engine)
    return make_engine(
        name=description.name,
        engine=description.engine,
        pruner=description.pruner,
        space=description.space,
        objective=description.objective,
        epochs=most_epochs(description),
        seed=description.seed,
        export=OptunaExport(store, name, description.objective) if exports else None,
    )


class _Recorded(TypedDict):
    """What the record has of a study that is to be launched."""

    threads: int | None
    finished: int


def _recorded(store: Store | None, description: StudyDescription) -> _Recorded:
    found = None if store is None else find_study(store, description.name)
    if found is None:
        return {"threads": None, "finished": 0}
    # Under another engine it begins anew.
    trials = found.trials if found.description.engine == description.engine else ()
    finished = sum(trial.state in FINISHED_STATES for trial in trials)
    return {"threads": found.description.threads, "finished": finished}


def _runs(history: StudyHistory, description: StudyDescription) -> StudyRuns:
    return StudyRuns(history.store, history.experiment_id, history.parent_run_id, description)


def _stop(driver: Driver, progress: Progress) -> None:
    driver.stop()
    progress.say("stopping after the present epoch; press Ctrl-C again to stop at once")
