"""Starting a study, or going on with it: from a file or an object to its record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypedDict

from studies.budget import AtTheEnd
from studies.data.large import temporary_folder
from studies.definitions import check_definition
from studies.executors import ExecutorName
from studies.executors.in_process import InProcessExecutor
from studies.executors.local import LocalWorkers
from studies.executors.session import Session
from studies.executors.sizing import chosen_executor
from studies.executors.worker import WorkerExecutor
from studies.interruption import raising_interrupts
from studies.loading import Target, describe_code, load_study, what_is_loaded, with_source
from studies.progress import Progress, showing
from studies.running_studies import run_study
from studies.settings import Verify
from studies.shipping import ShippedStudy, ship
from studies.study_definition import StudyDefinition
from studies.training.determinism import prepare_environment
from tracking.databases import check_sound
from tracking.history import StudyHistory, find_study
from tracking.mlflow_client import preload
from tracking.records import FINISHED_STATES, StudyDescription
from tracking.store import (
    Store,
    check_writable,
    default_store_path,
    open_store,
    prepare_store,
    real_folder,
)


@raising_interrupts()
def launch_study(
    study: StudyDefinition,
    *,
    defined_name: str,
    store: str | Path | None,
    executor: ExecutorName | None,
    workers: int | None,
    progress: bool,
    at_the_end: AtTheEnd = "finish",
    tracking_uri: str | None = None,
    verify: Verify = "some",
    retry_infeasible: bool = False,
) -> StudyHistory:
    """Runs a study that was made in this process; see `Study.launch`."""
    with showing(progress) as shown:
        shown.wait(f"loading TensorFlow and the study {study.name}")
        code = describe_code(study, defined_name)
        executor = chosen_executor(executor, workers, otherwise="in-process")
        if executor == "worker":
            return _launch_in_workers(
                lambda folder: ship(study, code, folder),
                store=store,
                trials=study.trials,
                threads=study.threads,
                workers=workers,
                progress=shown,
                at_the_end=at_the_end,
                tracking_uri=tracking_uri,
                verify=verify,
                retry_infeasible=retry_infeasible,
            )
        prepare_environment(study.threads or 1)
        ready = InProcessExecutor(Session.open(study, code, study.threads))
        return run_study(
            ready,
            store=store,
            progress=shown,
            at_the_end=at_the_end,
            tracking_uri=tracking_uri,
            verify=verify,
            retry_infeasible=retry_infeasible,
        )


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
    tracking_uri: str | None = None,
    verify: Verify = "some",
    retry_infeasible: bool = False,
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
        tracking_uri: Address of an MLflow server that is to have the study too; see `server_for`.
        verify: How much of the best trial is trained again by `model.fit`; see `Verifier`.
        retry_infeasible: Whether trials that were infeasible are trained again.

    Raises:
        StudyError: If the study cannot be run as defined.
        TrackingError: If the store cannot be used, or has the study with another definition.
        KeyboardInterrupt: If Ctrl-C or SIGTERM stopped it.
    """
    with showing(progress) as shown:
        # At once: it takes seconds.
        shown.wait(what_is_loaded(target))
        # Once, for all workers: the file may be saved while they start.
        target = with_source(target)
        if chosen_executor(executor, workers, otherwise="worker") == "worker":
            return _launch_in_workers(
                lambda folder: target,
                store=store,
                overrides=overrides,
                data=data,
                trials=(overrides or {}).get("trials"),
                workers=workers,
                progress=shown,
                at_the_end=at_the_end,
                tracking_uri=tracking_uri,
                verify=verify,
                retry_infeasible=retry_infeasible,
            )
        prepare_environment(1)
        study, code = load_study(target)
        study = study.with_overrides({**(overrides or {}), **({"data": data} if data else {})})
        ready = InProcessExecutor(Session.open(study, code, study.threads, data))
        return run_study(
            ready,
            store=store,
            progress=shown,
            at_the_end=at_the_end,
            tracking_uri=tracking_uri,
            verify=verify,
            retry_infeasible=retry_infeasible,
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
    tracking_uri: str | None,
    verify: Verify,
    retry_infeasible: bool,
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
        tracking_uri: Likewise.
        verify: Likewise.
        retry_infeasible: Likewise.
    """
    # Before a worker starts: what ails the store is no reason to wait for TensorFlow.
    place = Path(store) if store is not None else default_store_path()
    check_writable(real_folder(place))
    opened = open_store(place)
    if opened is not None:
        check_sound(opened.root / "mlflow.db")

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
            local.suit(**_recorded(opened, local.pool.description, retry_infeasible))
            return run_study(
                local.pool,
                store=place,
                progress=progress,
                workers=len(local.pool),
                at_the_end=at_the_end,
                tracking_uri=tracking_uri,
                retry_infeasible=retry_infeasible,
                prepared=prepared,
                verify=verify,
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
    with showing() as shown:
        shown.wait(what_is_loaded(target))
        worker = WorkerExecutor(target, overrides=overrides, data=data)
        try:
            worker.load()
            check_definition(worker.description)
            return worker.description
        finally:
            worker.close()


class _Recorded(TypedDict):
    """What the record has of a study that is to be launched."""

    threads: int | None
    finished: int


def _recorded(
    store: Store | None, description: StudyDescription, retry_infeasible: bool
) -> _Recorded:
    found = None
    if store is not None:
        name = description.name
        found = find_study(store, name, description.engine) or find_study(store, name)
    if found is None:
        return {"threads": None, "finished": 0}
    # Under another engine it begins anew.
    trials = found.trials if found.description.engine == description.engine else ()
    again = "infeasible" if retry_infeasible else None
    finished = sum(t.state in FINISHED_STATES and t.state != again for t in trials)
    return {"threads": found.description.threads, "finished": finished}
