"""Engines, which propose hyperparameters: Optuna's samplers and Keras Tuner's oracles."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
