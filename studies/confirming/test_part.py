"""One reading of the sealed test part: by the winner and the defaults, under fresh seeds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from search_spaces.errors import StatisticsError, StudyError
from studies.champion.evaluation import Reading
from studies.confirming.outcome import TestReading, on_test_part
from studies.confirming.plan import DEFAULTS, Plan
from studies.confirming.test_scores import TestScores
from studies.confirming.trainings import Trainings
from studies.progress import Progress
from tracking.history.evaluations import evaluations_on, read_evaluations, record_evaluation
from tracking.history.study_history import StudyHistory
from tracking.records.evaluations import Evaluation, Measured
from tracking.runs.confirmation_runs import ConfirmationRuns
from tracking.scores.score_files import write_scores
from tracking.statistics.readings import level_of_reading


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
    for number, of_places in scores.items():
        name = "defaults" if number == DEFAULTS else f"trial-{number:05}"
        for place, each in of_places.items():
            path = runs.artifacts / "test" / f"{name}.seed-{place}.scores.safetensors"
            write_scores(path, [each])
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
