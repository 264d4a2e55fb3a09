from .engine import Engine as Engine
from .engine import EngineSettings as EngineSettings
from .keras_tuner_engine import (
    BAYESIAN as BAYESIAN,
)
from .keras_tuner_engine import (
    HYPERBAND as HYPERBAND,
)
from .keras_tuner_engine import KerasTunerEngine as KerasTunerEngine
from .keras_tuner_engine import (
    oracle_settings as oracle_settings,
)
from .make import check_engine_serves as check_engine_serves
from .make import make_engine as make_engine
from .optuna_engine import OptunaEngine as OptunaEngine
from .optuna_parts import (
    make_pruner as make_pruner,
)
from .optuna_parts import (
    make_sampler as make_sampler,
)
from .optuna_parts import (
    sampler_settings as sampler_settings,
)
