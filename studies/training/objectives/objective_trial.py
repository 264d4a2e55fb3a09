"""The `trial` that an objective function gets, as Optuna's."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from search_spaces import Hyperparameters, SearchSpace

Report = Callable[[float, int], bool]
"""Takes a value and its step, from 0; returns whether the pruner would end the trial."""


class ObjectiveTrial(Hyperparameters):
    """Hyperparameters whose `report` and `should_prune` ask the study's pruner."""

    def __init__(
        self, space: SearchSpace, values: Mapping[str, Any], *, number: int, report: Report
    ) -> None:
        super().__init__(space, values, number=number)
        self._report, self._prunes = report, False
        self._steps: set[int] = set()

    def report(self, value: float, step: int) -> None:
        """Reports a value after a step; as in Optuna, a second one for a step is ignored.

        Raises:
            TypeError: If one is no number.
            ValueError: If the step is below 0.
        """
        try:
            value, step = float(value), int(step)
        except (TypeError, ValueError):
            raise TypeError(
                f"trial.report takes a number and a whole step. Received: {value!r:.100} and "
                f"{step!r:.100}."
            ) from None
        if step < 0:
            raise ValueError(f"trial.report takes a step from 0. Received: {step}.")
        if step not in self._steps:
            self._steps.add(step)
            self._prunes = self._report(value, step)

    def should_prune(self) -> bool:
        """Returns whether the pruner would end the trial after its last report."""
        return self._prunes

    @property
    def noted(self) -> dict[str, Any]:
        """The user's attributes, those that JSON lacks as texts."""
        return {str(key): _as_json(value) for key, value in self.user_attrs.items()}


def _as_json(value: Any) -> Any:
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError):
        pass
    try:
        # A number of numpy's.
        return json.loads(json.dumps(value.item(), allow_nan=False))
    except (AttributeError, TypeError, ValueError):
        return repr(value)[:1000]
