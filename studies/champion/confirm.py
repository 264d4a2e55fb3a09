"""Confirms a study's choice: `kerastudy.confirm`, and what the command does."""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path

from search_spaces import checks
from search_spaces.errors import StudyError
from studies.champion.checkpoints import opened
from studies.champion.confirmation_outcome import (
    earlier_readings,
    make_outcome,
    read_test_part,
    warning_of,
)
from studies.champion.confirmation_plan import DEFAULTS, ConfirmOptions, Plan, make_plan
from studies.champion.confirmation_trainings import Trainings
from studies.champion.promotion import make_champion, stays_champion
from studies.champion.recorded import AnyExecutor, opened_executor
from studies.champion.verification import Verifier
from studies.definition import ExecutorName, StudyDefinition
from studies.interruption import raising_interrupts
from studies.progress import NoProgress, Progress, showing
from tracking.history.champions import record_verified
from tracking.history.confirmations import confirmation_of
from tracking.history.study_history import CONFIRMED, StudyHistory, read_study
from tracking.history.verdicts import study_verdict
from tracking.mlflow.process import export_later
from tracking.records.checks import Confirmation
from tracking.statistics.race import survivors
from tracking.store.files import remove_pieces


def confirm(
    study: str | StudyDefinition,
    *,
    top: int = 8,
    seeds: int = 5,
    budget: int = 16,
    test: bool = True,
    keep: bool = False,
    store: str | Path | None = None,
    engine: str | None = None,
    executor: ExecutorName | None = None,
    workers: int | None = None,
    trust: bool = False,
    progress: bool = True,
) -> Confirmation:
    """Checks a study's choice: how much of its best value to believe, and whether tuning paid.

    The best trials race under new seeds. Then, if the data has a sealed test part, the winner and
    the space's declared defaults are trained under further seeds, and the test part is read, once.
    Everything is recorded below the study. Call it again to resume: no training runs twice. The
    winner becomes the champion.

    Args:
        study: The study's name; or the study itself, for one of a notebook.
        top: The best trials that race, at least 2.
        seeds: Fresh seeds for the test part, at least 5.
        budget: Trainings of the race.
        test: Whether to read the test part.
        keep: Whether the present champion stays, instead of the winner.
        store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.
        engine: The engine whose trials race, if the study was launched with several; None for that
            of the best trial.
        executor: ``"in-process"``, or ``"worker"`` for processes of their own. Default: the former
            for a study of this process, unless ``workers`` is given; the latter for a name.
        workers: Trainings to run at once, each in a worker process; None: as many as suit the
            machine and the study.
        trust: Whether to run the code in a store that this user did not make.
        progress: Whether to show progress on standard error.

    Returns:
        The outcome, as it is recorded.

    Raises:
        StudyError: If there are too few trials to choose among, the budget is too small, or the
            study can't be loaded.
        TrackingError: If the store has no such study, or another process holds it.
        KeyboardInterrupt: If Ctrl-C or SIGTERM stopped it; call it again to resume.
    """
    options = ConfirmOptions(top=top, seeds=seeds, budget=budget, test=test)
    where = where_trainings_run(
        executor, workers, "worker" if isinstance(study, str) else "in-process"
    )
    history, definition, _ = opened(study, store, engine, trust)
    with raising_interrupts(), showing(progress) as shown:
        return confirm_study(
            history,
            options,
            study=definition,
            keep=keep,
            in_process=where == "in-process",
            workers=workers,
            progress=shown,
        )


def confirm_study(
    history: StudyHistory,
    options: ConfirmOptions,
    *,
    study: StudyDefinition | None = None,
    data: str = "",
    keep: bool = False,
    in_process: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Confirmation:
    """Confirms a study's choice under one engine.

    `study` is the study of this process, instead of the recorded code; `data` the file with the
    data, if it has moved.
    """
    progress = progress or NoProgress()
    make_plan(history, options)
    with history.store.lock_study(history.folder, history.description.name):
        # As no process changes it any more.
        history = read_study(history.store, history.description.name, history.description.engine)
        plan = make_plan(history, options)
        unfinished, ended = confirmation_of(history, plan.to_json())
        if ended is not None:
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(ended.time / 1000))
            if _settle(plan, ended, keep=keep):
                progress.say(f"confirmed on {when}, and nothing has changed since")
                return ended
            progress.say(f"confirmed on {when}; its winner becomes the champion")
        with (
            opened_executor(
                history,
                plan.reported,
                study=study,
                data=data,
                in_process=in_process,
                workers=workers,
                trainings=plan.trainings,
                progress=progress,
            ) as executor,
            history.writing() as journal,
        ):
            trainings = Trainings(plan, executor, journal, progress)
            outcome = ended or _carried_out(trainings, unfinished)
            if not keep:
                _make_champion(plan, outcome, executor, progress)
            export_later(history.folder)
            return outcome


def where_trainings_run(
    executor: ExecutorName | None, workers: int | None, otherwise: ExecutorName
) -> ExecutorName:
    """Returns where trainings run."""
    if executor not in (None, "in-process", "worker"):
        raise StudyError(f"executor must be 'in-process' or 'worker'. Received: {executor!r}.")
    if workers is None:
        return executor or otherwise
    checks.whole_number("workers", workers, StudyError)
    if executor == "in-process":
        raise StudyError(
            "The executor 'in-process' runs one training at a time, in this process, so it takes "
            f"no number of workers. Received: {workers!r}. Leave one of the two out."
        )
    return "worker"


