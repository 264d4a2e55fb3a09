"""Corrections and intervals of a study's best value, computed from scores alone."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
