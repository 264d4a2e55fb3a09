"""The protocol of engines, which propose trials, and the function that makes one by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from search_spaces import OptunaSpace, SearchSpace
from search_spaces.errors import EngineError
from studies.definition import check_options, split_options
from tracking.records import Objective, Proposal, TrialRecord, TrialResult

Curve = Callable[[TrialRecord], Mapping[int, float]]
"""A function that takes a recorded trial, and returns the trial's objective at each epoch."""


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """The settings of an engine."""

    name: str
    engine: str  # One of `ENGINES`, perhaps with settings.
    pruner: str  # One of `PRUNERS`, perhaps with settings.
    space: SearchSpace
    objective: Objective
    epochs: int  # The most epochs that a trial can train.
    seed: int
    folds: int = 1  # The number of a trial's folds. Pruners see the folds one after another.
    # Whether pruners get step 0 for the first epoch, as they do in objective functions for Optuna.
    # Otherwise they get step 1.
    from_zero: bool = False


class Engine(Protocol):
    """Proposes trials, and learns from their results.

    Its contract, which ``tests/support/conformance/engine.py`` tests:

    - A proposal is valid in the declared space. Its values equal the declared values exactly, and
      have the same types.
    - Trials are numbered 0, 1, 2, … in the order of `ask`.
    - A proposal depends only on the study's seed, the trial's number and earlier results. So an
      engine that is restored from the record proposes the same as one that was never interrupted.
    """

    def restore(self, trials: Sequence[TrialRecord], curve: Curve) -> None:
        """Takes a study's recorded trials. It is called once, before any other method.

        `trials` are numbered from 0, without gaps. For trials that have not finished, `tell` is
        called later.
        """
        ...

    def ask(self, choice: Mapping[str, Any] | None = None) -> Proposal | None:
        """Proposes a trial. If `choice` is given, the trial gets the values of `choice`.

        Returns None if nothing is left to try, or if the engine must wait for a running trial.
        """
        ...

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Takes a trial's objective after an epoch; returns whether to prune the trial.

        Epochs count from 1. If a trial's process died, the trial may report an epoch again. Its
        former reports of this epoch and of later epochs are then dropped.
        """
        ...

    def tell(self, number: int, result: TrialResult) -> None:
        """Takes a trial's result."""
        ...


_KERAS_TUNER = "keras-tuner:"


def check_engine_serves(engine: str, pruner: str, space: SearchSpace, epochs: int) -> None:
    """Raises EngineError, without importing TensorFlow, if an engine can't serve a study."""
    from studies.engines.keras_tuner_engine import check_oracle, oracle_settings
    from studies.engines.optuna_engine import (
        check_sampler,
        make_pruner,
        make_sampler,
        sampler_settings,
    )

    name, options = split_options(engine)
    of_optuna = not name.startswith(_KERAS_TUNER)
    check_options(name, sampler_settings(name) if of_optuna else oracle_settings(name), options)
    if of_optuna:
        check_sampler(name, space)
    else:
        check_oracle(name, options, pruner, space, epochs)
    try:
        # Optuna itself reports wrong values of settings.
        make_pruner(pruner, epochs)
        if options and of_optuna:
            make_sampler(engine, OptunaSpace(space), 0)
    except EngineError:
        raise
    except (ValueError, TypeError) as error:
        raise EngineError(f"{engine}, pruner {pruner}: {error}") from None


def make_engine(settings: EngineSettings) -> Engine:
    """Returns an engine, whose method `restore` must be called first."""
    from studies.engines.keras_tuner_engine import KerasTunerEngine
    from studies.engines.optuna_engine import OptunaEngine

    if settings.engine.startswith(_KERAS_TUNER):
        return KerasTunerEngine(settings)
    return OptunaEngine(settings)
