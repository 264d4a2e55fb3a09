"""`kerastudy confirm`: measures how good a study's best trials are.

1. The race: the best trials are trained under new seeds. After each round the worse ones leave.
2. The test part: the winner and the space's default values are trained under further seeds, and
   scored on the sealed test part.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search_spaces.argument_checks import choice
from search_spaces.errors import StatisticsError, StudyError
from studies.champion.choosing import make_champion, stays_champion
from studies.champion.confirm_trainings import (
    DEFAULTS,
    ConfirmOptions,
    Plan,
    TestScores,
    Training,
    Trainings,
    make_plan,
)
from studies.champion.evaluation import Reading
from studies.champion.recorded import AnyExecutor, check_data, opened, recorded_executor
from studies.champion.verification import Verifier
from studies.definition import ExecutorName, StudyDefinition, check_workers
from studies.interruption import raising_interrupts
from studies.progress import NoProgress, Progress, showing
from tracking.history.champions import record_verified
from tracking.history.study_history import CONFIRMED, StudyHistory, read_study
from tracking.history.verdicts import (
    confirmation_of,
    evaluations_on,
    read_evaluations,
    record_evaluation,
    study_verdict,
)
from tracking.mlflow.process import export_later
from tracking.records.data_findings import ConstantGuess
from tracking.records.evaluation_records import (
    Confirmation,
    Corrected,
    Evaluation,
    Interval,
    Measured,
    Racer,
)
from tracking.scores.sample_scores import SampleScores, score_matrix
from tracking.statistics.corrections import confirmed_value
from tracking.statistics.intervals import gain, level_of_reading
from tracking.statistics.race import survivors
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
    """Checks a study's choice: how much of its best value to believe, and whether tuning paid.

    First, the best trials race: they are trained under new seeds, and the worse ones leave after
    each round. If the data has a sealed test part, the winner and the space's default values are
    then trained under further seeds, and scored on that part. The winner becomes the champion.
    After an interruption, the same call resumes: no training runs twice.

    Args:
        study: The study's name, or the study itself if it was made in a notebook.
        top: How many of the best trials race, at least 2.
        seeds: The number of new seeds for the test part, at least 5.
        budget: The number of trainings in the race.
        test: Whether to read the test part.
        keep: Whether the present champion stays, even if another trial wins.
        store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.
        engine: The engine whose trials race; None for the engine of the best trial.
        executor: ``"in-process"``, or ``"worker"`` for worker processes. The default is
            ``"in-process"`` if `study` is an object and ``workers`` is None, else ``"worker"``.
        workers: How many trainings run at once, each in a worker process; None for as many as suit
            the machine and the study.
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
    """Confirms the best trials of one engine, as `confirm` describes.

    `study` is a study object to run instead of the recorded code. `data` is the path of the data,
    if it has moved.
    """
    progress = progress or NoProgress()
    make_plan(history, options)
    with history.store.lock_study(history.folder, history.description.name):
        # Another process may have changed the study before this one got the lock.
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
            recorded_executor(
                history,
                plan.reported,
                study=study,
                data=data,
                progress=progress,
                in_process=in_process,
                workers=workers,
                trainings=plan.trainings,
            ) as (executor, _),
            history.writing() as journal,
        ):
            check_data(plan.reported, executor)
            trainings = Trainings(plan, executor, journal, progress)
            outcome = ended or _carried_out(trainings, unfinished)
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


