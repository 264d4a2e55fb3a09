"""The protocol of engines, which propose trials, and checks whether an engine can serve a study.

`make_engine` makes an engine by its name. The checks import neither Keras Tuner nor TensorFlow.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from search_spaces import Float, Int, KerasTunerSpace, OptunaSpace, SearchSpace, SearchSpaceError
from search_spaces.errors import EngineError
from studies.definition import HYPERBAND, check_options, split_options
from studies.library_internals import import_keras_tuner
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


_KERAS_TUNER: Final = "keras-tuner:"
BAYESIAN: Final = "keras-tuner:bayesian"
GRID: Final = "optuna:grid"


def check_engine_serves(engine: str, pruner: str, space: SearchSpace, epochs: int) -> None:
    """Raises EngineError, without importing TensorFlow, if an engine can't serve a study."""
    from studies.engines.optuna_engine import make_pruner, make_sampler, sampler_settings

    name, options = split_options(engine)
    of_optuna = not name.startswith(_KERAS_TUNER)
    check_options(name, sampler_settings(name) if of_optuna else oracle_settings(name), options)
    if of_optuna:
        _check_sampler(name, space)
    else:
        _check_oracle(name, pruner, space, epochs)
    try:
        # Optuna itself reports wrong values of settings.
        make_pruner(pruner, epochs)
        if options and of_optuna:
            make_sampler(engine, OptunaSpace(space), 0)
    except EngineError:
        raise
    except (ValueError, TypeError) as error:
        raise EngineError(f"{engine}, pruner {pruner}: {error}") from None


def _check_sampler(engine: str, space: SearchSpace) -> None:
    """Raises EngineError if one of Optuna's engines can't serve a space."""
    if engine == GRID:
        for parameter in space:
            if parameter.count is None:
                raise EngineError(
                    "The grid engine needs finitely many values, and "
                    f"{parameter.name!r} is continuous",
                    hint="Give this parameter a step, or use optuna:quasi-random.",
                )
    if engine == "optuna:gp" and importlib.util.find_spec("torch") is None:
        raise EngineError(
            "The engine optuna:gp needs PyTorch, which is not installed",
            hint="Install it: pip install 'kerastudy[gp]'. Or use optuna:tpe.",
        )
    if engine == "optuna:cma-es" and not any(isinstance(p, (Float, Int)) for p in space):
        raise EngineError(
            "The CMA-ES engine needs at least one Float or Int in the space, and there is none",
            hint="Use optuna:tpe.",
        )


def _check_oracle(engine: str, pruner: str, space: SearchSpace, epochs: int) -> None:
    """Raises EngineError if one of Keras Tuner's engines can't serve a study."""
    try:
        KerasTunerSpace(space)
    except SearchSpaceError as error:
        raise error.of_kind(EngineError) from None
    if engine == HYPERBAND:
        _check_hyperband(pruner, space, epochs)


def _check_hyperband(pruner: str, space: SearchSpace, epochs: int) -> None:
    if "epochs" in space:
        raise EngineError(
            "Keras Tuner's Hyperband itself decides how many epochs a trial trains, but 'epochs' "
            "is in the search space",
            hint="Remove 'epochs' from the space and set the study's epochs to the most that a "
            "trial may train, or use another engine, such as keras-tuner:bayesian.",
        )
    if epochs < 2:
        raise EngineError(
            "Keras Tuner's Hyperband stops most trials early, and needs at least 2 epochs",
            received=epochs,
            hint="Set epochs to 2 or more, or use keras-tuner:random.",
        )
    if not space.dimensions:
        raise EngineError(
            "Keras Tuner's Hyperband needs a parameter that varies, and all parameters of the "
            "space are Fixed",
            hint="Use another engine, such as keras-tuner:random.",
        )
    if pruner != "none":
        raise EngineError(
            "Keras Tuner's Hyperband stops trials itself, so it takes no pruner",
            received=pruner,
            hint="Leave the pruner out, or use another engine, such as keras-tuner:random.",
        )


def oracle_settings(engine: str) -> dict[str, str]:
    """Returns the types of an oracle's settings, by the settings' names."""
    return {
        BAYESIAN: {"num_initial_points": "int | None", "alpha": "float", "beta": "float"},
        HYPERBAND: {"factor": "int"},
    }.get(engine, {})


def make_engine(settings: EngineSettings) -> Engine:
    """Returns an engine, whose method `restore` must be called first."""
    if settings.engine.startswith(_KERAS_TUNER):
        import_keras_tuner()
        from studies.engines.keras_tuner_engine import KerasTunerEngine

        return KerasTunerEngine(settings)
    from studies.engines.optuna_engine import OptunaEngine

    return OptunaEngine(settings)
