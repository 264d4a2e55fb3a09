"""`kerastudy confirm`: measures how good a study's best trials are, by training them again.

1. The race: the best trials are trained under new seeds. After each round the worse trials leave.
2. The test part: models with the winner's hyperparameters, and models with the search space's
   default values, are trained under further seeds. They are scored on the sealed test part.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from dataclasses import replace
from pathlib import Path

from search_spaces.argument_checks import choice
from search_spaces.errors import StudyError
from studies.champion.choosing import make_champion, stays_champion
from studies.champion.confirmation_test_part import earlier_readings, score_on_test_part
from studies.champion.confirmation_trainings import (
    DEFAULTS,
    ConfirmOptions,
    Plan,
    Trainings,
    make_plan,
)
from studies.champion.evaluation_on_test_part import warning_of
from studies.champion.recorded_code import AnyExecutor, RunnableStudy, opened
from studies.champion.verification import Verifier
from studies.definition import ExecutorName, StudyDefinition, check_workers
from studies.interruption import raising_interrupts
from tracking.history.study_history import CONFIRMED, refreshed
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
    store: str | Path | None = None,
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
        store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.
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
    here = in_this_process(executor, workers, otherwise=not isinstance(study, str))
    with (
        raising_interrupts(),
        opened(study, store, trust=trust, progress=progress) as recorded,
    ):
        return confirm_study(recorded, options, in_process=here, workers=workers)


def confirm_study(
    study: RunnableStudy,
    options: ConfirmOptions,
    *,
    in_process: bool = False,
    workers: int | None = None,
) -> Confirmation:
    """Confirms the best trials of a study, as `confirm` describes."""
    history, progress = study.history, study.progress
    with history.store.lock_study(history.folder, history.description.name):
        # The study is read again, as another process may have changed it before this process got
        # the lock.
        history = refreshed(history)
        study, plan = replace(study, history=history), make_plan(history, options)
        unfinished, outcome = confirmation_of(history, plan.to_json())
        if outcome is not None:
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(outcome.time / 1000))
            if _needs_no_registration(plan, outcome):
                progress.say(f"confirmed on {when}, and nothing has changed since")
                return outcome
            progress.say(f"confirmed on {when}; its winner becomes the champion")
        with (
            study.executor(
                plan.reported, in_process=in_process, workers=workers, trainings=plan.trainings
            ) as executor,
            history.writing() as journal,
        ):
            trainings = Trainings(plan, executor, journal, progress)
            outcome = outcome or _run(trainings, unfinished)
            _make_champion(study, plan, outcome, executor)
            export_later(history.folder)
            return outcome


def in_this_process(executor: ExecutorName | None, workers: int | None, otherwise: bool) -> bool:
    """Returns whether trainings run in this process, or `otherwise` if the options are None."""
    if executor is not None:
        choice("executor", executor, ("in-process", "worker"), StudyError)
    check_workers(workers, executor)
    if executor is None and workers is None:
        return otherwise
    return executor == "in-process"


def _run(trainings: Trainings, unfinished: str) -> Confirmation:
    """Runs a plan. Resumes the confirmation with the uuid `unfinished`, if it is not empty."""
    plan, journal = trainings.plan, trainings.journal
    result, description = plan.reported.result, plan.history.description
    if plan.tests and result.unscored and not result.scores_bytes:
        raise StudyError(
            f"The objective {description.objective.metric} has no scores of single samples: "
            f"{result.unscored}. So no test part can confirm {description.name!r}. With --no-test "
            "(test=False), its best trials only race under new seeds."
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
    plan, progress = trainings.plan, trainings.progress
    description = plan.history.description
    verdict = study_verdict(plan.history)
    if plan.tests and (warning := warning_of(earlier_readings(trainings))):
        progress.say(f"warning: {warning}")
    folds = f" on {plan.folds} folds each" if plan.folds else ""
    tested = f", then {plan.test_size} for the test part" if plan.tests else ""
    progress.begin_trainings(
        f"confirming {description.name}: {len(plan.racers)} trials race in {plan.race_size} "
        f"trainings under new seeds{folds}{tested}",
        trainings.count,
        plan.trainings,
    )
    ranking = _race(trainings)
    winner, best, notes = plan.racer(ranking[0]), plan.reported.best, list(plan.notes)
    assert best is not None, "it races"
    if verdict.unknown:
        notes.append(f"The best value can't be corrected for the choice: {verdict.unknown}.")
    if why := winner.result.unsaved:
        notes.append(f"Trial {winner.number} can't be the champion: it has no checkpoint ({why}).")
    if not plan.tests:
        notes.append(_why_not_tested(plan))
    outcome = Confirmation(
        study=description.name,
        uuid=trainings.uuid,
        metric=description.objective.metric,
        direction=description.objective.direction,
        reported_trial=plan.reported.number,
        reported=best.value,
        corrected=verdict.corrected,
        seeds=plan.seeds,
        race=tuple(_racer(trainings, number) for number in ranking),
        default=None,
        winner=winner.number,
        notes=tuple(notes),
    )
    if plan.tests:
        outcome = score_on_test_part(trainings, outcome)
    if outcome.winner_on_test:
        if plan.has_defaults(winner.number):
            outcome = replace(outcome, default=_racer(trainings, winner.number))
        elif plan.test_trainings(DEFAULTS):
            outcome = replace(outcome, default=_racer(trainings, DEFAULTS))
    return replace(outcome, time=time.time_ns() // 1_000_000)


def _race(trainings: Trainings) -> list[int]:
    """Runs the race; returns the trials' numbers, best first.

    The trainings with the default values, for the test part, run together with the last round.
    """
    plan, description = trainings.plan, trainings.plan.history.description
    staying, out, seeds = [racer.number for racer in plan.racers], list[int](), 0
    for round_ in plan.rounds:
        staying, left = staying[: round_.racers], staying[round_.racers :]
        out = [*left, *out]
        places = range(seeds, seeds + round_.seeds)
        trainings.run(
            [t for n in staying for place in places for t in plan.trainings_at(n, place)],
            plan.test_trainings(DEFAULTS) if round_ is plan.rounds[-1] else [],
        )
        seeds += round_.seeds
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

    If `trial` is `DEFAULTS`, the values are those of the trainings with the space's default values
    under `test_seeds`. In a cross-validated study, these trainings have no values: they train on
    all folds together, so no data is left to validate them.
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
        f"{why}, so there is no interval. The race uses the validation samples by which the trials "
        "were chosen. It shows the chance in training, but not the chance in these samples, so an "
        "interval from it would be too narrow."
    )


def _make_champion(
    study: RunnableStudy, plan: Plan, outcome: Confirmation, executor: AnyExecutor
) -> None:
    """Makes the race's winner the champion, even if its values on the test part are bad.

    Values on the test part must not influence a choice.
    """
    history, progress, trial = study.history, study.progress, plan.racer(outcome.winner)
    if _needs_no_registration(plan, outcome):
        return
    try:
        trial = Verifier(executor, progress).verify(history, trial)
        if not trial.holds:
            raise StudyError(trial.verified)
        champion, _ = make_champion(study, trial, executor, CONFIRMED)
        progress.say(f"trial {trial.number} is the champion now: {champion}")
    except StudyError as error:
        progress.say(f"warning: trial {trial.number} won, but can't be the champion: {error}")


def _needs_no_registration(plan: Plan, outcome: Confirmation) -> bool:
    """Returns whether the winner is the champion already, or has no saved weights to register.

    If the winner is the champion already, records it as confirmed.
    """
    history, trial = plan.history, plan.racer(outcome.winner)
    if trial.result.unsaved:
        return True
    # If a user promoted the champion before, the reason for the promotion stays recorded.
    return stays_champion(history, trial, history.promoted or CONFIRMED)
