"""The protocol of what scores the samples of an objective."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from search_spaces.errors import InternalError
from tracking.scores.sample_scores import ScoreKind


class NotScoredError(InternalError):
    """The samples of an objective can't be scored; says why."""


class Scorer(Protocol):
    """Scores the samples of an objective, some at a time."""

    kind: ScoreKind
    equal_batches: bool
    """Whether Keras counts a smaller last batch of arrays as much as the others."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Settings of the kind's formula."""
        ...

    def of(self, y: Any, y_pred: Any, weights: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns the scores of samples, and their weights or None.

        Args:
            y: Targets, in the structure in which a validation step gets them.
            y_pred: What the model predicts.
            weights: Sample weights likewise, or None.

        Raises:
            NotScoredError: If they can't be scored.
        """
        ...

    def constant(self) -> float:
        """Returns what is added to the mean. To be called after `of`, with the model's weights.

        Raises:
            NotScoredError: If it is none.
        """
        ...
