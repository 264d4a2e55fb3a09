"""The protocol between the driver and an engine, which proposes trials; makes engines by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard

from search_spaces import OptunaSpace, SearchSpace
from search_spaces.errors import EngineError
from studies.definition import check_options, split_options
from tracking.records import (
    FINISHED_STATES,
    EndedTrial,
    Objective,
    Proposal,
    TrialRecord,
    TrialResult,
)

Curve = Callable[[TrialRecord], Mapping[int, float]]
"""Reads the objective of a recorded trial by epoch."""


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
    folds: int = 1  # Folds of a trial, whose epochs pruners see one after another.
    # Whether the first epoch is step 0 for pruners, as objective functions report to Optuna.
    from_zero: bool = False


def was_told(trial: TrialRecord, told: int | None) -> TypeGuard[EndedTrial]:
    """Returns whether an engine has got a recorded trial's result; `restore` explains `told`."""
    return trial.state in FINISHED_STATES and (told is None or trial.number < told)


class Engine(Protocol):
    """Proposes trials, and learns from their results.

    Contract, shown by ``tests/support/conformance/engine.py``:

    - Proposals are valid in the declared space, with exactly the declared values.
    - Trials are numbered 0, 1, 2, … in the order of `ask`.
    - A proposal is a function of the study's seed, its number, and earlier results: an engine
      restored from the record proposes what the interrupted one would have.
    """

    def restore(self, trials: Sequence[TrialRecord], curve: Curve, told: int | None = None) -> None:
        """Restores a study from its record; called once, before anything else.

        `trials` are all trials from 0, without gaps; the result of an unfinished one will follow.
        `curve` reads a trial's objective by epoch. With `told`, the results of trials from this
        number on will follow, even if they are finished.
        """
        ...

    def ask(
        self, choice: Mapping[str, Any] | None = None, known: int | None = None
    ) -> Proposal | None:
        """Proposes a trial; None if nothing is left to try.

        `choice` are values in the space, which the engine treats as its own choice. With `known`,
        results of trials from this number on do not count in `report`.
        """
        ...

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Takes a trial's objective after an epoch (from 1); True to prune it.

        A trial that is trained again reports its epochs again: its later reports are then dropped.
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
    """Makes the objects that need no TensorFlow, so that the libraries report wrong values."""
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
    """Returns an engine for a new study; `restore` resumes a recorded one."""
    from studies.engines.keras_tuner_engine import KerasTunerEngine
    from studies.engines.optuna_engine import OptunaEngine

    kind = KerasTunerEngine if settings.engine.startswith(_KERAS_TUNER) else OptunaEngine
    return kind(settings)
