"""`kerastudy confirm`: measures how good a study's best trials are, by training them again.

1. The race: the best trials are trained under new seeds. After each round the worse trials leave.
2. The test part: models with the winner's hyperparameters, and models with the search space's
   default values, are trained under further seeds. They are scored on the sealed test part.
"""

from __future__ import annotations

import contextlib
import shutil
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search_spaces import SearchSpace
from search_spaces.argument_checks import choice
from search_spaces.errors import KerastudyError, StatisticsError, StudyError
from studies.champion.champion_evaluation import warning_of
from studies.champion.choice_and_promotion import make_champion, stays_champion
from studies.champion.confirmation_plan_and_trainings import (
    DEFAULTS,
    ConfirmOptions,
    Plan,
    Training,
    Trainings,
    make_plan,
    survivors,
)
from studies.champion.runnable_recorded_study import AnyExecutor, RunnableStudy, opened
from studies.champion.verification_and_retraining import Verifier
from studies.definition import ExecutorName, StudyDefinition, check_workers
from studies.error_texts import describe
from studies.executors import Session
from studies.interruption import raising_interrupts
from tracking.history import (
    CONFIRMED,
    confirmation_of,
    evaluations_on,
    read_evaluations,
    record_evaluation,
    refreshed,
    study_verdict,
)
from tracking.mlflow import export_later
from tracking.records import (
    BestEpoch,
    Confirmation,
    ConstantGuess,
    Direction,
    Evaluation,
    Interval,
    Measured,
    Racer,
    TrialSpec,
)
from tracking.shell_commands import study_command
from tracking.statistics import SampleScores, confirmed_value, gain, level_of_reading, score_matrix
from tracking.store import remove_pieces


