"""Makes engines by name."""

from __future__ import annotations

from search_spaces import SearchSpace
from search_spaces.errors import EngineError
from search_spaces.to_optuna import OptunaSpace
from studies.definition import check_options, split_options
from studies.engines.engine import Engine, EngineSettings
from studies.engines.keras_tuner_engine import (
    KerasTunerEngine,
    check_oracle,
    check_settings,
    oracle_settings,
)
from studies.engines.optuna_engine import OptunaEngine
from studies.engines.optuna_parts import check_sampler, make_pruner, make_sampler, sampler_settings

_KERAS_TUNER = "keras-tuner:"


def check_engine_serves(engine: str, pruner: str, space: SearchSpace, epochs: int) -> None:
    """Raises EngineError, without importing TensorFlow, if an engine can't serve a study."""
    name, options = split_options(engine)
    keras_tuners = name.startswith(_KERAS_TUNER)
    check_options(name, oracle_settings(name) if keras_tuners else sampler_settings(name), options)
    if keras_tuners:
        check_settings(name, options)
        check_oracle(name, pruner, space, epochs)
    else:
        check_sampler(name, space)
    _check_values(engine, pruner, space, epochs)


def _check_values(engine: str, pruner: str, space: SearchSpace, epochs: int) -> None:
    """Makes the objects that need no TensorFlow: the libraries report wrong values."""
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
    kind = KerasTunerEngine if settings.engine.startswith(_KERAS_TUNER) else OptunaEngine
    return kind(settings)
