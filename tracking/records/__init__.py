"""The shapes that travel between engine, driver, executor, trainer and tracking.

| module | holds |
|---|---|
| `objective` | what a study optimizes |
| `specs` | what a trial depends on, and its epochs |
| `results` | the result of a trial, or of one of its trainings |
| `trials` | a trial in the record |
| `tasks` | from an engine's proposal to what an executor runs |
| `verified` | the outcome of training a trial again by `model.fit` |
| `studies` | a study's definition; class weights |
| `data_findings` | what is known of a study's data before a model is trained on it |
| `evaluations` | the value of a checkpoint on the sealed test part |
| `confirmations` | what was found when a study's choice was checked |
| `validation_predictions` | what the champion predicts of the validation data |

All are frozen values: made once, never changed. Nothing here imports TensorFlow, MLflow or
Optuna, so that every side can use it.

Epochs are counted from 1, as Keras prints them: epoch 3 is the state of the model after three
passes over the training data.
"""

from tracking.records.objective import Direction, Objective, Rank
from tracking.records.results import FINISHED_STATES, Decision, Repeat, TrialResult, TrialState
from tracking.records.specs import ALL_FOLDS, BestEpoch, EpochResult, TrialSpec
from tracking.records.studies import CodeDescription, DataDescription, StudyDescription
from tracking.records.tasks import Proposal, TrainerName, TrialTask
from tracking.records.trials import EndedTrial, TrialRecord, finished_trials

__all__ = [
    "ALL_FOLDS",
    "FINISHED_STATES",
    "BestEpoch",
    "CodeDescription",
    "DataDescription",
    "Decision",
    "Direction",
    "EndedTrial",
    "EpochResult",
    "Objective",
    "Proposal",
    "Rank",
    "Repeat",
    "StudyDescription",
    "TrainerName",
    "TrialRecord",
    "TrialResult",
    "TrialSpec",
    "TrialState",
    "TrialTask",
    "finished_trials",
]
