"""`kerastudy confirm`: measures how good a study's best trials are, by training them again.

1. The race: the best trials are trained under new seeds. After each round the worse trials leave.
2. The test part: models with the winner's hyperparameters, and models with the search space's
   default values, are trained under further seeds. They are scored on the sealed test part.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from search_spaces.argument_checks import choice
from search_spaces.errors import StudyError
from studies.champion.choosing import make_champion, stays_champion
from studies.champion.confirmation_test_part import score_on_test_part, warn_of_readings
from studies.champion.confirmation_trainings import (
    DEFAULTS,
    ConfirmOptions,
    Plan,
    Trainings,
    make_plan,
)
from studies.champion.recorded_code import AnyExecutor, check_data, opened, recorded_executor
from studies.champion.verification_by_model_fit import Verifier
from studies.definition import ExecutorName, StudyDefinition, check_workers
from studies.interruption import raising_interrupts
from studies.progress import NoProgress, Progress, showing
from tracking.history.champions import record_verified
from tracking.history.study_history import CONFIRMED, StudyHistory, read_study
from tracking.history.verdicts import confirmation_of, study_verdict
from tracking.mlflow.exporter_process import export_later
from tracking.records.evaluation_records import Confirmation, Racer
from tracking.statistics.confirmation_race import survivors
from tracking.store.atomic_writing import remove_pieces


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
    """Checks how much of a study's best value to believe, and whether tuning beat the defaults.

    First, the best trials race: they are trained under new seeds, and the worse trials leave after
    each round. If the data has a sealed test part, models with the winner's hyperparameters and
    models with the space's default values are then trained under further seeds, and scored on that
    part. The winner becomes the champion. After an interruption, the same call resumes: no training
    runs twice.

    Args:
        study: The study's name, or the study itself if it was made in a notebook.
        top: How many of the best trials race, at least 2.
        seeds: Under how many new seeds to train the models for the test part, at least 5. In the
            race, a trial is trained under at most as many new seeds.
        budget: The number of trainings in the race. In a cross-validated study, the trainings of
            all folds under one seed count as one.
        test: Whether to score the winner and the default values on the test part.
        keep: Whether the present champion stays, even if another trial wins.
        store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.
        engine: The engine whose trials race; None for the champion's engine, else the best trial's.
        executor: ``"in-process"``, or ``"worker"`` for worker processes. The default is
            ``"in-process"`` if `study` is an object and ``workers`` is None, else ``"worker"``.
        workers: How many trainings run at once, each in a worker process; None for as many as suit
            the machine and the study.
        trust: Whether to run the code in a store that this user did not make.
        progress: Whether to show progress on standard error.

    Returns:
        The outcome, which is also recorded with the study.

    Raises:
        StudyError: If there are too few trials to choose among, the budget is too small, or the
            study can't be loaded.
        TrackingError: If the store has no such study, or another process is running the study.
        KeyboardInterrupt: If Ctrl-C or SIGTERM stopped the confirmation. Call `confirm` again to
            resume it.
    """
    options = ConfirmOptions(top=top, seeds=seeds, budget=budget, test=test)
    where = where_trainings_run(
        executor, workers, "worker" if isinstance(study, str) else "in-process"
    )
    history, definition = opened(study, store, engine, trust)
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
    """Confirms the best trials of one engine, as `confirm` describes.

    `study` is a study object to run instead of the recorded code. If the data has moved, `data` is
    its new path.
    """
    progress = progress or NoProgress()
    with history.store.lock_study(history.folder, history.description.name):
        # The study is read again, as another process may have changed it before this process got
        # the lock.
        history = read_study(history.store, history.description.name, history.description.engine)
        plan = make_plan(history, options)
        unfinished, outcome = confirmation_of(history, plan.to_json())
        if outcome is not None:
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(outcome.time / 1000))
            if keep or _needs_no_registration(plan, outcome):
                progress.say(f"confirmed on {when}, and nothing has changed since")
                return outcome
            progress.say(f"confirmed on {when}; its winner becomes the champion")
        with (
            recorded_executor(
                history,
                plan.reported,
                study=study,
                data=data,
                progress=progress,
                in_process=in_process,
                workers=workers,
                trainings=plan.trainings,
            ) as executor,
            history.writing() as journal,
        ):
            check_data(plan.reported, executor)
            trainings = Trainings(plan, executor, journal, progress)
            outcome = outcome or _run(trainings, unfinished)
            if not keep:
                _make_champion(plan, outcome, executor, progress)
            export_later(history.folder)
            return outcome


def where_trainings_run(
    executor: ExecutorName | None, workers: int | None, otherwise: ExecutorName
) -> ExecutorName:
    """Returns the executor that the options name, or `otherwise` if they name none."""
    if executor is not None:
        choice("executor", executor, ("in-process", "worker"), StudyError)
    check_workers(workers, executor)
    return "worker" if workers is not None else executor or otherwise


def _run(trainings: Trainings, unfinished: str) -> Confirmation:
    """Runs a plan. `unfinished` is the uuid of a confirmation to resume, or empty."""
    plan, journal = trainings.plan, trainings.journal
    result, description = plan.reported.result, plan.history.description
    if plan.tests and result.unscored and not result.scores_bytes:
        raise StudyError(
            f"The objective {description.objective.metric} has no scores of single samples: "
            f"{result.unscored}. So no test part can confirm {description.name!r}; with --no-test "
            "(test=False) its best trials race under new seeds all the same."
        )
    trainings.uuid = journal.begin_confirmation(plan.to_json(), unfinished)
    try:
        remove_pieces(trainings.folder)
        outcome = _outcome(trainings)
        journal.end_confirmation(trainings.uuid, outcome)
    except BaseException as error:
        # If the journal raises an error too, the user must still see the first error.
        with contextlib.suppress(Exception):
            journal.end_confirmation(trainings.uuid, None)
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(
                f"{trainings.count} of {plan.trainings} trainings are recorded; confirm again to "
                "resume"
            ) from None
        raise
    shutil.rmtree(trainings.folder, ignore_errors=True)
    return outcome


def _outcome(trainings: Trainings) -> Confirmation:
    plan = trainings.plan
    history, description = plan.history, plan.history.description
    verdict = study_verdict(history)
    if plan.tests:
        warn_of_readings(trainings)
    folds = f" on {plan.folds} folds each" if plan.folds else ""
    tested = f", then {plan.test_size} for the test part" if plan.tests else ""
    trainings.progress.begin_trainings(
        f"confirming {description.name}: {len(plan.racers)} trials race in {plan.race_size} "
        f"trainings under new seeds{folds}{tested}",
        trainings.count,
        plan.trainings,
    )
    ranking = _race(trainings)
    winner, notes = ranking[0], list(plan.notes)
    if verdict.unknown:
        notes.append(f"The best value can't be corrected for the choice: {verdict.unknown}.")
    unsaved = plan.racer(winner).result.unsaved
    if unsaved:
        notes.append(f"Trial {winner} can't be the champion: it has no checkpoint ({unsaved}).")
    fields: dict[str, Any] = {}
    reasons = [] if plan.tests else [_why_not_tested(plan)]
    if plan.tests:
        fields, reasons = score_on_test_part(trainings, winner)
    default, racer, runs = None, plan.default_racer, plan.test_trainings(DEFAULTS)
    if fields and racer is not None and racer.number == winner:
        default = _racer(trainings, winner)
    elif fields and runs and all(map(trainings.knows, runs)):
        default = _racer(trainings, DEFAULTS)
    best = plan.reported.best
    assert best is not None, "it races"
    return Confirmation(
        study=description.name,
        engine=description.engine,
        uuid=trainings.uuid,
        metric=description.objective.metric,
        direction=description.objective.direction,
        reported_trial=plan.reported.number,
        reported=best.value,
        corrected=verdict.corrected,
        seeds=plan.seeds,
        race=tuple(_racer(trainings, number) for number in ranking),
        default=default,
        winner=winner,
        notes=(*notes, *reasons),
        time=time.time_ns() // 1_000_000,
        **fields,
    )


def _race(trainings: Trainings) -> list[int]:
    """Runs the race; returns the trials' numbers, best first.

    The trainings with the default values, for the test part, run together with the last round.
    """
    plan, description = trainings.plan, trainings.plan.history.description
    staying, out, seeds = [racer.number for racer in plan.racers], list[int](), 0
    for planned in plan.rounds:
        staying, left = staying[: planned.racers], staying[planned.racers :]
        out = [*left, *out]
        places = range(seeds, seeds + planned.seeds)
        trainings.run(
            [t for n in staying for place in places for t in plan.trainings_at(n, place)],
            plan.test_trainings(DEFAULTS) if planned is plan.rounds[-1] else [],
        )
        seeds += planned.seeds
        values = {n: [trainings.value_at(n, place) for place in range(seeds)] for n in staying}
        staying = list(survivors(values, len(staying), description.objective.direction))
    if all(value is None for value in values[staying[0]]):
        reasons = [trainings.result(t).reason for t in plan.trainings_at(staying[0], 0)]
        why = next(filter(None, reasons), "no epoch of all folds has a value").rstrip(".")
        raise StudyError(
            f"The trainings of {description.name!r} under new seeds are all infeasible: {why}. "
            "Mend that, and confirm again."
        )
    return [*staying, *out]


def _racer(trainings: Trainings, trial: int) -> Racer:
    """Returns a trial with its values in the race.

    If `trial` is `DEFAULTS`, returns the default values' trainings under `test_seeds`. In a
    cross-validated study these have no values: they train on all folds together, so no data is
    left to validate them.
    """
    plan = trainings.plan
    if trial == DEFAULTS:
        runs, spec = plan.test_trainings(trial), plan.default
        values = [] if plan.folds else [trainings.value(training) for training in runs]
    else:
        # A trial that left the race early was trained under the first seeds only, so the other
        # seeds are left out.
        by_place = {place: plan.trainings_at(trial, place) for place in range(len(plan.seeds))}
        by_place = {p: runs for p, runs in by_place.items() if all(map(trainings.knows, runs))}
        runs, spec = [t for runs in by_place.values() for t in runs], plan.racer(trial).spec
        values = [trainings.value_at(trial, place) for place in by_place]
    parameters = max((trainings.result(t).model_parameters for t in runs), default=0)
    return Racer(trial, tuple(values), parameters, spec.epochs)


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


def _make_champion(
    plan: Plan, outcome: Confirmation, executor: AnyExecutor, progress: Progress
) -> None:
    """Makes the race's winner the champion, even if its values on the test part are bad.

    Values on the test part must not influence a choice.
    """
    history, trial = plan.history, plan.racer(outcome.winner)
    if _needs_no_registration(plan, outcome):
        return
    try:
        trial = record_verified(history, trial, Verifier(executor, progress).verify(history, trial))
        if not trial.holds:
            raise StudyError(trial.verified)
        engine, former = history.description.engine, history.champion_engine
        if former not in ("", engine):
            progress.say(
                f"trial {trial.number} of {engine} replaces the champion, a trial of {former}; "
                "with --keep it stays"
            )
        with tempfile.TemporaryDirectory() as folder:
            champion, _ = make_champion(history, trial, executor, Path(folder), progress, CONFIRMED)
        progress.say(f"trial {trial.number} is the champion now: {champion}")
    except StudyError as error:
        progress.say(f"warning: trial {trial.number} won, and can't be the champion: {error}")


def _needs_no_registration(plan: Plan, outcome: Confirmation) -> bool:
    """Returns whether there is nothing to register.

    This is so if the winner is the champion already, or if its weights were not saved. If it is
    the champion already, this function records it as confirmed.
    """
    history, trial = plan.history, plan.racer(outcome.winner)
    if trial.result.unsaved:
        return True
    # If a user promoted the champion before, the reason for that stays recorded.
    return stays_champion(history, trial, history.promoted or CONFIRMED)
