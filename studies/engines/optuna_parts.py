"""Makes Optuna's samplers and pruners by name."""

from __future__ import annotations

import inspect
import re
import warnings
from typing import TYPE_CHECKING, Any, Final

from search_spaces import Float, Int, SearchSpace
from search_spaces.errors import EngineError
from search_spaces.to_optuna import OptunaSpace
from studies.definition import check_options, split_options
from studies.libraries.optuna_parts import tpe_can_be_led

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

INFEASIBLE: Final = "constraints:feasible"
"""The attribute in which Optuna keeps a constraint called "feasible": above 0 if violated."""

NOTING: Final = ("successive-halving", "hyperband")
"""Pruners that note how far each trial came, and judge later ones by that."""


def make_sampler(engine: str, space: OptunaSpace, seed: int) -> BaseSampler:
    """Returns a trial's sampler; a space with conditions is sampled jointly in its parts."""
    import optuna

    name, options = split_options(engine)
    # Each trial has its own generator.
    options.pop("seed", None)
    with warnings.catch_warnings():
        # group=True is marked experimental; without it conditional parameters are silently
        # sampled one by one. Users who set deprecated options get Optuna's own warning.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.simplefilter("ignore", FutureWarning)
        if name == "optuna:tpe":
            common = {"seed": seed, "multivariate": True, "constant_liar": True}
            if not tpe_can_be_led():
                group = {"group": True} if space.space.conditional else {}
                return optuna.samplers.TPESampler(**{**common, **group, **options})
            from studies.engines.optuna_subclasses import DeclaredTPESampler, FeasibleTPESampler

            if options.get("multivariate", True) is False or "group" in options:
                return FeasibleTPESampler(**{**common, **options})
            if space.space.conditional:
                return FeasibleTPESampler(**{**common, "group": True, **options})
            return DeclaredTPESampler(space, **{**common, **options})
        if name == "optuna:cma-es":
            return optuna.samplers.CmaEsSampler(
                **{"seed": seed, "warn_independent_sampling": False, **options}
            )
        # Grid and quasi-random proposals are made from the space; see OptunaEngine.
        return optuna.samplers.RandomSampler(seed=seed)


def sampler_settings(engine: str) -> dict[str, str]:
    """Returns a sampler's settings that are numbers or words, with their types."""
    import optuna

    samplers: dict[str, Any] = {
        "optuna:tpe": optuna.samplers.TPESampler,
        "optuna:cma-es": optuna.samplers.CmaEsSampler,
        "optuna:random": optuna.samplers.RandomSampler,
    }
    return {} if engine not in samplers else plain_settings(samplers[engine])


def plain_settings(kind: Any) -> dict[str, str]:
    """Returns the arguments of a class that may be numbers or words, with their types."""
    found = {}
    for parameter in inspect.signature(kind).parameters.values():
        types = str(parameter.annotation)
        if re.search(r"\b(int|float|bool|str)\b", types) and not re.search(
            "Callable|dict|list", types
        ):
            found[parameter.name] = types
    return found


def check_sampler(engine: str, space: SearchSpace) -> None:
    """Raises EngineError if an engine can't serve a space."""
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
    """Returns a pruner; raises Optuna's ValueError for a wrong value of a setting."""
    import optuna

    name, options = split_options(pruner)
    pruners = optuna.pruners
    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "median": (pruners.MedianPruner, {"n_startup_trials": 5}),
        "percentile": (pruners.PercentilePruner, {"percentile": 25.0, "n_startup_trials": 5}),
        "successive-halving": (
            pruners.SuccessiveHalvingPruner,
            {"min_resource": 1, "reduction_factor": 3},
        ),
        "hyperband": (pruners.HyperbandPruner, {"min_resource": 1, "max_resource": max(epochs, 2)}),
        "threshold": (pruners.ThresholdPruner, {}),
        "patient": (pruners.PatientPruner, {"patience": 3}),
        "none": (pruners.NopPruner, {}),
    }
    kind, usual = kinds[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if name != "patient":
            check_options(f"The pruner {name}", plain_settings(kind), options)
            return kind(**{**usual, **options})  # type: ignore[no-any-return]
        # Its own settings, and those of the median that it makes patient.
        median, first = kinds["median"]
        check_options(
            f"The pruner {name}", {**plain_settings(median), **plain_settings(kind)}, options
        )
        own = {n: v for n, v in options.items() if n in plain_settings(kind)}
        inner = {n: v for n, v in options.items() if n not in own}
        wrapped = median(**{**first, **inner})
        return kind(wrapped, **{**usual, **own})  # type: ignore[no-any-return]
