"""The importance of hyperparameters, by Optuna's PED-ANOVA."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Literal

from search_spaces.errors import SearchSpaceError
from search_spaces.translations.optuna_space import OptunaSpace
from tracking.history.selection import ranked
from tracking.history.study_history import StudyHistory

_LEAST_TRIALS = 10


def importances(history: StudyHistory) -> Mapping[str, float]:
    """Returns the share of each hyperparameter in what sets the best tenth of trials apart.

    PED-ANOVA (Watanabe et al. 2023, arXiv:2304.10255) compares the values of the best tenth of
    trials with those of all; conditional hyperparameters by arXiv:2601.20800. All trials with a
    value count, pruned ones too, each with its best epoch.

    Args:
        history: The study.

    Returns:
        Shares by name, which add up to 1, the largest first. Empty with fewer than 10 trials with
        a value, or where all have the same.
    """
    import optuna

    found = ranked(history.trials, history.description.objective)
    if len(found) < _LEAST_TRIALS or len({trial.best.value for trial in found if trial.best}) < 2:
        return {}
    direction: Literal["maximize", "minimize"] = (
        "maximize" if history.description.objective.direction == "max" else "minimize"
    )
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            space = OptunaSpace(history.description.space)
            study = optuna.create_study(direction=direction)
            for trial in sorted(found, key=lambda each: each.number):
                params, ranges = space.encode(trial.spec.values)
                value = None if trial.best is None else trial.best.value
                study.add_trial(
                    optuna.trial.create_trial(params=params, distributions=ranges, value=value)
                )
            shares = optuna.importance.get_param_importances(
                study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
            )
    except (SearchSpaceError, ValueError, RuntimeError):
        # A space that changed since, or values that leave nothing to compare.
        return {}
    finally:
        optuna.logging.set_verbosity(verbosity)
    return {space.names[name]: share for name, share in shares.items()}
