"""The protocol of engines, which propose trials. Engines are checked and made by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from search_spaces import OptunaSpace, SearchSpace
from search_spaces.errors import EngineError
from studies.definition import check_options, split_options
from tracking.records import Objective, Proposal, TrialRecord, TrialResult

Curve = Callable[[TrialRecord], Mapping[int, float]]
"""Returns the objective of a recorded trial by epoch."""


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """The settings that an engine is made with."""

    name: str
    engine: str  # One of `ENGINES`, perhaps with settings.
    pruner: str  # One of `PRUNERS`, perhaps with settings.
    space: SearchSpace
    objective: Objective
    epochs: int  # The most epochs that a trial can train.
    seed: int
    folds: int = 1  # The number of a trial's folds. Pruners see the folds one after another.
    # Whether the first epoch is step 0 for pruners, as in objective functions for Optuna.
    from_zero: bool = False


class Engine(Protocol):
    """Proposes trials, and learns from their results.

    Its contract, which ``tests/support/conformance/engine.py`` tests:

    - Proposals are valid in the declared space, with exactly the declared values.
    - Trials are numbered 0, 1, 2, … in the order of `ask`.
    - A proposal depends only on the study's seed, the trial's number and earlier results. So an
      engine that is restored from the record proposes the same as one that was never interrupted.
    """

    def restore(self, trials: Sequence[TrialRecord], curve: Curve) -> None:
        """Takes a study's recorded trials. It is called once, before any other method.

        `trials` are numbered from 0, without gaps. `tell` follows for each unfinished trial.
        """
        ...

    def ask(self, choice: Mapping[str, Any] | None = None) -> Proposal | None:
        """Proposes a trial. Returns None if nothing is left to try.

        If `choice` is given, the engine proposes these values.
        """
        ...

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Takes a trial's objective after an epoch (from 1); returns whether to prune the trial.

        If a trial is trained again from an epoch, its former reports from there on are dropped.
        """
        ...

    def tell(self, number: int, result: TrialResult) -> None:
        """Takes a trial's result."""
        ...

    def may_continue(self, number: int) -> bool:
        """Returns whether a later trial may continue this finished trial."""
        ...


_KERAS_TUNER = "keras-tuner:"


def check_engine_serves(engine: str, pruner: str, space: SearchSpace, epochs: int) -> None:
    """Raises EngineError, without importing TensorFlow, if an engine can't serve a study."""
    from studies.engines.keras_tuner_engine import check_oracle, oracle_settings
    from studies.engines.optuna_engine import check_sampler, sampler_settings

    name, options = split_options(engine)
    keras_tuners = name.startswith(_KERAS_TUNER)
    check_options(name, oracle_settings(name) if keras_tuners else sampler_settings(name), options)
    if keras_tuners:
        check_oracle(name, pruner, space, epochs)
    else:
        check_sampler(name, space)
    _check_values(engine, pruner, space, epochs)


def _check_values(engine: str, pruner: str, space: SearchSpace, epochs: int) -> None:
    """Makes the pruner and Optuna's sampler, so that Optuna reports wrong values of settings."""
    from studies.engines.optuna_engine import make_pruner, make_sampler

    try:
        make_pruner(pruner, epochs)
        if split_options(engine)[1] and not engine.startswith(_KERAS_TUNER):
            make_sampler(engine, OptunaSpace(space), 0)
    except EngineError:
        raise
    except (ValueError, TypeError) as error:
        raise EngineError(f"{engine}, pruner {pruner}: {error}") from None


def make_engine(settings: EngineSettings) -> Engine:
    """Returns an engine. `Engine.restore` then gives it the recorded trials."""
    from studies.engines.keras_tuner_engine import KerasTunerEngine
    from studies.engines.optuna_engine import OptunaEngine

    kind = KerasTunerEngine if settings.engine.startswith(_KERAS_TUNER) else OptunaEngine
    return kind(settings)
