"""The checks of `kerastudy diagnose`, which say what the next launch should change."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