def _carried_out(done: Trainings, unfinished: str) -> Confirmation:
    """Runs a plan. `unfinished` is the uuid of an interrupted confirmation of it, or empty."""
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
            # An error here must not hide the first one.
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
    """Runs the race; returns the trials' numbers, best first.

    The defaults are trained along with the last round.
    """
    plan, description = done.plan, done.plan.history.description
    staying, out, seeds = [racer.number for racer in plan.racers], list[int](), 0
    for planned in plan.rounds:
        staying, left = staying[: planned.racers], staying[planned.racers :]
        out = [*left, *out]
        racing = [t for n in staying for t in plan.race_trainings(n, seeds, planned.seeds)]
        testing = plan.test_trainings(DEFAULTS) if planned is plan.rounds[-1] else []
        done.run(racing, testing)
        seeds += planned.seeds
        values = {n: [done.value_at(n, place) for place in range(seeds)] for n in staying}
        staying = list(survivors(values, len(staying), description.objective.direction))
    if all(value is None for value in values[staying[0]]):
        reasons = [done.result(t).reason for t in plan.trainings_at(staying[0], 0)]
        why = next(filter(None, reasons), "no epoch of all folds has a value").rstrip(".")
        raise StudyError(
            f"The trainings of {description.name!r} under new seeds are all infeasible: {why}. "
            "Mend that, and confirm again."
        )
    return [*staying, *out]


def _check_scored(plan: Plan) -> None:
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
    """Makes the race's winner the champion, however well it does on the test part."""
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
    """Returns whether the winner needs no registration.

    It needs none if it is the champion already, if `keep` keeps the present champion, or if the
    winner's weights were not saved. A winner that is the champion already is recorded as confirmed.
    """
    history, trial = plan.history, plan.racer(outcome.winner)
    if keep or trial.result.unsaved:
        return True
    # The reason of an earlier promotion stays.
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


@dataclass(frozen=True)
class TestReading:
    """The scores from one reading of the test part.

    Attributes:
        winner: The winner's scores by `Training.place`. An infeasible training has none.
        default: The same for the defaults. It is empty if the winner has the default values.
        digest: SHA-256 of the test part.
        readings: How often the test part was read, this time included.
        note: Why the winner and the defaults can't be compared, or empty.
        guess: The most frequent class of the test part, or None.
    """

    # Without this, pytest would take the class for tests, by its name.
    __test__ = False

    winner: Mapping[int, SampleScores]
    default: Mapping[int, SampleScores]
    digest: str
    readings: int
    note: str = ""
    guess: ConstantGuess | None = None


def read_test_part(done: Trainings, winner: int) -> tuple[TestReading | None, str]:
    """Trains the winner and the defaults under `test_seeds`, and scores the test part.

    Returns the scores and an empty text, or None and the reason. A resumed confirmation may score
    the part again. This counts as the same reading, as the weights are the same.
    """
    plan, same = done.plan, done.plan.default_racer
    digest = plan.history.description.data.digests["test"]
    who = [winner] if same is not None and same.number == winner else [winner, DEFAULTS]
    done.run([], [training for number in who for training in plan.test_trainings(number)])
    feasible = {n: [t for t in plan.test_trainings(n) if done.value(t) is not None] for n in who}
    if not feasible[winner]:
        why = done.result(plan.test_trainings(winner)[0]).reason.rstrip(".")
        return None, (
            f"Trial {winner} won the race, but all its trainings under fresh seeds are "
            f"infeasible, so the test part was not read: {why}."
        )
    done.progress.wait("reading the test part")
    scored, reasons = dict[int, dict[int, TestScores]](), dict[int, str]()
    for number, trainings in feasible.items():
        scored[number], reasons[number] = _scored(done, trainings)
    if reasons[winner]:
        now, _ = _time_of_reading(done, digest)
        _record(done, winner, TestReading({}, {}, digest, 0), now, f"not scored: {reasons[winner]}")
        return None, (
            f"The test part gives no value, as its samples can't be scored by the model of trial "
            f"{winner}: {reasons[winner]}."
        )
    now, earlier = _time_of_reading(done, digest)
    note = not_paired(plan, scored)
    if reasons.get(DEFAULTS):
        note = f"The defaults can't be scored, so there is no gain: {reasons[DEFAULTS]}."
    scores = {
        number: {place: test.scores for place, test in by_place.items()}
        for number, by_place in scored.items()
    }
    reading = TestReading(
        scores[winner],
        scores.get(DEFAULTS, {}),
        digest,
        len(earlier) + 1,
        note,
        next(iter(scored[winner].values())).guess,
    )
    seeds = len(reading.winner)
    how = f"trained again under {seeds} new seeds, by kerastudy confirm"
    _record(done, winner, reading, now, how)
    return reading, ""