def confirm(
    study: str | StudyDefinition,
    *,
    top: int = ConfirmOptions.top,
    seeds: int = ConfirmOptions.seeds,
    budget: int = ConfirmOptions.budget,
    test: bool = ConfirmOptions.test,
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
            race, too, a trial is trained under at most this many new seeds.
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
        call, count = study_command(history, "confirm"), plan.trainings
        with (
            study.executor(
                plan.reported, call, in_process=in_process, workers=workers, trainings=count
            ) as executor,
            history.writing() as journal,
        ):
            trainings = Trainings(plan, executor, journal, progress)
            outcome = outcome or _run(trainings, unfinished)
            _make_champion(study, plan, outcome, executor)
            export_later(history.folder)
            return outcome


def in_this_process(executor: ExecutorName | None, workers: int | None, otherwise: bool) -> bool:
    """Returns whether trainings run in this process.

    Returns `otherwise` if `executor` and `workers` are both None.
    """
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
            f"The objective {description.objective.metric} has no value for each sample: "
            f"{result.unscored}. So no test part can confirm {description.name!r}",
            hint="With --no-test (test=False), the best trials race under new seeds, and the test "
            "part stays sealed.",
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
    if plan.tests and (warning := warning_of(_earlier_readings(trainings))):
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
        outcome = _score_on_test_part(trainings, outcome)
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
        staying, rest = staying[: round_.racers], staying[round_.racers :]
        out = [*rest, *out]
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
            f"The trainings of {description.name!r} under new seeds are all infeasible: {why}",
            hint="Mend the cause, and confirm again.",
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


@dataclass(frozen=True)
class _Scored:
    """The scores of a trial's models, or of the default values' models, on the test part."""

    by_place: Mapping[int, SampleScores]  # The keys are `Training.place`.
    guess: ConstantGuess | None = None  # The most frequent class of the test part, or None.
    unscored: str = ""  # Why there are no scores, or empty.


def _score_on_test_part(trainings: Trainings, outcome: Confirmation) -> Confirmation:
    """Trains the winner and the defaults under `test_seeds`, and scores their models.

    Returns the outcome of the race with the values on the test part, such as `confirmed` and
    `gain`, and with notes on them. There are no values if all trainings of the winner are
    infeasible, or if the winner's models can't score the test samples.

    A resumed confirmation may score the test part a second time. Both times count as one reading
    of the test part, because the models have the same weights.
    """
    plan, history, winner = trainings.plan, trainings.plan.history, outcome.winner
    numbers = [winner] if plan.has_defaults(winner) else [winner, DEFAULTS]
    trainings.run([], [training for n in numbers for training in plan.test_trainings(n)])
    feasible = {
        n: [t for t in plan.test_trainings(n) if trainings.value(t) is not None] for n in numbers
    }
    if not feasible[winner]:
        why = trainings.result(plan.test_trainings(winner)[0]).reason.rstrip(".")
        note = (
            f"Trial {winner} won the race, but all its trainings under fresh seeds are "
            f"infeasible, so the test part was not read: {why}."
        )
        return replace(outcome, notes=(*outcome.notes, note))
    trainings.progress.wait("reading the test part")
    scored = {n: _scores(trainings, feasible[n]) for n in numbers}
    digest, uuid = history.description.data.digests["test"], trainings.uuid
    records = [e for e in read_evaluations(history) if e.confirmation == uuid]
    now = records[0].time if records else time.time_ns() // 1_000_000
    readings = 1 + sum(e.time <= now for e in _earlier_readings(trainings))
    scores, unscored = scored[winner].by_place, scored[winner].unscored
    best, metrics = plan.racer(winner).best, dict[str, Measured]()
    assert best is not None, "it races"
    if unscored:
        how = f"not scored: {unscored}"
        note = (
            "The test part gives no value, as its samples can't be scored by the model of trial "
            f"{winner}: {unscored}."
        )
        outcome = replace(outcome, notes=(*outcome.notes, note))
    else:
        how = f"trained again under {len(scores)} new seeds, by kerastudy confirm"
        outcome = _with_values(plan, outcome, scored, readings)
        interval = outcome.confirmed
        low, high = (None, None) if interval is None else (interval.low, interval.high)
        values = [trainings.value(training) for training in feasible[winner]]
        validated = statistics.fmean(value for value in values if value is not None)
        metrics[outcome.metric.removeprefix("val_")] = Measured(
            statistics.fmean(outcome.winner_on_test),
            low,
            high,
            validation=best.value if plan.folds else validated,
        )
    if not records:
        evaluation = Evaluation(
            study=outcome.study,
            trial=winner,
            epoch=best.epoch,
            samples=len(next(iter(scores.values()), ())),
            digest=digest,
            metrics=metrics,
            note=how,
            time=now,
            confirmation=uuid,
            level=level_of_reading(readings),
        )
        record_evaluation(history, evaluation)
    return outcome


def _with_values(
    plan: Plan, outcome: Confirmation, scored: Mapping[int, _Scored], readings: int
) -> Confirmation:
    """Returns the outcome with the values of models that were scored on the test part.

    `scored` has the scores by the number of the trial, or by `DEFAULTS`.
    """
    winner, default = scored[outcome.winner], scored.get(DEFAULTS)
    scores, defaults = winner.by_place, {} if default is None else default.by_place
    note = not_paired(plan, None if default is None else defaults)
    if default is not None and default.unscored:
        note = f"The defaults can't be scored, so there is no gain: {default.unscored}."
    level = level_of_reading(readings)
    confirmed, gained, warning = _intervals(
        scores, {} if note else defaults, outcome.direction, level
    )
    if confirmed is not None and default is None:
        gained = Interval(0.0, 0.0, 0.0, level)
    return replace(
        outcome,
        confirmed=confirmed,
        gain=gained,
        test_samples=len(next(iter(scores.values()))),
        test_digest=plan.history.description.data.digests["test"],
        readings=readings,
        test_seeds=plan.test_seeds,
        winner_on_test=tuple(score.value for score in scores.values()),
        default_on_test=tuple(score.value for score in defaults.values()),
        guess=winner.guess,
        notes=(*outcome.notes, *filter(None, (warning, note))),
    )


def not_paired(plan: Plan, defaults: Mapping[int, SampleScores] | None) -> str:
    """Returns why the winner and the defaults can't be compared, or an empty text.

    `defaults` has the scores of the default values' models. It is None if the winner has the
    default values.
    """
    if plan.folds and plan.default_trial is None:
        return (
            "No trial has the default values, so the number of epochs to train them is not known, "
            "and no gain is measured. With try_defaults, trial 0 has the default values."
        )
    return "All trainings of the defaults are infeasible." if defaults == {} else ""


def _earlier_readings(trainings: Trainings) -> list[Evaluation]:
    """Returns all evaluations on the study's test part, except those by this confirmation."""
    history = trainings.plan.history
    readings = evaluations_on(history.store, history.description.data.digests["test"])
    return [reading for reading in readings if reading.confirmation != trainings.uuid]


def _scores(trainings: Trainings, chosen: Sequence[Training]) -> _Scored:
    scores: dict[int, SampleScores] = {}
    guess: ConstantGuess | None = None
    space = trainings.plan.history.description.space
    for training in chosen:
        best = trainings.result(training).best
        assert best is not None, "it has a value"
        # Only the first model's scores are compared with the objective that Keras computes: for
        # this comparison, Keras must trace the model, which takes time.
        path, compared = trainings.checkpoint(training), not scores
        answer = trainings.executor.ask(
            _scores_in_worker, training.spec, path, space, best, compared
        )
        if isinstance(answer, str):
            return _Scored({}, unscored=answer.rstrip("."))
        scores[training.place], guess = answer
    return _Scored(scores, guess)


def _intervals(
    winner: Mapping[int, SampleScores],
    default: Mapping[int, SampleScores],
    direction: Direction,
    level: float,
) -> tuple[Interval | None, Interval | None, str]:
    """Returns intervals of the winner's objective and of its gain over the defaults, and a note.

    An interval that can't be computed is None. For the gain, there must be at least two seeds under
    which both the winner and the defaults were scored.
    """
    try:
        confirmed, note = confirmed_value(list(winner.values()), direction, level=level)
    except StatisticsError as error:
        return None, None, f"No interval on the test part: {error}."
    both = sorted(set(winner) & set(default))
    if len(both) < 2:
        return confirmed, None, note
    ours, theirs = ([scores[place] for place in both] for scores in (winner, default))
    hits = len(ours[0]) if all(scores.is_hits for scores in (*ours, *theirs)) else 0
    try:
        gained = gain(score_matrix(ours), score_matrix(theirs), direction, level, hits=hits)
    except StatisticsError as error:
        return confirmed, None, f"{note} The gain over the default is unknown: {error}.".strip()
    return confirmed, gained, note


def _scores_in_worker(
    session: Session,
    spec: TrialSpec,
    checkpoint: Path,
    space: SearchSpace,
    best: BestEpoch,
    compared: bool,
) -> tuple[SampleScores, ConstantGuess | None] | str:
    """Scores the test samples by a training's best weights, or returns why that is impossible.

    With `compared`, Keras computes the objective on the test samples too. If the scores give
    another value, they are wrong, and a text that says so is returned.
    """
    from studies.data import guess_on
    from studies.training import (
        NotScoredError,
        evaluated,
        rebuilt,
        restore_settings,
        sample_scores,
        scalars,
    )

    try:
        splits: Any = session.splits_of(spec.fold)
        model = rebuilt(session.study, space, splits, spec, checkpoint)
        # The functions below score the validation part, so the test part is put in its place.
        splits = replace(splits, validation=splits.unseal_test())
        metric, recorded = spec.objective.metric, None
        if compared:
            measured = scalars(evaluated(model, splits, spec.batch_size))
            recorded = measured[metric.removeprefix("val_")]
        scores = sample_scores(
            model, splits, metric, epoch=best.epoch, batch_size=spec.batch_size, recorded=recorded
        )
        return scores, guess_on(splits)
    except NotScoredError as error:
        return str(error)
    except KerastudyError:
        raise
    except Exception as error:
        return describe(error)
    finally:
        restore_settings()
