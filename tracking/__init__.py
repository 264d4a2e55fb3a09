"""First floor: the record of what was tried, and what was best.

| module | holds |
|---|---|
| `history/` | reading studies back, and what follows from them |
| `runs/` | writing a study into MLflow |
| `store/` | the folder that holds everything, and its files |
| `records/` | the shapes that travel: specs, results, descriptions |
| `mlflow_parts` | private parts of MLflow |
| `tags` | the tags on MLflow's runs |
| `doctor/` | checking and mending a store |
| `scores/` | the objective of each validation sample |
| `statistics/` | how far to believe a best value: corrections and intervals |
| `diagnosis/` | what the record says about the search, and what to search next |
| `registry/` | the champion as a registered model |
| `report/` | the report of a study, as one HTML file |
| `mirror/` | a copy of the record on an MLflow server |
| `ui/` | the MLflow UI, and the views prepared in it |
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
from tracking.history.study_history import StudyHistory, read_study
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
from tracking.store.folder import Store, create_store, open_store

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
