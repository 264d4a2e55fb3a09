"""The importance of hyperparameters, by Optuna's fANOVA."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from search_spaces.parameters.choices import Listed
from tracking.records import EndedTrial
from tracking.report.axes import HyperparameterAxis

FEWEST_TRIALS = 15
"""With fewer trials the first one named is too often not the most important."""
# Trees of 64 leaves: as right as deeper ones, and 2,000 trials take a second.
_TREES, _DEPTH = 32, 6


def importances(
    axes: Sequence[HyperparameterAxis], trials: Sequence[EndedTrial]
) -> Mapping[str, float]:
    """Returns the share of each hyperparameter in the variance of the trials' values.

    fANOVA (Hutter, Hoos and Leyton-Brown, An efficient approach for assessing hyperparameter
    importance, ICML 2014) takes a random forest's predictions apart into the hyperparameters' own
    effects. The forest sees each in its sampling scale, and one that is not active at a value drawn
    at random, as it makes no difference there. All trials with a value count, pruned ones too, each
    with its best epoch. The same trials have the same importances.

    Args:
        axes: The hyperparameters that vary.
        trials: Trials with a value.

    Returns:
        Shares by name, which add up to 1, the largest first. Empty with fewer than `FEWEST_TRIALS`,
        or where all have the same value.
    """
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution
    from optuna.importance import FanovaImportanceEvaluator
    from optuna.trial import create_trial

    values = {trial.number: trial.best.value for trial in trials if trial.best is not None}
    if not axes or len(values) < FEWEST_TRIALS or len(set(values.values())) < 2:
        return {}
    rng, ranges = np.random.default_rng(0), dict[str, Any]()
    for axis in axes:
        places = range(len(axis.labels))
        ranges[axis.name] = CategoricalDistribution(places) if places else FloatDistribution(0, 1)
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study()
        for trial in sorted(trials, key=lambda each: each.number):
            placed = {axis.name: _place(axis, trial.spec.values, rng) for axis in axes}
            value = values[trial.number]
            study.add_trial(create_trial(params=placed, distributions=ranges, value=value))
        evaluator = FanovaImportanceEvaluator(n_trees=_TREES, max_depth=_DEPTH, seed=0)
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
        return {name: float(share) for name, share in shares.items()}
    except RuntimeError:
        # Values that leave nothing to compare.
        return {}
    finally:
        optuna.logging.set_verbosity(verbosity)


def _place(
    axis: HyperparameterAxis, values: Mapping[str, Any], rng: np.random.Generator
) -> float | int:
    """Returns a trial's place on an axis: in units, or the index of its choice."""
    parameter, unit = axis.parameter, axis.unit(values)
    if isinstance(parameter, Listed):
        held = unit is not None
        return parameter.index(values[axis.name]) if held else int(rng.integers(len(axis.labels)))
    return float(rng.random()) if unit is None else unit
