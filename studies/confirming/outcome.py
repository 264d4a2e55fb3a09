"""The outcome of a confirmation, from the trainings and their scores."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search_spaces.errors import StatisticsError
from studies.confirming.plan import DEFAULTS, Plan
from studies.confirming.racing import value_at
from studies.confirming.trainings import Trainings
from tracking.records.confirmations import Confirmation, Corrected, Interval, Racer
from tracking.records.data_findings import ConstantGuess
from tracking.scores.sample_scores import SampleScores, score_matrix
from tracking.statistics.corrected import confirmed_value
from tracking.statistics.gain import gain
from tracking.statistics.readings import level_of_reading


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


def raced(plan: Plan, done: Trainings, trial: int) -> list[int]:
    """Returns the places, from 0, of the seeds under which a racer has run."""
    places = range(len(plan.seeds))
    return [p for p in places if all(map(done.knows, plan.trainings_at(trial, p)))]


def racer_of(plan: Plan, done: Trainings, trial: int) -> Racer:
    """Returns a trial's part in the race; that of the defaults is under the fresh seeds.

    Those of folds have no value then: they are trained on all samples.
    """
    values: list[float | None]
    if trial == DEFAULTS:
        trainings = plan.test_trainings(trial)
        values = [] if plan.folds else [done.value(each) for each in trainings]
    else:
        places = raced(plan, done, trial)
        trainings = [each for place in places for each in plan.trainings_at(trial, place)]
        values = [value_at(plan, done, trial, place) for place in places]
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
    if reading is not None:
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
        test_samples=0 if reading is None else _samples(reading),
        test_digest="" if reading is None else reading.digest,
        readings=0 if reading is None else reading.readings,
        notes=tuple(notes),
        time=time.time_ns() // 1_000_000,
        test_seeds=() if reading is None else plan.test_seeds,
        winner_on_test=() if reading is None else _values(reading.winner),
        default_on_test=() if reading is None else _values(reading.default),
        guess=None if reading is None else reading.guess,
    )


def _samples(reading: TestReading) -> int:
    return max((len(each) for each in reading.winner.values()), default=0)


def _values(scores: Mapping[int, SampleScores]) -> tuple[float, ...]:
    return tuple(scores[place].value for place in sorted(scores))
