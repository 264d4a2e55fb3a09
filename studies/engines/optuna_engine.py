"""Optuna's samplers and pruners behind the `Engine` seam."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from search_spaces.parameters.scalars import canonical_json
from studies.definition.engine_options import split_options
from studies.definition.seeds import sampler_seed
from studies.engines.engine import Curve, EngineSettings
from studies.engines.optuna_parts import check_sampler, make_sampler
from studies.engines.optuna_trials import OptunaTrials
from tracking.records import Proposal, TrialRecord, TrialResult

_QUASI_RANDOM = "optuna:quasi-random"
_GRID = "optuna:grid"


class OptunaEngine:
    """See `Engine`. Raises EngineError if the engine cannot serve the space."""

    def __init__(self, settings: EngineSettings) -> None:
        self._engine, options = split_options(settings.engine)
        check_sampler(self._engine, settings.space)
        self._space, self._engine_with_options = settings.space, settings.engine
        self._seed = int(options.get("seed", settings.seed))
        self._trials = OptunaTrials(settings)
        # One walk over the grid, which each ask continues.
        self._grid = settings.space.grid() if self._engine == _GRID else iter(())

    def restore(self, trials: Sequence[TrialRecord], curve: Curve, told: int | None = None) -> None:
        """See `Engine.restore`."""
        self._trials.restore(trials, curve, told)

    def ask(
        self, given: Mapping[str, Any] | None = None, known: int | None = None
    ) -> Proposal | None:
        """See `Engine.ask`."""
        number = self._trials.count
        values: dict[str, Any] | None
        if given is not None:
            values = self._trials.declared(given)
        elif self._engine == _GRID:
            values = self._next_of_grid()
        elif self._engine == _QUASI_RANDOM:
            values = self._quasi_random(number)
        else:
            seed = sampler_seed(self._seed, number)
            # A sampler for each trial: its draws must not depend on earlier ones.
            sampler = make_sampler(self._engine_with_options, self._trials.space, seed)
            values = self._trials.sample(sampler, known)
            return Proposal(number, values, self._trials.state(number), known=known)
        if values is None:
            return None
        self._trials.add(values, {}, known)
        return Proposal(number, values, known=known)

    def report(self, number: int, epoch: int, value: float) -> bool:
        """See `Engine.report`."""
        return self._trials.report(number, epoch, value)

    def tell(self, number: int, result: TrialResult) -> None:
        """See `Engine.tell`."""
        self._trials.tell(number, result)

    def may_continue(self, number: int) -> bool:
        """See `Engine.may_continue`. No trial here continues another."""
        return False

    def _next_of_grid(self) -> dict[str, Any] | None:
        """Returns the next configuration that no trial has had, or None."""
        for values in self._grid:
            if canonical_json(values) not in self._trials.tried:
                return values
        return None

    def _quasi_random(self, number: int) -> dict[str, Any]:
        """Returns a point of a scrambled Halton sequence, in the sampling scale of the space.

        Optuna's own QMCSampler fixes its space by the first trial, which it draws at random, and
        so leaves conditional parameters out.
        """
        from scipy.stats import qmc

        names = self._space.dimensions
        if not names:
            return self._space.defaults()
        sequence = qmc.Halton(len(names), scramble=True, rng=sampler_seed(self._seed, 0))
        if number:
            sequence.fast_forward(number)
        return self._space.from_unit(dict(zip(names, sequence.random(1)[0].tolist(), strict=True)))
