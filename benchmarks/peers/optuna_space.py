"""A work's space in Optuna's terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.peers.works import Range, Work

if TYPE_CHECKING:
    import optuna


def suggest(trial: optuna.Trial, work: Work) -> dict[str, Any]:
    """Returns a trial's values by name."""
    return {
        parameter.name: trial.suggest_float(
            parameter.name, parameter.low, parameter.high, log=parameter.log
        )
        if isinstance(parameter, Range)
        else trial.suggest_categorical(parameter.name, [False, True])
        for parameter in work.space
    }
