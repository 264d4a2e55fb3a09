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

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
