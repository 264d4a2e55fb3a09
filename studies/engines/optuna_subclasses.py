"""Subclasses of Optuna's TPE sampler, and of its storage in memory.

Optuna's TPE ranks infeasible trials below all feasible ones. But if the objective improves towards
a region of infeasible values, TPE keeps proposing values at the region's edge, and some of them are
infeasible. So `FeasibleTPESampler` multiplies TPE's score of a candidate by the probability that
the candidate is feasible, as in c-TPE (Watanabe and Hutter 2023, https://arxiv.org/abs/2211.14411).
The probability comes from two Parzen estimators: one of the feasible trials, one of the infeasible
ones. Without infeasible trials, the proposals are those of Optuna's TPE.

Importing this module imports Optuna. The sampler overrides private methods. If the installed Optuna
lacks one of them, `make_sampler` returns Optuna's sampler.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import optuna
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState

from search_spaces import OptunaSpace
from studies.engines.optuna_engine import INFEASIBLE
from studies.library_internals import optuna_and_keras_tuner_internals as optuna_internals
from studies.library_internals.optuna_and_keras_tuner_internals import put_trial

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

_MOST: Final = 100
"""To save time, the probability uses only this many of the latest trials of each kind."""


class FeasibleTPESampler(TPESampler):
    """TPE that avoids regions where trials were infeasible."""

    _finished: tuple[list[FrozenTrial], list[FrozenTrial]] = [], []
    _asked: tuple[Study, dict[str, BaseDistribution]]

    def _sample(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        # Infeasible trials are stored as pruned trials. Few trials are pruned, so this search is
        # quick.
        pruned = optuna_internals.trials_of(study, [TrialState.PRUNED])
        infeasible = [t for t in pruned if INFEASIBLE in t.system_attrs]
        if infeasible:
            trials = optuna_internals.trials_of(study, [TrialState.COMPLETE, TrialState.PRUNED])
            feasible = [t for t in trials if INFEASIBLE not in t.system_attrs]
            # TPE takes a tenth of all trials, at most 25, as good. If not as many are feasible, TPE
            # would take infeasible trials as good, too. This call prevents it.
            optuna_internals.take_as_good(self, len(feasible))
            self._finished = feasible, infeasible
        self._asked = study, search_space
        return optuna_internals.sample(TPESampler, self, study, trial, search_space)

    def _compute_acquisition_func(
        self, samples: dict[str, np.ndarray], mpe_below: Any, mpe_above: Any
    ) -> np.ndarray:
        values: np.ndarray = optuna_internals.rank(TPESampler, self, samples, mpe_below, mpe_above)
        feasible, infeasible = self._finished
        if not infeasible:
            return values
        log_odds = self._log_density(infeasible, samples) - self._log_density(feasible, samples)
        # `log_odds` are the log odds that a candidate is infeasible. So log(1 / (1 + odds)) is the
        # log probability that it is feasible.
        values -= np.logaddexp(0.0, log_odds)
        return values

    def _log_density(
        self, trials: Sequence[FrozenTrial], samples: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Returns the log density of trials at each candidate, weighted by the number of trials.

        The prior of the Parzen estimator counts as one more trial.
        """
        latest = list(trials[-_MOST:])
        study, search_space = self._asked
        estimator = optuna_internals.density_of(self, study, search_space, latest)
        density: np.ndarray = estimator.log_pdf(samples)
        return density + math.log(len(latest) + 1)


class DeclaredTPESampler(FeasibleTPESampler):
    """Samples the parameters of the declared space, which must have no conditions.

    Optuna's TPE looks through all trials for the parameters that they have in common. With 1,000
    trials, that takes 8 of the 22 ms of an `ask`. Without conditions, all trials have all
    parameters, so the search is unnecessary.
    """

    def __init__(self, space: OptunaSpace, **options: Any) -> None:
        super().__init__(**options)
        self._declared = space

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Returns the declared parameters, except those that have a single value."""
        declared = sorted(self._declared.distributions.items())
        return {name: d for name, d in declared if not d.single()}


# The prefix of the attributes that Optuna's successive halving and Hyperband write to trials.
_NOTED = "completed_rung_"


class Memory(optuna.storages.InMemoryStorage):
    """Optuna's storage in memory, which can hide all trials but one.

    While `alone` is the number of a trial, all other trials are hidden: also from pruners, which
    may make an Optuna study of their own to read the storage.
    """

    alone: int | None = None

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Any = None
    ) -> list[optuna.trial.FrozenTrial]:
        if self.alone is None:
            return super().get_all_trials(study_id, deepcopy, states)
        # Don't look through all trials: there may be thousands.
        number = self.get_trial_id_from_study_id_trial_number(study_id, self.alone)
        alone = self.get_trial(number)
        return [alone] if states is None or alone.state in states else []

    def forget_from(self, trial_id: int, step: int) -> None:
        """Drops a trial's reports from `step` on, because the trial is trained again from there.

        If no report is left, the attributes that pruners wrote to the trial are dropped too.
        """
        trial = self.get_trial(trial_id)
        if trial.last_step is None or trial.last_step < step:
            return
        trial = copy.copy(trial)
        values = trial.intermediate_values.items()
        trial.intermediate_values = {s: value for s, value in values if s < step}
        if not trial.intermediate_values:
            attributes = trial.system_attrs.items()
            trial.system_attrs = {k: v for k, v in attributes if not k.startswith(_NOTED)}
        put_trial(self, trial_id, trial)
