"""Choosing the best of a study's trials."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tracking.records import Objective, TrialRecord


def ranked(trials: Iterable[TrialRecord], objective: Objective) -> list[TrialRecord]:
    """Returns the trials that have a value, best first.

    A trial counts with its best validation epoch, a pruned trial too. Ties go to the earlier
    epoch, then to the earlier trial.
    """
    valued = [t for t in trials if t.best is not None and t.state in ("complete", "pruned")]

    def key(trial: TrialRecord) -> tuple[float, int, int]:
        assert trial.best is not None
        return objective.sort_key(trial.best.value), trial.best.epoch, trial.number

    return sorted(valued, key=key)


def best_trial(trials: Iterable[TrialRecord | None], objective: Objective) -> TrialRecord | None:
    """Returns the best trial that holds, or None if there is none; leaves out what is None."""
    return next(iter(holding([t for t in trials if t is not None], objective)), None)


def holding(trials: Iterable[TrialRecord], objective: Objective) -> list[TrialRecord]:
    """Returns the trials that have a value, best first, but those that `model.fit` belies."""
    return [trial for trial in ranked(trials, objective) if trial.holds]


def beyond_retention(
    trials: Sequence[TrialRecord], objective: Objective, keep: int | None
) -> list[TrialRecord]:
    """Returns the trials whose checkpoints are not kept: all after the best ``keep``.

    Args:
        trials: The study's finished trials.
        objective: What they are ranked by.
        keep: At least 1; None keeps all.
    """
    return [] if keep is None else ranked(trials, objective)[keep:]