def _scored(done: Trainings, trainings: Sequence[Training]) -> tuple[dict[int, TestScores], str]:
    """Returns each training's scores by `Training.place`; or no scores, and the reason."""
    scored: dict[int, TestScores] = {}
    for training in trainings:
        # Only the first scores are compared with Keras's value, as Keras must trace the model.
        scores = done.scored(training, compared=not scored)
        if isinstance(scores, str):
            return {}, scores.rstrip(".")
        scored[training.place] = scores
    return scored, ""


def _time_of_reading(done: Trainings, digest: str) -> tuple[int, list[Evaluation]]:
    """Returns the time of this confirmation's first reading, and all readings before that."""
    history, uuid = done.plan.history, done.uuid
    own = [reading for reading in read_evaluations(history) if reading.confirmation == uuid]
    now = own[0].time if own else time.time_ns() // 1_000_000
    return now, [e for e in earlier_readings(history, digest, uuid) if e.time <= now]


def _record(done: Trainings, winner: int, reading: TestReading, now: int, note: str) -> None:
    """Records a reading of the test part, unless this confirmation has recorded one."""
    plan, history, uuid = done.plan, done.plan.history, done.uuid
    if any(evaluation.confirmation == uuid for evaluation in read_evaluations(history)):
        return
    described, trial = history.description, plan.racer(winner)
    assert trial.best is not None, "it races"
    metrics = {}
    if reading.winner:
        values = [done.value(training) for training in plan.test_trainings(winner)]
        validated = statistics.fmean(value for value in values if value is not None)
        measured = Measured(
            statistics.fmean(scores.value for scores in reading.winner.values()),
            validation=trial.best.value if plan.folds else validated,
        )
        with suppress(StatisticsError):
            interval = on_test_part(plan, reading)[0]
            if reading.readings == 1:
                measured = replace(measured, low=interval.low, high=interval.high)
        metrics[described.objective.metric.removeprefix("val_")] = measured
    evaluation = Evaluation(
        study=described.name,
        engine=described.engine,
        trial=winner,
        epoch=trial.best.epoch,
        samples=len(next(iter(reading.winner.values()), ())),
        digest=reading.digest,
        metrics=metrics,
        note=note,
        time=now,
        confirmation=uuid,
    )
    record_evaluation(history, evaluation)


def earlier_readings(history: StudyHistory, digest: str, uuid: str) -> list[Evaluation]:
    """Returns all readings of a test part, except those by the confirmation `uuid`."""
    return [e for e in evaluations_on(history.store, digest) if e.confirmation != uuid]


def warning_of(earlier: Sequence[Evaluation]) -> list[str]:
    """Returns the warning that the test part was read before, or an empty list."""
    if not earlier:
        return []
    level = 100 * level_of_reading(len(earlier) + 1)
    said = Reading(earlier[-1], earlier).warning
    return [f"warning: {said} The intervals are of {level:.3g} % instead of 95 %."]


def not_paired(plan: Plan, scored: Mapping[int, Mapping[int, TestScores]]) -> str:
    """Returns why the winner and the defaults can't be compared, or an empty text."""
    if plan.folds and plan.default_trial is None:
        return (
            "No trial has the defaults' values, so the epoch to train them for is not known, and "
            "there is no gain to measure. A study that tries them first (try_defaults) has one."
        )
    return "" if all(scored.values()) else "All trainings of the defaults are infeasible."


