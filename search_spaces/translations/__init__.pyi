from .keras_tuner_declarations import (
    is_keras_tuners as is_keras_tuners,
)
from .keras_tuner_declarations import (
    space_of_keras_tuners as space_of_keras_tuners,
)
from .keras_tuner_space import KerasTunerSpace as KerasTunerSpace
from .optuna_space import OptunaSpace as OptunaSpace
