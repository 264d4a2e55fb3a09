"""How a confirmation is asked for."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from search_spaces.errors import StudyError
from studies.definition.settings import check_count, is_count
from tracking.statistics.race import Round, rounds

FEWEST_SEEDS = 5
"""Fresh seeds on the test part: with fewer the interval is not known to hold."""


@dataclass(frozen=True, kw_only=True)
class ConfirmOptions:
    """How a study's choice is confirmed.

    Attributes:
        top: The best trials that race, at least 2.
        seeds: Fresh seeds for the test part, at least 5; the most new seeds of a racer, too.
        budget: Trainings of the race; all folds under one seed count as one.
        test: Whether to read the test part.

    Raises:
        StudyError: If one is not as described, or the budget is too small for the trials.
    """

    top: int = 8
    seeds: int = 5
    budget: int = 16
    test: bool = True

    def __post_init__(self) -> None:
        """Checks the options."""
        check_count("budget", self.budget)
        if not is_count(self.top) or self.top < 2:
            raise StudyError(
                "A race needs at least 2 trials: top must be a whole number of 2 or more. "
                f"Received: {self.top!r}."
            )
        if not is_count(self.seeds) or self.seeds < FEWEST_SEEDS:
            raise StudyError(
                f"seeds must be a whole number of {FEWEST_SEEDS} or more: intervals from fewer "
                f"seeds are not known to hold. Received: {self.seeds!r}."
            )

    def rounds(self, trials: int) -> tuple[Round, ...]:
        """Returns the rounds of the race, if so many trials have a value.

        Raises:
            StudyError: If the budget is too small for the trials.
        """
        top = min(self.top, trials)
        planned = rounds(top, self.seeds, self.budget)
        if planned[0].racers < top:
            needed = next(
                n for n in itertools.count(1) if rounds(top, self.seeds, n)[0].racers == top
            )
            raise StudyError(
                f"A budget of {self.budget} trainings is too small for a race of {top} trials, "
                f"which needs {needed}. Give --budget {needed}, or race fewer trials: --top."
            )
        return planned
