"""The shapes that travel between engine, driver, executor, trainer and tracking.

| module | holds |
|---|---|
| `studies` | a study's definition, its objective, and what is known of its data |
| `trials` | a trial: proposed, specified, run, recorded |
| `checks` | the outcomes of checks: by `model.fit`, on the test part, under new seeds |
| `converting` | records as JSON and back |
| `validation_predictions` | what the champion predicts of the validation data |

All are frozen values: made once, never changed. Nothing here imports TensorFlow, MLflow or
Optuna, so that every side can use it.

Epochs are counted from 1, as Keras prints them: epoch 3 is the state of the model after three
passes over the training data.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
