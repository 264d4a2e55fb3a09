"""The score of each validation sample, from which a study's best value is corrected."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
