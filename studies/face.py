"""The names that `kerastudy` gives to study files, scripts and notebooks."""

from __future__ import annotations

from search_spaces import (
    Boolean,
    Choice,
    Fixed,
    Float,
    Hyperparameters,
    Int,
    SearchSpace,
    Tailoring,
    activation,
    batch_size,
    batchnorm,
    bias_initializer,
    discover,
    dropout,
    epochs,
    errors,
    initializer,
    l1,
    l1_l2,
    l2,
    label_smoothing,
    layers,
    learning_rate,
    momentum,
    optimizer,
    units,
)
from search_spaces.errors import KerastudyError
from studies import Study, datasets, splits
from studies.champion.choosing import promote
from studies.champion.confirm import confirm
from studies.champion.evaluation import evaluate
from studies.champion.prediction import predict
from studies.data import preprocessing
from studies.data_check import check_data
from studies.definition import RayOptions, epoch_seed, outputs, permutation, seed_states
from studies.exporting import export_optuna, export_script
from studies.results.models import load_model
from studies.results.study_results import (
    StudyResults,
    Trial,
    delete_study,
    diagnose,
    list_studies,
    read_study,
    rename_study,
)
from tracking import Objective

__all__ = [
    "Boolean",
    "Choice",
    "Fixed",
    "Float",
    "Hyperparameters",
    "Int",
    "KerastudyError",
    "Objective",
    "RayOptions",
    "SearchSpace",
    "Study",
    "StudyResults",
    "Tailoring",
    "Trial",
    "activation",
    "batch_size",
    "batchnorm",
    "bias_initializer",
    "check_data",
    "confirm",
    "datasets",
    "delete_study",
    "diagnose",
    "discover",
    "dropout",
    "epoch_seed",
    "epochs",
    "errors",
    "evaluate",
    "export_optuna",
    "export_script",
    "initializer",
    "l1",
    "l1_l2",
    "l2",
    "label_smoothing",
    "layers",
    "learning_rate",
    "list_studies",
    "load_model",
    "momentum",
    "optimizer",
    "outputs",
    "permutation",
    "predict",
    "preprocessing",
    "promote",
    "read_study",
    "rename_study",
    "seed_states",
    "splits",
    "units",
]
