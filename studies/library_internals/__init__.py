"""Access to private parts of TensorFlow, Keras, Optuna and Keras Tuner, and their late imports."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
