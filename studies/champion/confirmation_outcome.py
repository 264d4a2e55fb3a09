"""The outcome of a confirmation: the race, and one reading of the sealed test part."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from search_spaces.errors import StatisticsError
from studies.champion.confirmation_plan import DEFAULTS, Plan, Training
from studies.champion.confirmation_trainings import TestScores, Trainings
from studies.champion.evaluation import Reading
from tracking.history.confirmations import evaluations_on, read_evaluations, record_evaluation
from tracking.history.study_history import StudyHistory
from tracking.records.checks import Confirmation, Corrected, Evaluation, Interval, Measured, Racer
from tracking.records.studies import ConstantGuess
from tracking.scores.sample_scores import SampleScores, score_matrix
from tracking.statistics.corrections import confirmed_value
from tracking.statistics.intervals import gain, level_of_reading


@dataclass(frozen=True)
class TestReading:
    """The scores of one reading of the test part."""

    # pytest takes it for tests otherwise.
    __test__ = False

    # By the place of the fresh seed; infeasible trainings have none.
    winner: Mapping[int, SampleScores]
    # Of the defaults; empty if the winner has their values.
    default: Mapping[int, SampleScores]
    # SHA-256 of the test part.
    digest: str
    # How often it was read, this time included.
    readings: int
    # Why the two do not compare, or empty.
    note: str = ""
    # The most frequent class of the part.
    guess: ConstantGuess | None = None


def read_test_part(done: Trainings, winner: int) -> tuple[TestReading | None, str]:
    """Trains the winner and the defaults under the fresh seeds; reads the test part, once.

    Returns its scores, or None and the reason, in a sentence. The reading is recorded before anyone
    sees it. A resumed confirmation that has read the part reads it again by the same weights, which
    counts as the same reading.
    """
    plan, history, same = done.plan, done.plan.history, done.plan.default_racer
    who = [winner] if same is not None and same.number == winner else [winner, DEFAULTS]
    done.run([], [training for each in who for training in plan.test_trainings(each)])
    feasible = {
        each: [t for t in plan.test_trainings(each) if done.value(t) is not None] for each in who
    }
    if not feasible[winner]:
        why = done.result(plan.test_trainings(winner)[0]).reason.rstrip(".")
        return None, (
            f"Trial {winner} won the race, but all its trainings under fresh seeds are "
            f"infeasible, so the test part was not read: {why}."
        )
    done.progress.wait("reading the test part")
    scored, reasons = dict[int, dict[int, TestScores]](), dict[int, str]()
    for each, trainings in feasible.items():
        scored[each], reasons[each] = _scored(done, trainings)
    if reasons[winner]:
        digest = history.description.data.digests["test"]
        now, _ = _time_of_reading(done, digest)
        _record(done, winner, TestReading({}, {}, digest, 0), now, f"not scored: {reasons[winner]}")
        return None, (
            f"The test part gives no value, as its samples can't be scored by the model of trial "
            f"{winner}: {reasons[winner]}."
        )
    first = next(iter(scored[winner].values()))
    now, earlier = _time_of_reading(done, first.digest)
    note = not_paired(plan, scored)
    if reasons.get(DEFAULTS):
        note = f"The defaults can't be scored, so there is no gain: {reasons[DEFAULTS]}."
    scores = {n: {place: each.scores for place, each in of.items()} for n, of in scored.items()}
    reading = TestReading(
        scores[winner],
        scores.get(DEFAULTS, {}),
        first.digest,
        len(earlier) + 1,
        note,
        first.guess,
    )
    seeds = len(reading.winner)
    how = f"trained again under {seeds} new seeds, by kerastudy confirm"
    _record(done, winner, reading, now, how)
    if first.digest != history.description.data.digests.get("test"):
        done.progress.say_all(warning_of(earlier))
    return reading, ""


def _scored(done: Trainings, trainings: Sequence[Training]) -> tuple[dict[int, TestScores], str]:
    """Returns scores by the place of the seed; if some can't be scored, none and the reason."""
    scored: dict[int, TestScores] = {}
    for training in trainings:
        # The first of each model is compared with Keras.
        scores = done.scored(training, compared=not scored)
        if isinstance(scores, str):
            return {}, scores.rstrip(".")
        scored[training.place] = scores
    return scored, ""


def _time_of_reading(done: Trainings, digest: str) -> tuple[int, list[Evaluation]]:
    """Returns when this confirmation read the test part first, and the readings before."""
    history, uuid = done.plan.history, done.uuid
    before = [each for each in read_evaluations(history) if each.confirmation == uuid]
    now = before[0].time if before else time.time_ns() // 1_000_000
    return now, [e for e in earlier_readings(history, digest, uuid) if e.time <= now]


def _record(done: Trainings, winner: int, reading: TestReading, now: int, note: str) -> None:
    """Records a reading as `evaluate` does, unless it is recorded."""
    plan, history, uuid = done.plan, done.plan.history, done.uuid
    if any(each.confirmation == uuid for each in read_evaluations(history)):
        return
    described, trial = history.description, plan.racer(winner)
    assert trial.best is not None, "it races"
    metrics = {}
    if reading.winner:
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
    """Returns the readings of a test part by other studies, or other than by a confirmation."""
    return [e for e in evaluations_on(history.store, digest) if e.confirmation != uuid]


def warning_of(earlier: Sequence[Evaluation]) -> list[str]:
    """Returns a warning if the test part was read before, with the level of the intervals."""
    if not earlier:
        return []
    level = 100 * level_of_reading(len(earlier) + 1)
    said = Reading(earlier[-1], earlier).warning
    return [f"warning: {said} The intervals are of {level:.3g} % instead of 95 %."]


def not_paired(plan: Plan, scored: Mapping[int, Mapping[int, TestScores]]) -> str:
    """Returns why winner and defaults do not compare, in a sentence, or an empty text."""
    targets = {each.targets for scores in scored.values() for each in scores.values()}
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
    return "" if all(scored.values()) else "All trainings of the defaults are infeasible."


def on_test_part(plan: Plan, reading: TestReading) -> tuple[Interval, Interval | None, str]:
    """Returns the winner's objective on new data, its gain over the defaults, and a note.

    Raises StatisticsError if the scores allow no interval.
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
    done: Trainings,
    ranking: Sequence[int],
    corrected: Corrected | None,
    reading: TestReading | None,
    notes: Sequence[str],
) -> Confirmation:
    """Returns the outcome of a plan whose trainings are done, with the racers best first."""
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
    """Returns a trial's part in the race; that of the defaults is under the fresh seeds.

    Those of folds have no value then: they are trained on all samples.
    """
    plan, values = done.plan, list[float | None]()
    if trial == DEFAULTS:
        trainings = plan.test_trainings(trial)
        values = [] if plan.folds else [done.value(each) for each in trainings]
    else:
        # One that left the race early has run under the first ones only.
        under = [plan.trainings_at(trial, place) for place in range(len(plan.seeds))]
        places = [place for place, each in enumerate(under) if all(map(done.knows, each))]
        trainings = [training for place in places for training in under[place]]
        values = [done.value_at(trial, place) for place in places]
    results = [done.result(each) for each in trainings]
    spec = plan.default if trial == DEFAULTS else plan.racer(trial).spec
    parameters = max((each.model_parameters for each in results), default=0)
    return Racer(trial, tuple(values), parameters, spec.epochs)