def _carried_out(done: Trainings, unfinished: str) -> Confirmation:
    """Trains, chooses, reads the test part, and records the outcome.

    `unfinished` is the uuid of a confirmation of the same plan that was interrupted, or empty.
    """
    plan, journal = done.plan, done.journal
    _check_scored(plan)
    done.uuid = journal.begin_confirmation(plan.to_json(), unfinished)
    ended = False
    try:
        remove_pieces(done.folder)
        outcome = _outcome(done)
        journal.end_confirmation(done.uuid, outcome)
        ended = True
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{done.count} of {plan.trainings} trainings are recorded; confirm again to resume"
        ) from None
    finally:
        if not ended:
            # The first error counts, not later failures to write.
            with contextlib.suppress(Exception):
                journal.end_confirmation(done.uuid, None)
    done.clear()
    return outcome


def _outcome(done: Trainings) -> Confirmation:
    plan, history = done.plan, done.plan.history
    verdict, notes = study_verdict(history), list[str]()
    if verdict.unknown:
        notes.append(f"The best value can't be corrected for the choice: {verdict.unknown}.")
    digest = history.description.data.digests.get("test", "")
    if plan.tests:
        done.progress.say_all(warning_of(earlier_readings(history, digest, done.uuid)))
    race, folds = plan.race_size, f" on {plan.folds} folds each" if plan.folds else ""
    tested = f", {plan.test_size} for the test part" if plan.tests else ""
    done.progress.begin_trainings(
        f"confirming {history.description.name}: {race} trainings of a race of "
        f"{len(plan.racers)} trials{folds}{tested}",
        history.description.objective,
        done.count,
        plan.trainings,
    )
    ranking = _raced(done)
    unsaved = plan.racer(ranking[0]).result.unsaved
    if unsaved:
        notes.append(f"Trial {ranking[0]} can't be the champion: it has no checkpoint ({unsaved}).")
    reading, why = read_test_part(done, ranking[0]) if plan.tests else (None, _why_not_tested(plan))
    notes += [why] if why else []
    return make_outcome(done, ranking, verdict.corrected, reading, notes)


def _raced(done: Trainings) -> list[int]:
    """Runs the race; returns the racers' numbers, best first.

    The trainings of the defaults, which do not depend on it, fill its last round.
    """
    plan, description = done.plan, done.plan.history.description
    staying, out, seeds = [each.number for each in plan.racers], list[int](), 0
    for planned in plan.rounds:
        staying, left = staying[: planned.racers], staying[planned.racers :]
        out = [*left, *out]
        wanted = [t for n in staying for t in plan.race_trainings(n, seeds, planned.seeds)]
        further = plan.test_trainings(DEFAULTS) if planned is plan.rounds[-1] else []
        done.run(wanted, further)
        seeds += planned.seeds
        values = {n: [done.value_at(n, place) for place in range(seeds)] for n in staying}
        staying = list(survivors(values, len(staying), description.objective.direction))
    if all(value is None for value in values[staying[0]]):
        reasons = [done.result(each).reason for each in plan.trainings_at(staying[0], 0)]
        why = next(filter(None, reasons), "no epoch of all folds has a value").rstrip(".")
        raise StudyError(
            f"The trainings of {description.name!r} under new seeds are all infeasible: {why}. "
            "Mend that, and confirm again."
        )
    return [*staying, *out]


def _check_scored(plan: Plan) -> None:
    """Refuses an objective without scores of samples, before anything is trained."""
    result, described = plan.reported.result, plan.history.description
    if plan.tests and result.unscored and not result.scores_bytes:
        raise StudyError(
            f"The objective {described.objective.metric} can't be scored by sample: "
            f"{result.unscored}. So no test part can confirm {described.name!r}; with --no-test "
            "(test=False) its best trials race under new seeds all the same."
        )


def _make_champion(
    plan: Plan, outcome: Confirmation, executor: AnyExecutor, progress: Progress
) -> None:
    """Makes the winner the champion, whatever the test part said: that is no ground to choose."""
    history, trial = plan.history, plan.racer(outcome.winner)
    if _settle(plan, outcome):
        return
    try:
        trial = record_verified(history, trial, Verifier(executor, progress).verify(history, trial))
        if not trial.holds:
            raise StudyError(trial.verified)
        with tempfile.TemporaryDirectory() as folder:
            champion, _ = make_champion(history, trial, executor, Path(folder), progress, CONFIRMED)
        progress.say(f"trial {trial.number} is the champion now: {champion}")
    except StudyError as error:
        progress.say(f"warning: trial {trial.number} won, and can't be the champion: {error}")


def _settle(plan: Plan, outcome: Confirmation, *, keep: bool = False) -> bool:
    """Lets launches keep a winner that is the champion already; returns whether that is all to do.

    The winner is not the champion yet if another trial was promoted since, or the process was
    killed. It never is if its weights can't be saved, or if the present champion stays.
    """
    history, trial = plan.history, plan.racer(outcome.winner)
    if keep or trial.result.unsaved:
        return True
    # Launches keep it from now on; what a person said of it counts.
    return stays_champion(history, trial, history.promoted or CONFIRMED)


def _why_not_tested(plan: Plan) -> str:
    if "test" in plan.history.description.data.digests:
        return "The test part was left sealed, as asked."
    why = "The data has no test part"
    if plan.history.description.objective_function:
        why = "The objective function loads its data itself, so no test part is sealed"
    return (
        f"{why}. New seeds on the same validation samples show the chance in "
        "training alone: the choice was made on these samples, so an interval from them would be "
        "too narrow."
    )
