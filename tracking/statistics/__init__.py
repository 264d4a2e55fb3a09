"""How far to believe a study's best value: scores of samples, corrections and intervals."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
