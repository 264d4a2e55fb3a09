"""The smallest trial that is as good as the winner of a race, within one standard error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search_spaces.errors import StatisticsError
from tracking.records.objective import Direction


@dataclass(frozen=True, eq=False)
class Contender:
    """A trial after a race.

    Attributes:
        trial: Its number.
        scores: Shape (R, n): under each new seed, in their order, the score of each validation
            sample. A trial that left the race early has fewer seeds, at least 1.
        model_parameters: Scalar weights of its model; 0 if that is unknown.
        epochs: Its epochs.
    """

    trial: int
    scores: np.ndarray
    model_parameters: int = 0
    epochs: int = 0


def recommended(winner: Contender, rivals: Sequence[Contender], direction: Direction) -> int:
    """Returns the number of the smallest trial that is as good as the winner.

    As good is a rival whose mean difference from the winner, paired by seed and sample, is at most
    one standard error of that difference. The smallest has the fewest parameters, then epochs; the
    winner itself, if no rival is smaller. L. Breiman et al., Classification and regression trees,
    1984, ch. 3.4. The standard error is that of `tracking.statistics.crossed.crossed`. The variance
    over seeds of a rival with a single seed is the mean of the others'; if all have a single one,
    the samples' alone counts.

    Args:
        winner: The winner of the race.
        rivals: The others; those of unknown size are not recommended.
        direction: Whether high or low scores are better.

    Raises:
        StatisticsError: If scores are of different samples, fewer than 2, or no numbers.
    """
    differences = [_differences(winner, rival, direction) for rival in rivals]
    over_seeds = [each.mean(axis=1).var(ddof=1) for each in differences if len(each) > 1]
    shared = float(np.mean(over_seeds)) if over_seeds else 0.0
    as_good = [
        rival
        for rival, each in zip(rivals, differences, strict=True)
        if rival.model_parameters > 0 and each.mean() <= _standard_error(each, shared)
    ]
    known = [winner] if winner.model_parameters > 0 else []
    if not known:
        return winner.trial
    # The first of equal ones: the winner.
    return min([*known, *as_good], key=lambda each: (each.model_parameters, each.epochs)).trial


def _differences(winner: Contender, rival: Contender, direction: Direction) -> np.ndarray:
    """Returns by how much the winner is better, of shape (shared seeds, samples)."""
    ours, others = np.asarray(winner.scores, np.float64), np.asarray(rival.scores, np.float64)
    if ours.ndim != 2 or others.ndim != 2 or ours.shape[1] != others.shape[1]:
        raise StatisticsError(
            f"trials {winner.trial} and {rival.trial} need scores of the same samples, but have "
            f"shapes {ours.shape} and {others.shape}"
        )
    seeds = min(len(ours), len(others))
    if seeds < 1 or ours.shape[1] < 2:
        raise StatisticsError(
            f"trials {winner.trial} and {rival.trial} need the scores of at least 2 samples under "
            "at least 1 shared seed"
        )
    differences = ours[:seeds] - others[:seeds]
    if not np.isfinite(differences).all():
        raise StatisticsError(
            f"trials {winner.trial} and {rival.trial} need scores that are numbers, not NaN or "
            "infinite"
        )
    return differences if direction == "max" else -differences


def _standard_error(differences: np.ndarray, shared: float) -> float:
    seeds, samples = differences.shape
    of_seeds = float(differences.mean(axis=1).var(ddof=1)) if seeds > 1 else shared
    of_samples = float(differences.mean(axis=0).var(ddof=1))
    return math.sqrt(of_seeds / seeds + of_samples / samples)
