"""First floor: what was tried, and what was best.

| module | holds |
|---|---|
| `records/` | the shapes that travel: specs, results, descriptions |
| `names` | what a study may be called |
| `atomic` | files that are there whole or not at all |
| `store` | the folder that holds everything |
| `trust` | whose a store is |
| `study_files` | where a study's checkpoints and states are |
| `study_locks` | who is at work on which study |
| `databases` | whether the record's database is whole |
| `mlflow_client` | opening MLflow's database |
| `mlflow_parts` | what is private of MLflow |
| `mlflow_names` | names that MLflow refuses, spelled otherwise |
| `failures` | what the system and the databases raise, as errors of the store |
| `tags` | the tags on MLflow's runs |
| `experiments`, `runs` | writing a study into MLflow: its experiment, its runs |
| `parents` | the parent runs of studies, and those that were lost in MLflow |
| `run_contents` | what its runs hold |
| `run_writer`, `run_tables` | how runs are written: by MLflow's client, or into its tables |
| `history`, `trial_reading`, `curves` | reading it back: studies, their trials, objectives |
| `joining` | hyperparameters that showed themselves late |
| `comparison`, `overlaps` | studies side by side; where their best regions overlap |
| `reasons` | why trials are infeasible or ended early, counted |
| `selection` | the best of the trials, and which checkpoints are kept |
| `checkpoints` | whether a file of weights has what was written |
| `doctor/` | what is wrong in a store, and how it is mended |
| `champions` | which version of a registered model is a study's champion |
| `registry` | the champion as a registered model |
| `summary` | the text on the study's page |
| `mirror/` | the record on an MLflow server too |
| `searching` | all pages of what MLflow has |
| `ui` | the MLflow UI |
"""

from search_spaces.errors import (
    StoreError,
    StoreLockedError,
    StudyChangedError,
    StudyDeletedError,
    StudyNameError,
    StudyNotFoundError,
    TrackingError,
)
from tracking.history import StudyHistory, read_study
from tracking.records import (
    BestEpoch,
    EndedTrial,
    EpochResult,
    Objective,
    StudyDescription,
    TrialRecord,
    TrialResult,
    TrialSpec,
)
from tracking.store import Store, create_store, open_store

__all__ = [
    "BestEpoch",
    "EndedTrial",
    "EpochResult",
    "Objective",
    "Store",
    "StoreError",
    "StoreLockedError",
    "StudyChangedError",
    "StudyDeletedError",
    "StudyDescription",
    "StudyHistory",
    "StudyNameError",
    "StudyNotFoundError",
    "TrackingError",
    "TrialRecord",
    "TrialResult",
    "TrialSpec",
    "create_store",
    "open_store",
    "read_study",
]
