"""Scores the race's winner and the default values on the test part, for `kerastudy confirm`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search_spaces import SearchSpace
from search_spaces.errors import KerastudyError, StatisticsError
from studies.champion.confirmation_trainings import DEFAULTS, Plan, Training, Trainings
from studies.error_texts import describe
from studies.executors import Session
from tracking.history.verdicts import evaluations_on, read_evaluations, record_evaluation
from tracking.records import BestEpoch, TrialSpec
from tracking.records.data_findings import ConstantGuess
from tracking.records.evaluation_records import Confirmation, Evaluation, Interval, Measured
from tracking.records.study_description import Direction
from tracking.scores.sample_scores import SampleScores, score_matrix
from tracking.statistics.corrections import confirmed_value
from tracking.statistics.intervals import gain, level_of_reading


@dataclass(frozen=True)
class _Scored:
    """The scores of a trial's models, or of the default values' models, on the test part."""

    by_place: Mapping[int, SampleScores]  # The keys are `Training.place`.
    guess: ConstantGuess | None = None  # The most frequent class of the test part, or None.
    unscored: str = ""  # Why there are no scores, or empty.


def score_on_test_part(trainings: Trainings, outcome: Confirmation) -> Confirmation:
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
    readings = 1 + sum(e.time <= now for e in earlier_readings(trainings))
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
        winner_on_test=tuple(each.value for each in scores.values()),
        default_on_test=tuple(each.value for each in defaults.values()),
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


def earlier_readings(trainings: Trainings) -> list[Evaluation]:
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
