"""Search spaces, and the errors of all three packages. Imports neither `tracking` nor `studies`.

Nothing here imports TensorFlow, Keras, MLflow or numpy. Only `optuna_and_keras_tuner_spaces`
imports Optuna and Keras Tuner, when it translates a space.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
