"""Engines, which propose hyperparameters, by Optuna, Keras Tuner or SciPy."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
