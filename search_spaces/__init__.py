"""The lowest of the three packages: search spaces, and the errors of all packages.

Nothing here imports TensorFlow, Keras, MLflow or numpy; `translations` imports Optuna and Keras
Tuner when a space is translated.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
