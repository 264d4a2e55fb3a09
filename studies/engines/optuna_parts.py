"""Which of Optuna's samplers and pruners a name stands for."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final

from search_spaces import Float, Int, SearchSpace
from search_spaces.optuna_space import OptunaSpace
from studies.errors import EngineError

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.trial import TrialState

INFEASIBLE: Final = "constraints:feasible"
"""The attribute in which Optuna keeps a constraint called "feasible": above 0 if violated."""


def make_sampler(engine: str, space: OptunaSpace, seed: int) -> BaseSampler:
    """Returns the sampler for one trial.

    Args:
        engine: One of ``settings.ENGINES`` that samples by Optuna.
        space: The space; one with conditions is sampled jointly in its parts.
        seed: The trial's sampler seed.
    """
    import optuna

    with warnings.catch_warnings():
        # group=True is marked experimental; without it conditional parameters are silently
        # sampled one by one.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if engine == "optuna:tpe" and space.space.conditional:
            from studies.engines.optuna_tpe import FeasibleTPESampler

            return FeasibleTPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
        if engine == "optuna:tpe":
            from studies.engines.optuna_tpe import DeclaredTPESampler

            return DeclaredTPESampler(space, seed=seed, multivariate=True, constant_liar=True)
        if engine == "optuna:cma-es":
            return optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
        # Grid and quasi-random proposals are made from the space; see OptunaEngine.
        return optuna.samplers.RandomSampler(seed=seed)


def check_sampler(engine: str, space: SearchSpace) -> None:
    """Checks that an engine can serve a space.

    Raises:
        EngineError: If not; says which part, and which engine can.
    """
    if engine == "optuna:grid":
        continuous = [p.name for p in space if p.grid_values() is None]
        if continuous:
            raise EngineError(
                f"The grid engine needs finitely many values, and {', '.join(continuous)} "
                "is continuous. Give it a step, or use optuna:quasi-random."
            )
    if engine == "optuna:cma-es" and not any(isinstance(p, (Float, Int)) for p in space):
        raise EngineError(
            "The CMA-ES engine needs at least one Float or Int in the space, and there is none. "
            "Use optuna:tpe."
        )


def make_pruner(pruner: str, epochs: int) -> BasePruner:
    """Returns a pruner.

    Args:
        pruner: One of ``settings.PRUNERS``.
        epochs: The most epochs that a trial of the study can train.
    """
    import optuna

    pruners = optuna.pruners
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if pruner == "median":
            return pruners.MedianPruner(n_startup_trials=5)
        if pruner == "percentile":
            return pruners.PercentilePruner(25.0, n_startup_trials=5)
        if pruner == "successive-halving":
            return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
        if pruner == "hyperband":
            return pruners.HyperbandPruner(min_resource=1, max_resource=max(epochs, 2))
        if pruner == "patient":
            return pruners.PatientPruner(pruners.MedianPruner(n_startup_trials=5), patience=3)
        return pruners.NopPruner()


def exported_state(state: str) -> TrialState:
    """Returns Optuna's name for the state of a finished trial."""
    import optuna

    names = {"complete": "COMPLETE", "pruned": "PRUNED", "infeasible": "FAIL"}
    return optuna.trial.TrialState[names[state]]


def held_state(state: str) -> TrialState:
    """Returns the state of a finished trial in the study that samplers and pruners see.

    Samplers read no failed trials: an infeasible one is a pruned one there, with `INFEASIBLE`.
    """
    return exported_state("pruned" if state == "infeasible" else state)
