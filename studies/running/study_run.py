"""Runs a study that an executor has loaded: its driver, its champion, its summary and report."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import replace

from search_spaces.errors import FailedAlikeError
from studies.champion.choosing import choose_champion
from studies.champion.verification import VerificationStopped, Verifier
from studies.definition import LaunchOptions
from studies.engines.engine import Curve, Engine, EngineSettings
from studies.engines.make import make_engine
from studies.executors.executor import Executor
from studies.interruption import catching_interrupts
from studies.progress import Progress
from studies.running.budget import INTERRUPTED, Ending
from studies.running.definitions import most_epochs, with_hardware
from studies.running.driver import Driver
from studies.running.opening import (
    HeldStudy,
    check_store,
    exporting,
    held_study,
    open_journal,
    superseded,
)
from studies.user_code.user_modules import commit_of
from tracking.history.curves import FoldCurves, RecordedCurves
from tracking.history.study_history import StudyHistory, refreshed
from tracking.history.verdicts import record_corrected
from tracking.journal import Journal
from tracking.mlflow.process import Exporter
from tracking.records import StudyDescription, TrialRecord
from tracking.records.checks import differs
from tracking.store.files import files_of, remove_pieces


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
                options.at_the_end,
                "plain" if differing else None,
            )
            ending = driver.run()
            status = "KILLED" if ending == INTERRUPTED else "FINISHED"
            # Partial files of killed workers.
            remove_pieces(checkpoints)
            if ending != INTERRUPTED:
                engines = [refreshed(before), *held.others]
                try:
                    choose_champion(executor, engines, progress, verifier)
                except VerificationStopped:
                    # The next launch does it.
                    status, ending = "KILLED", INTERRUPTED
            history = _close(journal, before, status, ending)
            exporter.finish(progress.wait)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            status, ending = "KILLED", INTERRUPTED
        elif isinstance(error, FailedAlikeError):
            ending = Ending("error", "its first trials failed alike")
        # The first error counts, not later failures to write.
        with catching_interrupts(finish), contextlib.suppress(Exception):
            journal.end(status, *ending)
        raise
    finally:
        progress.end()
    if ending == INTERRUPTED:
        raise KeyboardInterrupt
    return history


def _close(journal: Journal, before: StudyHistory, status: str, ending: Ending) -> StudyHistory:
    """Ends a study's launch in the record; returns the recorded study."""
    journal.end(status, *ending)
    history = refreshed(before)
    if status == "FINISHED":
        record_corrected(history)
        history = refreshed(history)
    return history


def _differing(description: StudyDescription, engines: Sequence[StudyHistory]) -> list[int]:
    """Returns the trials of the study's present code that `model.fit` contradicts."""
    same = description.code.same_as
    trials = [trial for history in engines for trial in history.trials]
    return sorted(t.number for t in trials if differs(t.verified) and same(t.code_digest))


def _curves(journal: Journal, recorded: Sequence[TrialRecord]) -> Curve:
    """Returns what reads recorded trials as pruners saw them."""
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
