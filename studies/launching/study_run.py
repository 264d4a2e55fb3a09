"""Runs a study that an executor has loaded: its driver, its champion, its summary and report."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from dataclasses import replace

from search_spaces.errors import FailedAlikeError
from studies.again.verification import VerificationStopped, Verifier
from studies.engines.engine import Curve, Engine, EngineSettings
from studies.engines.make import make_engine
from studies.executors.executor import Executor
from studies.interruption import catching_interrupts
from studies.launching.choosing import choose_champion
from studies.launching.opening import (
    HeldStudy,
    LaunchOptions,
    check_store,
    held_study,
    mirroring,
    open_runs,
    superseded,
)
from studies.progress import Progress
from studies.running.budget import INTERRUPTED, Ending
from studies.running.definitions import most_epochs, with_hardware
from studies.running.driver import Driver
from studies.user_code.user_modules import commit_tags
from tracking import tags
from tracking.history.curves import FoldCurves, RecordedCurves
from tracking.history.study_history import StudyHistory, refreshed
from tracking.history.summary import describe_study, study_note
from tracking.history.verdicts import record_corrected
from tracking.records import StudyDescription, TrialRecord
from tracking.registry.champions import set_verdict
from tracking.report.write import warm_up, write_report
from tracking.runs.study_runs import StudyRuns
from tracking.store.files import remove_pieces
from tracking.store.folder import Store, default_store_path
from tracking.ui.views import prepare_views


def run_study(
    executor: Executor, options: LaunchOptions, *, progress: Progress, workers: int = 1
) -> StudyHistory:
    """Runs the study that an executor has loaded, or resumes it; closes the executor."""
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
    """Runs a study that is held already; does not close the executor."""
    verifier = Verifier(executor, progress, options.verify, time.monotonic(), workers)
    description = executor.description
    if description.deterministic:
        description = replace(description, lag=workers)
    description = with_hardware(held.known, description, options.any_hardware)
    runs, before = open_runs(held, executor, description, progress)
    with mirroring(runs, held.server, progress.say):
        report = ReportWriter(progress, wanted=options.reports)
        return _run_opened(held, runs, before, executor, options, progress, verifier, report)


def _run_opened(
    held: HeldStudy,
    runs: StudyRuns,
    before: StudyHistory,
    executor: Executor,
    options: LaunchOptions,
    progress: Progress,
    verifier: Verifier,
    report: ReportWriter,
) -> StudyHistory:
    store, description, recorded = runs.store, runs.description, before.trials
    status, ending = "FAILED", Ending("error", "an error")
    driver: Driver | None = None

    def stop() -> None:
        if driver is None:
            # Nothing has begun that could be finished.
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
                recorded = tuple(superseded(runs, recorded, progress))
            _show_running(runs, before)
            remove_pieces(runs.files.folder)
            differing = runs.differing_trials()
            if differing:
                progress.say(
                    "model.fit trains the study's trials, since the compiled trainer differed from "
                    f"it in {', '.join(f'trial {number}' for number in differing)}"
                )
            driver = Driver(
                executor,
                lambda space: _engine(replace(description, space=space)),
                runs,
                recorded,
                _curves(store, description, recorded),
                progress,
                options.at_the_end,
                "plain" if differing else None,
            )
            ending = driver.run()
            status = "KILLED" if ending == INTERRUPTED else "FINISHED"
            # Partial files of killed workers.
            remove_pieces(runs.files.folder)
            if ending != INTERRUPTED:
                # A user may have renamed it while it ran.
                engines = [refreshed(each, runs.written) for each in (before, *held.others)]
                runs.description = replace(runs.description, name=engines[0].description.name)
                report.prepare()
                try:
                    choose_champion(executor, runs, engines, progress, verifier)
                except VerificationStopped:
                    # The next launch does it.
                    status, ending = "KILLED", INTERRUPTED
            history = _close(runs, before, status, ending, report)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            status, ending = "KILLED", INTERRUPTED
        elif isinstance(error, FailedAlikeError):
            ending = Ending("error", "its first trials failed alike")
        # The first error counts, not later failures to write.
        with catching_interrupts(finish):
            for _ in range(2):
                with contextlib.suppress(Exception):
                    _close(runs, before, status, ending)
                    break
        raise
    finally:
        progress.end()
    if ending == INTERRUPTED:
        raise KeyboardInterrupt
    return history


def _show_running(runs: StudyRuns, before: StudyHistory) -> None:
    """Marks a study as running, and prepares what people see of it in MLflow's UI."""
    now = replace(before, description=runs.description)
    runs.set_running({**commit_tags(runs.description.code), tags.NOTE: study_note(now)})
    describe_study(runs.store, runs.experiment_id)
    prepare_views(now)
    runs.on_grown = lambda description: prepare_views(replace(now, description=description))


def _close(
    runs: StudyRuns,
    before: StudyHistory,
    status: str,
    ending: Ending,
    report: ReportWriter | None = None,
) -> StudyHistory:
    """Ends a study's parent run with its summary and report; returns the recorded study."""
    history = refreshed(before, runs.written)
    ended = replace(history, status=status, ended_by=ending.by, stopped=ending.text)
    if report is not None and status == "FINISHED":
        record_corrected(ended)
        set_verdict(ended)
        report.write(ended)
    prepare_views(history)
    runs.close(status, study_note(history, ending.text), *ending)
    describe_study(runs.store, runs.experiment_id)
    return ended


def _curves(store: Store, description: StudyDescription, recorded: Sequence[TrialRecord]) -> Curve:
    """Returns what reads recorded trials as pruners saw them."""
    if description.folds:
        return FoldCurves(store, description, recorded, most_epochs(description))
    return RecordedCurves(store, recorded)


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


class ReportWriter:
    """Writes a study's report at the end of its launch."""

    def __init__(self, progress: Progress, *, wanted: bool) -> None:
        self._progress = progress
        self._wanted = wanted
        self._thread: threading.Thread | None = None

    def prepare(self) -> None:
        """Begins to import what charts need, while a worker verifies the champion."""
        if self._wanted:
            self._thread = threading.Thread(target=warm_up, daemon=True)
            self._thread.start()

    def write(self, history: StudyHistory) -> None:
        """Writes the report. If that fails, it says so: the study is what counts."""
        if self._thread is None:
            return
        self._progress.wait("writing the report")
        self._thread.join()
        try:
            write_report(history, default_store_path().absolute())
        except Exception as error:
            self._progress.say(
                f"warning: the report could not be written ({type(error).__name__}: {error}). "
                "To make it: kerastudy report"
            )
