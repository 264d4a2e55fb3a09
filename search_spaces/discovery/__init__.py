"""Discovery: the space of a builder that declares its hyperparameters inline."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
