"""The public names of `kerastudy`, for study files, scripts and notebooks."""

from __future__ import annotations as _annotations

from search_spaces import Boolean as Boolean
from search_spaces import Choice as Choice
from search_spaces import Fixed as Fixed
from search_spaces import Float as Float
from search_spaces import Hyperparameters as Hyperparameters
from search_spaces import Int as Int
from search_spaces import SearchSpace as SearchSpace
from search_spaces import Tailoring as Tailoring
from search_spaces import activation as activation
from search_spaces import batch_size as batch_size
from search_spaces import batchnorm as batchnorm
from search_spaces import discover as discover
from search_spaces import dropout as dropout
from search_spaces import epochs as epochs
from search_spaces import errors as errors
from search_spaces import initializer as initializer
from search_spaces import l1 as l1
from search_spaces import l2 as l2
from search_spaces import layers as layers
from search_spaces import learning_rate as learning_rate
from search_spaces import momentum as momentum
from search_spaces import optimizer as optimizer
from search_spaces import units as units
from search_spaces.errors import KerastudyError as KerastudyError
from studies import Study as Study
from studies import datasets as datasets
from studies.champion import confirm as confirm
from studies.champion import evaluate as evaluate
from studies.champion import promote as promote
from studies.check_data import check_data as check_data
from studies.data import preprocessing as preprocessing
from studies.data import splitting_into_parts_and_folds as _splits
from studies.definition import RayOptions as RayOptions
from studies.definition import epoch_seed as epoch_seed
from studies.definition import output_layers as _output_layers
from studies.definition import permutation as permutation
from studies.definition import seed_states as seed_states
from studies.exporting import export_optuna as export_optuna
from studies.exporting import export_script as export_script
from studies.results import StudyResults as StudyResults
from studies.results import Trial as Trial
from studies.results import delete_study as delete_study
from studies.results import diagnose as diagnose
from studies.results import list_studies as list_studies
from studies.results import load_model as load_model
from studies.results import predict as predict
from studies.results import read_study as read_study
from tracking import Objective as Objective

outputs = _output_layers
splits = _splits
NAMES = [name for name in dir() if not name.startswith("_")]
