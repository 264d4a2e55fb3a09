"""Keras Tuner's engines, made and played."""

from __future__ import annotations

from collections.abc import Sequence

from conformance.engine import EPOCHS, OBJECTIVE

import kerastudy as ks
from search_spaces import SearchSpace
from studies.definition import ENGINES
from studies.engines import EngineSettings, KerasTunerEngine
from tracking.records import BestEpoch, Objective, Proposal, TrialResult

KERAS_TUNER_ENGINES = [engine for engine in ENGINES if engine.startswith("keras-tuner:")]
CONTINUOUS = SearchSpace(ks.Float("rate", 1e-4, 1e-1, scale="log"), ks.Int("units", 1, 64))
SMALL = SearchSpace(ks.Float("rate", 1e-3, 1e-1, scale="log", step=10), ks.Int("units", 1, 16))


def make(
    engine: str,
    pruner: str = "none",
    space: SearchSpace = CONTINUOUS,
    seed: int = 7,
    epochs: int = EPOCHS,
    objective: Objective = OBJECTIVE,
) -> KerasTunerEngine:
    return KerasTunerEngine(
        EngineSettings(
            name="conformance",
            engine=f"keras-tuner:{engine}",
            pruner=pruner,
            space=space,
            objective=objective,
            epochs=epochs,
            seed=seed,
        )
    )


def ask(engine: KerasTunerEngine) -> Proposal:
    proposal = engine.ask()
    assert proposal is not None
    return proposal


def tell(engine: KerasTunerEngine, proposal: Proposal, value: float) -> None:
    best = BestEpoch(1, value, {})
    engine.tell(proposal.number, TrialResult(proposal.number, "complete", 1, best))


def tell_all(engine: KerasTunerEngine, values: Sequence[float]) -> None:
    for value in values:
        tell(engine, ask(engine), value)
