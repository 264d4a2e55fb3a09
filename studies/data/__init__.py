"""Data: its descriptions (`datasets`), and the parts that studies train, validate and test on."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
