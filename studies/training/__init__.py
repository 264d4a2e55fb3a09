"""Trains the models of trials: builds a model, trains it by epochs, keeps the best weights."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
