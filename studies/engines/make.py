"""From an engine's name to the engine."""

from __future__ import annotations

from collections.abc import Callable

from search_spaces import SearchSpace
from studies.engines.engine import Engine
from studies.engines.keras_tuner_parts import check_oracle
from studies.engines.optuna_engine import OptunaEngine
from studies.engines.optuna_export import OptunaExport
from studies.engines.optuna_parts import check_sampler
from tracking.records import Objective

_KERAS_TUNER = "keras-tuner:"


def check_engine_serves(engine: str, pruner: str, space: SearchSpace, epochs: int) -> None:
    """Checks that an engine can serve a study. Imports neither Keras Tuner nor TensorFlow.

    Args:
        engine: One of ``settings.ENGINES``.
        pruner: One of ``settings.PRUNERS``.
        space: What may be tried.
        epochs: The most epochs that a trial can train.

    Raises:
        EngineError: If not; says what is in the way, and which engine can.
    """
    if engine.startswith(_KERAS_TUNER):
        check_oracle(engine, pruner, space, epochs)
    else:
        check_sampler(engine, space)


def make_engine(
    *,
    name: str,
    engine: str,
    pruner: str,
    space: SearchSpace,
    objective: Objective,
    epochs: int,
    seed: int,
    export: OptunaExport | None = None,
) -> Engine:
    """Returns an engine for a new study; one that is gone on with is then to be restored.

    Args:
        name: The study's name.
        engine: One of ``settings.ENGINES``.
        pruner: One of ``settings.PRUNERS``.
        space: What may be tried.
        objective: What is optimized.
        epochs: The most epochs that a trial can train.
        seed: The study's seed.
        export: Where finished trials are also written.

    Raises:
        EngineError: If the engine cannot serve the study.
    """
    make: Callable[..., Engine] = OptunaEngine
    if engine.startswith(_KERAS_TUNER):
        from studies.engines.keras_tuner_engine import KerasTunerEngine

        make = KerasTunerEngine
    return make(
        name=name,
        engine=engine,
        pruner=pruner,
        space=space,
        objective=objective,
        epochs=epochs,
        seed=seed,
        export=export,
    )
