from .batches import Batches as Batches
from .batches import as_tensor as as_tensor
from .building.build import build_variables as build_variables
from .building.build import settled as settled
from .building.discovering import resolve_space as resolve_space
from .building.hypermodel import HyperModelTrainer as HyperModelTrainer
from .building.made_data import DATA_SETS_KEPT as DATA_SETS_KEPT
from .building.made_data import MadeData as MadeData
from .building.own_code import ModulePart as ModulePart
from .building.own_code import loading_warnings as loading_warnings
from .building.own_code import own_code as own_code
from .building.target_checks import check_targets as check_targets
from .building.target_checks import check_weighted as check_weighted
from .building.trying import check_study as check_study
from .champion.champion_loader import load_keras_model as load_keras_model
from .champion.champion_model import refit as refit
from .champion.champion_model import save_for_mlflow as save_for_mlflow
from .champion.evaluation import evaluate_test_part as evaluate_test_part
from .champion.predictions import validation_predictions as validation_predictions
from .champion.served import served_model as served_model
from .first_fit import TracedObjective as TracedObjective
from .models import stateful_layers as stateful_layers
from .objective_fits import fit_digests as fit_digests
from .objective_run import run_objective as run_objective
from .plain import PlainTrainer as PlainTrainer
from .process.determinism import (
    begin_trial as begin_trial,
)
from .process.determinism import (
    configure_tensorflow as configure_tensorflow,
)
from .process.determinism import (
    prepare_environment as prepare_environment,
)
from .process.environment import PeakMemory as PeakMemory
from .process.environment import (
    environment as environment,
)
from .process.environment import (
    environment_differences as environment_differences,
)
from .process.environment import (
    hardware_class as hardware_class,
)
from .process.users_state import UsersState as UsersState
from .programs.compiled import CompiledTrainer as CompiledTrainer
from .programs.epochs import Arrays as Arrays
from .programs.epochs import Loop as Loop
from .programs.program import Program as Program
from .programs.program_checks import Checked as Checked
from .programs.program_checks import is_due as is_due
from .scoring.objectives import NotScoredError as NotScoredError
from .scoring.samples import sample_scores as sample_scores
from .states.best_weights import weights_digest as weights_digest
from .states.checkpointing import StateWriter as StateWriter
from .states.training_state import (
    CallbackStateError as CallbackStateError,
)
from .states.training_state import (
    StateError as StateError,
)
from .states.training_state import (
    TrainingState as TrainingState,
)
from .states.training_state import (
    capture as capture,
)
from .states.training_state import (
    identity_of as identity_of,
)
from .states.training_state import (
    read_state as read_state,
)
from .states.training_state import (
    restore as restore,
)
from .states.training_state import (
    write_state as write_state,
)
from .structures.structure import Structure as Structure
from .trainer import NotTrainedError as NotTrainedError
from .trainer import Trainer as Trainer
from .trainer import Training as Training
from .trial_run import run_trial as run_trial
