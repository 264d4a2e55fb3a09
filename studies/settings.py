"""Names of engines and pruners: what there is, and the defaults. Imports no engine."""

from __future__ import annotations

from studies.errors import EngineError, near_matches

DEFAULT_ENGINE = "optuna:tpe"
DEFAULT_PRUNER = "none"

ENGINES = {
    "optuna:tpe": "tree-structured Parzen estimator, Optuna's default",
    "optuna:random": "random search",
    "optuna:quasi-random": "scrambled Halton sequence: covers the space evenly",
    "optuna:cma-es": "covariance matrix adaptation, for numeric spaces",
    "optuna:grid": "every configuration of a finite space, in order",
}
PRUNERS = {
    "none": "every trial trains to its end",
    "median": "stops a trial whose best is worse than the median at the same epoch",
    "percentile": "as median, at the 25th percentile",
    "successive-halving": "asynchronous successive halving",
    "hyperband": "successive halving in several brackets",
    "patient": "median, once a trial has not improved for 3 epochs",
}
_ALIASES = {
    "optuna": "optuna:tpe",
    "optuna:qmc": "optuna:quasi-random",
    "optuna:halton": "optuna:quasi-random",
    "optuna:cmaes": "optuna:cma-es",
}


def check_engine(engine: object) -> str:
    """Returns an engine's full name; ``"tpe"`` is short for ``"optuna:tpe"``.

    Raises:
        EngineError: If there is no such engine.
    """
    if isinstance(engine, str):
        for spelling in (engine.lower(), f"optuna:{engine.lower()}"):
            name = _ALIASES.get(spelling, spelling)
            if name in ENGINES:
                return name
    hint = near_matches(str(engine), {*ENGINES, *(e.partition(":")[2] for e in ENGINES)})
    raise EngineError(f"There is no engine {engine!r}.{hint}")


def check_pruner(pruner: object) -> str:
    """Returns a pruner's name.

    Raises:
        EngineError: If there is no such pruner.
    """
    name = "none" if pruner is None else pruner
    if isinstance(name, str):
        name = name.lower().replace("_", "-")
        if name in PRUNERS:
            return name
    raise EngineError(f"There is no pruner {pruner!r}.{near_matches(str(pruner), PRUNERS)}")
