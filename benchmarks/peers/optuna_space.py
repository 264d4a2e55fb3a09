"""A work's space, and its search, in Optuna's terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.peers.works import Parameter, Range, Whole, Work

if TYPE_CHECKING:
    import optuna


def sampler(work: Work, seed: int) -> optuna.samplers.BaseSampler:
    """Returns the work's sampler."""
    import optuna

    kind = optuna.samplers.RandomSampler if work.random else optuna.samplers.TPESampler
    return kind(seed=seed)


def suggest(trial: optuna.Trial, work: Work) -> dict[str, Any]:
    """Returns a trial's values by name."""
    return {parameter.name: _suggested(trial, parameter) for parameter in work.space}


def _suggested(trial: optuna.Trial, parameter: Parameter) -> Any:
    name = parameter.name
    if isinstance(parameter, Range):
        return trial.suggest_float(name, parameter.low, parameter.high, log=parameter.log)
    if isinstance(parameter, Whole):
        return trial.suggest_int(name, parameter.low, parameter.high)
    return trial.suggest_categorical(name, parameter.values)
