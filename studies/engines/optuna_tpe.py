"""Optuna's TPE sampler, with the given space, avoiding regions of infeasible trials.

Optuna's TPE never treats an infeasible trial as good while there are feasible ones; so it leaves a
failing region. But if the objective improves towards it, TPE stays at its edge, and keeps proposing
failing values. So the ratio by which it ranks candidates is multiplied by the probability that a
candidate is feasible, as in c-TPE (Watanabe and Hutter 2023, https://arxiv.org/abs/2211.14411), by
the same Parzen estimators of feasible and of infeasible trials. Without infeasible trials every
proposal is Optuna's own.

Importing this imports Optuna. It overrides private parts; if Optuna lacks one, the sampler is
Optuna's own (see `optuna_parts`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from optuna.samplers import TPESampler
from optuna.trial import TrialState

from search_spaces.to_optuna import OptunaSpace
from studies.engines.optuna_parts import INFEASIBLE
from studies.libraries import optuna_parts

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

_MOST: Final = 100
"""The number of latest feasible and infeasible trials for the probability: a bound on its time."""


class FeasibleTPESampler(TPESampler):
    """TPE that avoids regions where trials were infeasible."""

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
            # The good trials are a tenth, 25 at most, as in Optuna. If there are fewer feasible
            # ones, it would fill up with infeasible ones.
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
        """Returns the log density of trials at candidates, with the prior as one more trial."""
        latest = list(trials[-_MOST:])
        study, search_space = self._asked
        estimator = optuna_parts.density_of(self, study, search_space, latest)
        density: np.ndarray = estimator.log_pdf(samples)
        return density + math.log(len(latest) + 1)


class DeclaredTPESampler(FeasibleTPESampler):
    """Uses the declared space, where Optuna searches for the one that all past trials share.

    They share all of it, and a new sampler for each trial would search all of them: 8 of the 22 ms
    of an ask at 1,000 trials.
    """

    def __init__(self, space: OptunaSpace, **options: Any) -> None:
        super().__init__(**options)
        self._declared = space

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Returns the declared space, without parameters of a single value."""
        declared = sorted(self._declared.distributions.items())
        return {name: d for name, d in declared if not d.single()}
