"""The importance of hyperparameters, by Optuna's fANOVA."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from search_spaces.parameters.choice_parameter import Listed
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

    values = {trial.number: trial.best.value for trial in trials if trial.best is not None}
    if not axes or len(values) < FEWEST_TRIALS or len(set(values.values())) < 2:
        return {}
    rng, ranges = np.random.default_rng(0), dict[str, Any]()
    for axis in axes:
        places = len(axis.parameter.values) if isinstance(axis.parameter, Listed) else 0
        ranges[axis.name] = (
            CategoricalDistribution(range(places)) if places else FloatDistribution(0, 1)
        )
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study()
        for trial in sorted(trials, key=lambda each: each.number):
            study.add_trial(
                optuna.trial.create_trial(
                    params={axis.name: _place(axis, trial, rng) for axis in axes},
                    distributions=ranges,
                    value=values[trial.number],
                )
            )
        evaluator = optuna.importance.FanovaImportanceEvaluator(
            n_trees=_TREES, max_depth=_DEPTH, seed=0
        )
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
        return {name: float(share) for name, share in shares.items()}
    except RuntimeError:
        # Values that leave nothing to compare.
        return {}
    finally:
        optuna.logging.set_verbosity(verbosity)


def _place(axis: HyperparameterAxis, trial: EndedTrial, rng: np.random.Generator) -> float | int:
    parameter, value = axis.parameter, trial.spec.values.get(axis.name)
    if isinstance(parameter, Listed):
        held = axis.held(trial.spec.values)
        return parameter.index(value) if held else int(rng.integers(len(parameter.values)))
    unit = axis.unit(trial.spec.values)
    return float(rng.random()) if unit is None else unit
