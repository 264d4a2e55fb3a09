"""Optuna's TPE sampler, told its space, and kept from where trials turn out infeasible.

Optuna's TPE never takes an infeasible trial for a good one as long as there are feasible ones; so
it leaves a region that fails, but where the objective gets better towards it, it stays at its
edge, and goes on proposing what fails. So the ratio that it ranks its candidates by is
multiplied by the probability that a candidate is feasible, as in c-TPE (Watanabe and Hutter 2023,
https://arxiv.org/abs/2211.14411), by the same Parzen estimators of feasible and of infeasible
trials. Without infeasible trials every proposal is Optuna's own.

Importing this imports Optuna. What it overrides is private there; where Optuna lacks some of it,
the sampler is Optuna's own (see `optuna_parts`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from optuna.samplers import TPESampler
from optuna.trial import TrialState

from search_spaces.translations.optuna_space import OptunaSpace
from studies.engines.optuna_parts import INFEASIBLE
from studies.libraries import optuna_parts

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

_MOST: Final = 100
"""Feasible and infeasible trials that the probability is taken from, the latest: so it takes no
longer with more."""


class FeasibleTPESampler(TPESampler):
    """TPE that keeps away from where trials were infeasible."""

    _finished: tuple[list[FrozenTrial], list[FrozenTrial]] = [], []
    _asked: tuple[Study, dict[str, BaseDistribution]]

    def _sample(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        # Among the pruned ones, of which there are few or none: most studies pay next to nothing.
        pruned = optuna_parts.trials_of(study, [TrialState.PRUNED])
        infeasible = [t for t in pruned if INFEASIBLE in t.system_attrs]
        if infeasible:
            trials = optuna_parts.trials_of(study, [TrialState.COMPLETE, TrialState.PRUNED])
            feasible = [t for t in trials if INFEASIBLE not in t.system_attrs]
            # A tenth of the trials, 25 at most, are the good ones, as Optuna has it. Where there
            # are not so many feasible ones, it would go on with infeasible ones.
            optuna_parts.take_as_good(self, len(feasible))
            self._finished = feasible, infeasible
        self._asked = study, search_space
        return optuna_parts.sample(TPESampler, self, study, trial, search_space)

    def _compute_acquisition_func(
        self, samples: dict[str, np.ndarray], mpe_below: Any, mpe_above: Any
    ) -> np.ndarray:
        values: np.ndarray = optuna_parts.rank(TPESampler, self, samples, mpe_below, mpe_above)
        feasible, infeasible = self._finished
        if not infeasible:
            return values
        log_odds = self._log_density(infeasible, samples) - self._log_density(feasible, samples)
        # log(1 / (1 + odds)) is the logarithm of the probability.
        values -= np.logaddexp(0.0, log_odds)
        return values

    def _log_density(
        self, trials: Sequence[FrozenTrial], samples: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Returns the logarithm of how densely trials lie at candidates, the prior as one more."""
        latest = list(trials[-_MOST:])
        study, search_space = self._asked
        estimator = optuna_parts.density_of(self, study, search_space, latest)
        density: np.ndarray = estimator.log_pdf(samples)
        return density + math.log(len(latest) + 1)


class DeclaredTPESampler(FeasibleTPESampler):
    """Takes the declared space, where Optuna looks for what all past trials share.

    They share all of it, and a new sampler for each trial would look through all of them: 8
    of the 22 ms that asking takes at 1,000 trials.

    Args:
        space: The space, without conditions.
        options: As `TPESampler` takes them.
    """

    def __init__(self, space: OptunaSpace, **options: Any) -> None:
        super().__init__(**options)
        self._declared = space

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Returns the declared space, without what has one value only."""
        declared = sorted(self._declared.distributions.items())
        return {name: d for name, d in declared if not d.single()}
