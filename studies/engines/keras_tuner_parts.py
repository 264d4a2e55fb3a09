"""Checks which of Keras Tuner's oracles can serve a study, without importing Keras Tuner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from search_spaces import SearchSpace, SearchSpaceError
from search_spaces.errors import EngineError
from search_spaces.to_keras_tuner import KerasTunerSpace

BAYESIAN: Final = "keras-tuner:bayesian"
GRID: Final = "keras-tuner:grid"
HYPERBAND: Final = "keras-tuner:hyperband"

_MOST_LISTED: Final = 100_000
"""Values of one parameter that the grid takes: Keras Tuner lists all of them for each trial."""


def check_oracle(engine: str, pruner: str, space: SearchSpace, epochs: int) -> None:
    """Checks that one of Keras Tuner's engines can serve a study. Raises EngineError if not."""
    try:
        KerasTunerSpace(space)
    except SearchSpaceError as error:
        raise EngineError(str(error)) from None
    if engine == GRID:
        _check_grid(space)
    if engine == HYPERBAND:
        _check_hyperband(pruner, space, epochs)


def oracle_settings(engine: str) -> dict[str, str]:
    """Returns the settings that one of Keras Tuner's engines has, with their types.

    Those of its oracle, except those that the study decides: its epochs and its number of trials.
    """
    return {
        BAYESIAN: {"num_initial_points": "int | None", "alpha": "float", "beta": "float"},
        HYPERBAND: {"factor": "int"},
    }.get(engine, {})


def check_settings(engine: str, options: Mapping[str, Any]) -> None:
    """Checks the values of an oracle's settings, which are of their types.

    Raises:
        EngineError: If Keras Tuner would reject one.
    """
    for name, least in (("factor", 2), ("num_initial_points", 1)):
        value = options.get(name)
        if value is not None and value < least:
            raise EngineError(
                f"The setting {name!r} of {engine} must be at least {least}. Received: {value!r}."
            )


def _check_grid(space: SearchSpace) -> None:
    continuous = [repr(p.name) for p in space if p.count is None]
    if continuous:
        raise EngineError(
            f"The grid engine needs finitely many values, and {', '.join(continuous)} "
            f"{'is' if len(continuous) == 1 else 'are'} continuous. Give a step, or use "
            "keras-tuner:random."
        )
    long = [repr(p.name) for p in space if (p.count or 0) > _MOST_LISTED]
    if long:
        raise EngineError(
            f"Keras Tuner's grid takes parameters of up to {_MOST_LISTED:,} values, and "
            f"{', '.join(long)} {'has' if len(long) == 1 else 'have'} more. Give a larger step, "
            "or use optuna:grid."
        )


def _check_hyperband(pruner: str, space: SearchSpace, epochs: int) -> None:
    if "epochs" in space:
        raise EngineError(
            "Keras Tuner's Hyperband decides itself how many epochs a trial trains, and 'epochs' "
            "is in the search space. Take it out and set the study's epochs to the most that a "
            "trial may train, or use another engine, such as keras-tuner:bayesian."
        )
    if epochs < 2:
        raise EngineError(
            "Keras Tuner's Hyperband stops most trials early, and needs at least 2 epochs for "
            f"that. Received: epochs={epochs!r}. Give more, or use keras-tuner:random."
        )
    if not space.dimensions:
        raise EngineError(
            "Keras Tuner's Hyperband needs a parameter that varies, and all of the space's are "
            "Fixed. Use another engine, such as keras-tuner:random."
        )
    if pruner != "none":
        raise EngineError(
            f"Keras Tuner's Hyperband stops trials itself, so it takes no pruner. "
            f"Received: {pruner!r}. Leave it out, or use another engine, such as "
            "keras-tuner:random."
        )
