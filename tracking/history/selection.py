"""Choosing the best of a study's trials."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tracking.records import EndedTrial, Objective, Rank, TrialRecord, finished_trials


def ranked(trials: Iterable[TrialRecord], objective: Objective) -> list[EndedTrial]:
    """Returns the trials that have a value, best first.

    A trial counts with its best validation epoch, a pruned trial too. For ties see `Rank`.
    """
    valued = [t for t in finished_trials(trials) if t.best is not None and t.state != "infeasible"]
    return sorted(valued, key=lambda trial: rank_of(trial, objective))


def rank_of(trial: TrialRecord, objective: Objective) -> Rank:
    """Returns the rank of a trial that has a value."""
    assert trial.best is not None, "it has a value"
    # A value of no epoch has no validation loss either: what is recorded is of one of its models.
    best = trial.best if trial.epoch is not None else replace(trial.best, metrics={})
    return best.rank(objective, trial.number)


def best_trial(trials: Iterable[TrialRecord | None], objective: Objective) -> EndedTrial | None:
    """Returns the best trial that `model.fit` does not contradict, or None; ignores None."""
    return next(iter(holding([t for t in trials if t is not None], objective)), None)


def holding(trials: Iterable[TrialRecord], objective: Objective) -> list[EndedTrial]:
    """Returns the trials with a value, best first, without those that `model.fit` contradicts."""
    return [trial for trial in ranked(trials, objective) if trial.holds]
