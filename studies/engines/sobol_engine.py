"""The `Engine` of SciPy's Sobol sequence.

Importing this module imports `scipy.stats`, which takes half a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scipy.stats import qmc

from studies.definition import sampler_seed
from studies.engines.engine_protocol_and_checks import EngineSettings
from studies.engines.optuna_engine import OptunaTrials
from tracking.records import Proposal


class SobolEngine(OptunaTrials):
    """An `Engine` that proposes the points of a scrambled Sobol sequence.

    A trial's number is the number of its point. So the number of recorded trials is all that a
    restored engine needs to go on.
    """

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings)
        self._names = settings.space.dimensions
        self._sequence = qmc.Sobol(len(self._names), rng=sampler_seed(settings.seed, 0))

    def ask(self, choice: Mapping[str, Any] | None = None) -> Proposal:
        number = self.count
        values = self._values(number) if choice is None else self.declared(choice)
        self.add(values, {})
        return Proposal(number, values)

    def _values(self, number: int) -> dict[str, Any]:
        """Returns the values at a point of the sequence."""
        # The points of restored trials, and of trials with given values, were not drawn.
        left_out = number - self._sequence.num_generated
        if left_out:
            self._sequence.fast_forward(left_out)
        (point,) = self._sequence.random(1).tolist()
        return self.space.space.from_unit(dict(zip(self._names, point, strict=True)))
