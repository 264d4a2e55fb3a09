"""Describes data (`datasets`), reads it, and splits it into parts to train, validate and test on.

A study has a description of its data, which is read when the study first needs it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