def on_test_part(plan: Plan, reading: TestReading) -> tuple[Interval, Interval | None, str]:
    """Returns intervals of the winner's objective and of its gain over the defaults, and a note.

    Raises StatisticsError if the scores allow no interval.
    """
    direction = plan.history.description.objective.direction
    level = level_of_reading(reading.readings)
    confirmed, note = confirmed_value(list(reading.winner.values()), direction, level=level)
    both = sorted(set(reading.winner) & set(reading.default))
    if reading.note or len(both) < 2:
        return confirmed, None, note
    winner, default = ([part[p] for p in both] for part in (reading.winner, reading.default))
    hits = len(winner[0]) if all(scores.is_hits for scores in (*winner, *default)) else 0
    ours, theirs = score_matrix(winner), score_matrix(default)
    try:
        return confirmed, gain(ours, theirs, direction, level, hits=hits), note
    except StatisticsError as error:
        return confirmed, None, f"{note} The gain over the default is unknown: {error}.".strip()


def make_outcome(
    done: Trainings,
    ranking: Sequence[int],
    corrected: Corrected | None,
    reading: TestReading | None,
    notes: Sequence[str],
) -> Confirmation:
    """Returns the outcome of a confirmation; `ranking` has the trials' numbers, best first."""
    plan, winner, described = done.plan, ranking[0], done.plan.history.description
    notes = [*plan.notes, *notes]
    confirmed = gained = default = None
    tested: dict[str, Any] = {}
    if reading is not None:
        tested = {
            "test_samples": len(next(iter(reading.winner.values()))),
            "test_digest": reading.digest,
            "readings": reading.readings,
            "test_seeds": plan.test_seeds,
            "winner_on_test": tuple(scores.value for scores in reading.winner.values()),
            "default_on_test": tuple(scores.value for scores in reading.default.values()),
            "guess": reading.guess,
        }
        same = plan.default_racer
        try:
            confirmed, gained, warning = on_test_part(plan, reading)
            notes += [warning] if warning else []
        except StatisticsError as error:
            notes.append(f"No interval on the test part: {error}.")
        notes += [reading.note] if reading.note else []
        if same is not None and same.number == winner:
            default = _racer(done, winner)
            if confirmed is not None:
                gained = Interval(0.0, 0.0, 0.0, confirmed.level)
        elif plan.test_trainings(DEFAULTS) and all(map(done.knows, plan.test_trainings(DEFAULTS))):
            default = _racer(done, DEFAULTS)
    best = plan.reported.best
    assert best is not None, "it races"
    return Confirmation(
        study=described.name,
        engine=described.engine,
        uuid=done.uuid,
        metric=described.objective.metric,
        direction=described.objective.direction,
        reported_trial=plan.reported.number,
        reported=best.value,
        corrected=corrected,
        seeds=plan.seeds,
        race=tuple(_racer(done, number) for number in ranking),
        default=default,
        winner=winner,
        confirmed=confirmed,
        gain=gained,
        notes=tuple(notes),
        time=time.time_ns() // 1_000_000,
        **tested,
    )


def _racer(done: Trainings, trial: int) -> Racer:
    """Returns a trial's values in the race, or the defaults' values under `test_seeds`.

    In a cross-validated study the defaults have no values: they are trained on all folds together,
    so no data is left to validate them.
    """
    plan, values = done.plan, list[float | None]()
    if trial == DEFAULTS:
        trainings = plan.test_trainings(trial)
        values = [] if plan.folds else [done.value(training) for training in trainings]
    else:
        # A trial that left the race early was trained under the first seeds only.
        by_place = [plan.trainings_at(trial, place) for place in range(len(plan.seeds))]
        places = [place for place, runs in enumerate(by_place) if all(map(done.knows, runs))]
        trainings = [training for place in places for training in by_place[place]]
        values = [done.value_at(trial, place) for place in places]
    spec = plan.default if trial == DEFAULTS else plan.racer(trial).spec
    parameters = max((done.result(t).model_parameters for t in trainings), default=0)
    return Racer(trial, tuple(values), parameters, spec.epochs)
