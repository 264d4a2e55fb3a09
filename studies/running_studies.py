"""Running a study that an executor has loaded, or going on with it: its record and its driver."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from search_spaces.errors import FailedAlikeError
from studies.budget import INTERRUPTED, AtTheEnd, Ending
from studies.choosing import choose_champion
from studies.commits import commit_tags
from studies.curves import objective_by_epoch
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
from studies.executors.executor import Executor
from studies.interruption import catching_interrupts
from studies.mirroring import mirroring, server_for
from studies.progress import Progress
from studies.retrying import superseded, tell_of_infeasible
from studies.settings import Verify
from studies.verification import VerificationStopped, Verifier
from tracking.atomic import remove_pieces
from tracking.databases import check_sound
from tracking.experiments import make_experiment, take_folder
from tracking.history import StudyHistory, find_study, read_study
from tracking.joining import with_joined
from tracking.mirror import check_free
from tracking.parents import check_parents, renamed_from
from tracking.records import FINISHED_STATES, StudyDescription, TrialRecord
from tracking.runs import StudyRuns
from tracking.store import (
    Store,
    check_writable,
    create_store,
    default_store_path,
    open_store,
    real_folder,
)
from tracking.summary import study_note


def run_study(
    executor: Executor,
    *,
    store: str | Path | None,
    progress: Progress,
    workers: int = 1,
    at_the_end: AtTheEnd = "finish",
    tracking_uri: str | None = None,
    prepared: Path | None = None,
    verify: Verify = "some",
    retry_infeasible: bool = False,
) -> StudyHistory:
    """Runs the study that an executor has loaded, or goes on with it; closes the executor.

    Args:
        executor: Where trials run.
        store: The store's folder, or None for the default.
        progress: What a person sees.
        workers: Trials that the executor runs at once.
        at_the_end: What becomes of trials that run when the study's budget is spent.
        tracking_uri: Address of an MLflow server that is to have the study too; see `server_for`.
        prepared: What `prepare_store` made for this store, if it is not there yet, or None.
        verify: How much of the best trial is trained again by `model.fit`; see `Verifier`.
        retry_infeasible: Whether trials that were infeasible are trained again.
    """
    verifier = Verifier(executor, progress, verify, time.monotonic(), workers)
    description = executor.description
    if description.deterministic:
        description = replace(description, lag=workers)
    path = Path(store) if store is not None else default_store_path()
    try:
        # All that can be wrong, before anything is written.
        check_definition(description)
        for warning in warnings_of(description):
            progress.say(f"warning: {warning}")
        check_writable(real_folder(path))
        existing = open_store(path)
        if existing is not None:
            check_sound(existing.root / "mlflow.db")
            name, engine = description.name, description.engine
            before = find_study(existing, name, engine) or find_study(existing, name)
            check_unchanged(before, description)
            if before is None:
                _tell_of_renamed(existing, name, progress)
        server = server_for(existing, description.name, tracking_uri)
        if server is not None:
            check_free(existing, description.name, server)
        opened = create_store(path, prepared)
        # What is held is the experiment, which may be renamed meanwhile.
        experiment_id = make_experiment(opened, description.name)
        with opened.lock_study(description.name, experiment_id):
            take_folder(opened, experiment_id, progress.say)
            return _run_locked(
                executor,
                opened,
                description,
                experiment_id,
                progress,
                at_the_end,
                server,
                verifier,
                retry_infeasible,
            )
    finally:
        progress.end()
        executor.close()


def _run_locked(
    executor: Executor,
    store: Store,
    description: StudyDescription,
    experiment_id: str,
    progress: Progress,
    at_the_end: AtTheEnd,
    server: str | None,
    verifier: Verifier,
    retry_infeasible: bool,
) -> StudyHistory:
    before = find_study(store, description.name, description.engine)
    if before is None or not any(trial.state in FINISHED_STATES for trial in before.trials):
        # A new parent run's trials would write over those of one that was deleted.
        check_parents(store, experiment_id, description.engine)
    # Again, now that no other process can change it.
    check_unchanged(before or find_study(store, description.name), description)
    runs, recorded = _take_up(executor, store, description, before, progress)
    if retry_infeasible:
        recorded = superseded(runs, recorded, progress)
    with mirroring(runs, server, progress.say):
        return _run_taken_up(executor, runs, recorded, progress, at_the_end, verifier)


def _run_taken_up(
    executor: Executor,
    runs: StudyRuns,
    recorded: Sequence[TrialRecord],
    progress: Progress,
    at_the_end: AtTheEnd,
    verifier: Verifier,
) -> StudyHistory:
    store, description = runs.store, runs.description
    status, ending = "FAILED", Ending("error", "an error")
    driver: Driver | None = None

    def stop() -> None:
        if driver is None:
            # Nothing has begun that could be brought to an end.
            raise KeyboardInterrupt
        if ending.by == "error":
            driver.stop()
        elif not verifier.stop():
            finish()
            return
        progress.say("stopping after the present epoch; press Ctrl-C again to stop at once")

    def finish() -> None:
        progress.say("finishing; press Ctrl-C again to stop at once")

    try:
        with catching_interrupts(stop):
            runs.set_running(commit_tags(description.code))
            remove_pieces(runs.files.folder)
            exports = can_export(store, description.name, progress.say)
            differing = runs.differing_trials()
            if differing:
                progress.say(
                    "trials are trained by model.fit, as the compiled trainer came to something "
                    f"else in {', '.join(f'trial {number}' for number in differing)}"
                )
            driver = Driver(
                executor,
                lambda space: _engine(replace(description, space=space), store, exports),
                runs,
                recorded,
                lambda trial: objective_by_epoch(store, trial),
                progress,
                at_the_end,
                "plain" if differing else None,
            )
            ending = driver.run()
            status = "KILLED" if ending == INTERRUPTED else "FINISHED"
            # Of workers that were killed meanwhile.
            remove_pieces(runs.files.folder)
            if ending != INTERRUPTED:
                runs.description = replace(runs.description, name=_present_name(runs))
                try:
                    choose_champion(executor, runs, progress, verifier)
                except VerificationStopped:
                    # The next launch makes up for it.
                    status, ending = "KILLED", INTERRUPTED
            history = _close(store, runs, status, ending)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            status, ending = "KILLED", INTERRUPTED
        elif isinstance(error, FailedAlikeError):
            ending = Ending("error", "its first trials failed alike")
        # What stopped it counts, not what can't be written any more because of it.
        with catching_interrupts(finish):
            for _ in range(2):
                with contextlib.suppress(Exception):
                    _close(store, runs, status, ending)
                    break
        raise
    finally:
        progress.end()
    if ending == INTERRUPTED:
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
    changed = description.code.changes_since(before.description.code)
    if changed:
        progress.say(
            "warning: the study's code has changed since it was last launched "
            f"({', '.join(changed)}); trials before and after may not compare. To start anew, "
            "give another name with --name."
        )
        tell_of_infeasible(before.trials, progress)
    runs.write_definition()
    runs.close_left_over(before.trials)
    check_complete(before)
    return runs, before.trials


def _tell_of_renamed(store: Store, name: str, progress: Progress) -> None:
    """Says that a study of this name goes by another one now, and that a new one begins."""
    for now in renamed_from(store, name):
        progress.say(
            f"note: the study {name!r} was renamed to {now!r} in MLflow; a new study {name!r} "
            f"begins. To go on with the renamed one: --name {shlex.quote(now)}"
        )


def _present_name(runs: StudyRuns) -> str:
    """Returns what the study is called now: somebody may have renamed it while it ran."""
    return str(runs.store.client.get_experiment(runs.experiment_id).name)


def _close(store: Store, runs: StudyRuns, status: str, ending: Ending) -> StudyHistory:
    """Ends a study's parent run with its summary; returns the study as it stands."""
    history = read_study(store, _present_name(runs), runs.description.engine)
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


def _runs(history: StudyHistory, description: StudyDescription) -> StudyRuns:
    return StudyRuns(history.store, history.experiment_id, history.parent_run_id, description)
