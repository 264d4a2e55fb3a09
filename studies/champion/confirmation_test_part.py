"""Scores the race's winner and the default values on the test part, for `kerastudy confirm`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces import SearchSpace
from search_spaces.errors import KerastudyError, StatisticsError
from studies.champion.confirmation_trainings import DEFAULTS, Plan, Training, Trainings
from studies.champion.evaluation_on_test_part import warning_of
from studies.error_texts import describe
from tracking.history.study_history import StudyHistory
from tracking.history.verdicts import evaluations_on, read_evaluations, record_evaluation
from tracking.records import BestEpoch, TrialSpec
from tracking.records.data_findings import ConstantGuess
from tracking.records.evaluation_records import Evaluation, Interval, Measured
from tracking.records.study_description import Direction
from tracking.scores.sample_scores import SampleScores, score_matrix
from tracking.statistics.corrections import confirmed_value
from tracking.statistics.intervals import gain, level_of_reading

if TYPE_CHECKING:
    from studies.executors import Session


def score_on_test_part(trainings: Trainings, winner: int) -> tuple[dict[str, Any], list[str]]:
    """Trains the winner and the defaults under `test_seeds`, and scores their models.

    Returns values for fields of `Confirmation`, such as `confirmed` and `gain`, and notes for the
    user. There are no values if all trainings of the winner are infeasible, or if its models can't
    score the test samples.

    A resumed confirmation may score the test part a second time. Both times count as one reading
    of the test part, because the models have the same weights.
    """
    plan, uuid = trainings.plan, trainings.uuid
    history, racer, trial = plan.history, plan.default_racer, plan.racer(winner)
    description, digest = history.description, history.description.data.digests["test"]
    numbers = [winner, DEFAULTS] if racer is None or racer.number != winner else [winner]
    trainings.run([], [training for n in numbers for training in plan.test_trainings(n)])
    feasible = {
        n: [t for t in plan.test_trainings(n) if trainings.value(t) is not None] for n in numbers
    }
    if not feasible[winner]:
        why = trainings.result(plan.test_trainings(winner)[0]).reason.rstrip(".")
        return {}, [
            f"Trial {winner} won the race, but all its trainings under fresh seeds are "
            f"infeasible, so the test part was not read: {why}."
        ]
    trainings.progress.wait("reading the test part")
    scored = {n: _scores(trainings, feasible[n]) for n in numbers}
    records = [e for e in read_evaluations(history) if e.confirmation == uuid]
    now = records[0].time if records else time.time_ns() // 1_000_000
    readings = 1 + sum(e.time <= now for e in earlier_readings(history, digest, uuid))
    scores, _, unscored = scored[winner]
    fields: dict[str, Any] = {}
    notes = [
        "The test part gives no value, as its samples can't be scored by the model of trial "
        f"{winner}: {unscored}."
    ]
    how = f"not scored: {unscored}"
    metrics: dict[str, Measured] = {}
    assert trial.best is not None, "it races"
    if not unscored:
        fields, notes = _outcome(plan, winner, scored, readings)
        how = f"trained again under {len(scores)} new seeds, by kerastudy confirm"
        values = [trainings.value(training) for training in feasible[winner]]
        validated = statistics.fmean(value for value in values if value is not None)
        measured = Measured(
            statistics.fmean(fields["winner_on_test"]),
            validation=trial.best.value if plan.folds else validated,
        )
        confirmed = fields["confirmed"]
        if confirmed is not None:
            measured = replace(measured, low=confirmed.low, high=confirmed.high)
        metrics[description.objective.metric.removeprefix("val_")] = measured
    if not records:
        evaluation = Evaluation(
            study=description.name,
            engine=description.engine,
            trial=winner,
            epoch=trial.best.epoch,
            samples=len(next(iter(scores.values()), ())),
            digest=digest,
            metrics=metrics,
            note=how,
            time=now,
            confirmation=uuid,
            level=level_of_reading(readings),
        )
        record_evaluation(history, evaluation)
    return fields, notes


Scored = tuple[dict[int, SampleScores], ConstantGuess | None, str]
"""The scores of one trial's models on the test part, as a tuple of three.

The first has the scores by `Training.place`. The second is the most frequent class of the test
part, or None. The third says why there are no scores, or is empty.
"""


def _outcome(
    plan: Plan, winner: int, scored: Mapping[int, Scored], readings: int
) -> tuple[dict[str, Any], list[str]]:
    """Returns the fields and the notes that `score_on_test_part` returns.

    `scored` has the scores by the number of the trial, or by `DEFAULTS`.
    """
    description = plan.history.description
    scores, guess, _ = scored[winner]
    defaults, _, unscored = scored.get(DEFAULTS, ({}, None, ""))
    note = not_paired(plan, {number: by_place for number, (by_place, *_) in scored.items()})
    if unscored:
        note = f"The defaults can't be scored, so there is no gain: {unscored}."
    confirmed, gained, warning = _intervals(
        scores,
        {} if note else defaults,
        description.objective.direction,
        level_of_reading(readings),
    )
    if confirmed is not None and DEFAULTS not in scored:
        gained = Interval(0.0, 0.0, 0.0, confirmed.level)
    fields = {
        "confirmed": confirmed,
        "gain": gained,
        "test_samples": len(next(iter(scores.values()))),
        "test_digest": description.data.digests["test"],
        "readings": readings,
        "test_seeds": plan.test_seeds,
        "winner_on_test": tuple(each.value for each in scores.values()),
        "default_on_test": tuple(each.value for each in defaults.values()),
        "guess": guess,
    }
    return fields, [sentence for sentence in (warning, note) if sentence]


def _scores(trainings: Trainings, chosen: Sequence[Training]) -> Scored:
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
            return {}, None, answer.rstrip(".")
        scores[training.place], guess = answer
    return scores, guess, ""


def earlier_readings(history: StudyHistory, digest: str, uuid: str) -> list[Evaluation]:
    """Returns all evaluations on a test part, except those by the confirmation `uuid`."""
    return [e for e in evaluations_on(history.store, digest) if e.confirmation != uuid]


def warn_of_readings(trainings: Trainings) -> None:
    """Warns the user if models were evaluated on the test part before."""
    history = trainings.plan.history
    digest = history.description.data.digests["test"]
    earlier = earlier_readings(history, digest, trainings.uuid)
    if earlier:
        trainings.progress.say(f"warning: {warning_of(earlier)}")


def not_paired(plan: Plan, scores: Mapping[int, Mapping[int, SampleScores]]) -> str:
    """Returns why the winner and the defaults can't be compared, or an empty text."""
    if plan.folds and plan.default_trial is None:
        return (
            "No trial has the defaults' values, so the epoch to train them for is not known, and "
            "there is no gain to measure. A study that tries them first (try_defaults) has one."
        )
    return "" if all(scores.values()) else "All trainings of the defaults are infeasible."


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
    another value, this is returned as the reason.
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
