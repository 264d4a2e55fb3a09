"""The outcome of a confirmation: the race, and one reading of the sealed test part."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from search_spaces.errors import StatisticsError, StudyError
from studies.champion.evaluation import Reading
from studies.confirming.plan import DEFAULTS, Plan
from studies.confirming.test_scores import TestScores
from studies.confirming.trainings import Trainings
from studies.progress import Progress
from tracking.history.confirmations import evaluations_on, read_evaluations, record_evaluation
from tracking.history.study_history import StudyHistory
from tracking.records.checks import Confirmation, Corrected, Evaluation, Interval, Measured, Racer
from tracking.records.studies import ConstantGuess
from tracking.runs.confirmation_runs import ConfirmationRuns
from tracking.scores.sample_scores import SampleScores, score_matrix
from tracking.statistics.corrections import confirmed_value
from tracking.statistics.intervals import gain, level_of_reading


@dataclass(frozen=True)
class TestReading:
    """The scores of one reading of the test part.

    Attributes:
        winner: Of the winner, by the place of the fresh seed; infeasible trainings have none.
        default: Of the defaults, likewise; empty if the winner has their values.
        digest: SHA-256 of the test part.
        readings: How often it was read, this time included.
        note: Why the two do not compare, or empty.
        guess: The most frequent class of the part, or None.
    """

    # pytest takes it for tests otherwise.
    __test__ = False

    winner: Mapping[int, SampleScores]
    default: Mapping[int, SampleScores]
    digest: str
    readings: int
    note: str = ""
    guess: ConstantGuess | None = None


def racer_of(plan: Plan, done: Trainings, trial: int) -> Racer:
    """Returns a trial's part in the race; that of the defaults is under the fresh seeds.

    Those of folds have no value then: they are trained on all samples.
    """
    values: list[float | None]
    if trial == DEFAULTS:
        trainings = plan.test_trainings(trial)
        values = [] if plan.folds else [done.value(each) for each in trainings]
    else:
        # One that left the race early has run under the first ones only.
        under = [plan.trainings_at(trial, place) for place in range(len(plan.seeds))]
        places = [place for place, each in enumerate(under) if all(map(done.knows, each))]
        trainings = [training for place in places for training in under[place]]
        values = [done.value_at(plan, trial, place) for place in places]
    results = [done.result(each) for each in trainings]
    spec = plan.default if trial == DEFAULTS else plan.racer(trial).spec
    return Racer(
        trial,
        tuple(values),
        max((each.model_parameters for each in results), default=0),
        spec.epochs,
    )


def on_test_part(plan: Plan, reading: TestReading) -> tuple[Interval, Interval | None, str]:
    """Returns the winner's objective on new data, its gain over the defaults, and a note.

    Raises:
        StatisticsError: If the scores allow no interval.
    """
    direction = plan.history.description.objective.direction
    level = level_of_reading(reading.readings)
    confirmed, note = confirmed_value(list(reading.winner.values()), direction, level=level)
    both = sorted(set(reading.winner) & set(reading.default))
    if reading.note or len(both) < 2:
        return confirmed, None, note
    winner, default = ([part[p] for p in both] for part in (reading.winner, reading.default))
    hits = len(winner[0]) if all(each.is_hits for each in (*winner, *default)) else 0
    ours, theirs = score_matrix(winner), score_matrix(default)
    try:
        return confirmed, gain(ours, theirs, direction, level, hits=hits), note
    except StatisticsError as error:
        return confirmed, None, f"{note} The gain over the default is unknown: {error}.".strip()


def make_outcome(
    plan: Plan,
    done: Trainings,
    ranking: Sequence[int],
    *,
    run_id: str,
    corrected: Corrected | None,
    reading: TestReading | None,
    notes: Sequence[str],
) -> Confirmation:
    """Returns the outcome.

    Args:
        plan: The plan.
        done: Has all its trainings.
        ranking: The racers, best first.
        run_id: The confirmation's run.
        corrected: The corrected value, or None.
        reading: The reading of the test part, or None.
        notes: What a reader must know, in sentences.
    """
    winner, described = ranking[0], plan.history.description
    notes = [*plan.notes, *notes]
    confirmed = gained = default = None
    tested: dict[str, Any] = {}
    if reading is not None:
        tested = {
            "test_samples": len(next(iter(reading.winner.values()))),
            "test_digest": reading.digest,
            "readings": reading.readings,
            "test_seeds": plan.test_seeds,
            "winner_on_test": tuple(each.value for each in reading.winner.values()),
            "default_on_test": tuple(each.value for each in reading.default.values()),
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
            default = racer_of(plan, done, winner)
            if confirmed is not None:
                gained = Interval(0.0, 0.0, 0.0, confirmed.level)
        elif plan.test_trainings(DEFAULTS) and all(map(done.knows, plan.test_trainings(DEFAULTS))):
            default = racer_of(plan, done, DEFAULTS)
    best = plan.reported.best
    assert best is not None, "it races"
    return Confirmation(
        study=described.name,
        engine=described.engine,
        run_id=run_id,
        metric=described.objective.metric,
        direction=described.objective.direction,
        reported_trial=plan.reported.number,
        reported=best.value,
        corrected=corrected,
        seeds=plan.seeds,
        race=tuple(racer_of(plan, done, number) for number in ranking),
        default=default,
        winner=winner,
        confirmed=confirmed,
        gain=gained,
        notes=tuple(notes),
        time=time.time_ns() // 1_000_000,
        **tested,
    )


def read_test_part(
    plan: Plan, done: Trainings, runs: ConfirmationRuns, winner: int, progress: Progress
) -> TestReading:
    """Trains the winner and the defaults under the fresh seeds; reads the test part, once.

    The reading is recorded before anyone sees it. A resumed confirmation that has read the part
    reads it again by the same weights, which counts as the same reading.

    Raises:
        StudyError: If all trainings of the winner are infeasible, or samples can't be scored.
    """
    history, same = plan.history, plan.default_racer
    who = [winner] if same is not None and same.number == winner else [winner, DEFAULTS]
    done.run([], [training for each in who for training in plan.test_trainings(each)])
    feasible = {
        each: [t for t in plan.test_trainings(each) if done.value(t) is not None] for each in who
    }
    if not feasible[winner]:
        raise StudyError(
            f"Trial {winner} won the race, but all its trainings under fresh seeds are "
            f"infeasible: {done.result(plan.test_trainings(winner)[0]).reason.rstrip('.')}."
        )
    progress.wait("reading the test part")
    found = {
        # The first of each model is compared with Keras.
        each: {
            training.place: done.scored(training, compared=training is trainings[0])
            for training in trainings
        }
        for each, trainings in feasible.items()
    }
    digest = next(iter(found[winner].values())).digest
    before = [e for e in read_evaluations(history) if e.confirmation == runs.run_id]
    now = before[0].time if before else time.time_ns() // 1_000_000
    earlier = [e for e in earlier_readings(history, digest, runs.run_id) if e.time <= now]
    scores = {n: {p: each.scores for p, each in of.items()} for n, of in found.items()}
    reading = TestReading(
        scores[winner],
        scores.get(DEFAULTS, {}),
        digest,
        len(earlier) + 1,
        not_paired(plan, found),
        next(iter(found[winner].values())).guess,
    )
    if not before:
        record_evaluation(history, _evaluation(plan, done, runs, winner, reading, now))
    if digest != history.description.data.digests.get("test"):
        progress.say_all(warning_of(earlier))
    return reading


def earlier_readings(history: StudyHistory, digest: str, run_id: str) -> list[Evaluation]:
    """Returns the readings of a test part by other studies, or other than by a confirmation."""
    found = evaluations_on(history.store, digest)
    return [each for each in found if each.confirmation != run_id]


def warning_of(earlier: Sequence[Evaluation]) -> list[str]:
    """Returns a warning if the test part was read before, with the level of the intervals."""
    if not earlier:
        return []
    level = 100 * level_of_reading(len(earlier) + 1)
    said = Reading(earlier[-1], earlier).warning
    return [f"warning: {said} The intervals are of {level:.3g} % instead of 95 %."]


def not_paired(plan: Plan, found: Mapping[int, Mapping[int, TestScores]]) -> str:
    """Returns why winner and defaults do not compare, in a sentence, or an empty text."""
    targets = {each.targets for scores in found.values() for each in scores.values()}
    if len(targets) > 1:
        return (
            "The defaults have other test samples than the winner, as the data depends on "
            "hyperparameters: there is no gain to measure."
        )
    if plan.folds and plan.default_trial is None:
        return (
            "No trial has the defaults' values, so the epoch to train them for is not known, and "
            "there is no gain to measure. A study that tries them first (try_defaults) has one."
        )
    return "" if all(found.values()) else "All trainings of the defaults are infeasible."


def _evaluation(
    plan: Plan,
    done: Trainings,
    runs: ConfirmationRuns,
    winner: int,
    reading: TestReading,
    now: int,
) -> Evaluation:
    """Returns the reading as `evaluate` records one."""
    described, trial = plan.history.description, plan.racer(winner)
    assert trial.best is not None, "it races"
    trained = [done.value(each) for each in plan.test_trainings(winner)]
    validated = statistics.fmean(each for each in trained if each is not None)
    measured = Measured(
        statistics.fmean(each.value for each in reading.winner.values()),
        validation=trial.best.value if plan.folds else validated,
    )
    with suppress(StatisticsError):
        interval = on_test_part(plan, reading)[0]
        if reading.readings == 1:
            measured = replace(measured, low=interval.low, high=interval.high)
    return Evaluation(
        study=described.name,
        engine=described.engine,
        run_id=trial.run_id,
        trial=winner,
        epoch=trial.best.epoch,
        samples=len(next(iter(reading.winner.values()))),
        digest=reading.digest,
        metrics={described.objective.metric.removeprefix("val_"): measured},
        note=f"trained again under {len(reading.winner)} new seeds, by kerastudy confirm",
        time=now,
        confirmation=runs.run_id,
    )
